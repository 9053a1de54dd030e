#include "ops/config.h"

#include "base/err.h"
#include "base/mem.h"
#include "ops/config_load.h"
#include "ops/config_text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MOST_FILE_BYTES ((size_t)1 << 20)

static struct config *config_create(void)
{
    struct config *config = mem_zalloc(sizeof(*config));
    config->sources = sources_create();
    assign_defaults(config, "", config);
    return config;
}

void config_destroy(struct config **config)
{
    if (!*config)
        return;
    for (size_t i = 0; i < config_table_size; i++)
        if (setting_top(&config_table[i]))
            setting_clear(&config_table[i], *config);
    sources_destroy(&(*config)->sources);
    mem_free(*config);
    *config = NULL;
}

/* All bytes up to the end, but no more than the limit and one. 0 or an errno. */
static int read_all(int fd, struct buf *out)
{
    while (out->len <= MOST_FILE_BYTES) {
        ssize_t got = read(fd, buf_reserve(out, 4096), 4096);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? errno : 0;
        out->len += (size_t)got;
    }
    return 0;
}

static int fail_file(struct buf *why, const char *path, const char *problem, const char *source)
{
    buf_printf(why, "config: cannot read ");
    show_quoted(why, span_of(path));
    buf_printf(why, ": %s (%s)", problem, source);
    return ERR_INVALID;
}

/* source: how the path was given. */
static int load_file(struct config *config, const char *path, const char *source, struct buf *why)
{
    struct buf text = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int problem = fd < 0 ? errno : read_all(fd, &text);
    int err;
    if (problem != 0)
        err = fail_file(why, path, strerror(problem), source);
    else if (text.len > MOST_FILE_BYTES)
        err = fail_file(why, path, "more than 1048576 bytes", source);
    else
        err = config_file_apply(config, path, buf_view(&text), why);
    if (fd >= 0)
        close(fd);
    buf_free(&text);
    return err;
}

static const char *variable_config(char *const *env)
{
    static const char name[] = "SLUICE_CONFIG=";
    for (; *env; env++)
        if (strncmp(*env, name, sizeof(name) - 1) == 0)
            return *env + sizeof(name) - 1;
    return NULL;
}

static int apply_file(struct config *config, const struct config_flags *flags, char *const *env,
                      struct buf *why)
{
    const char *path = variable_config(env);
    if (flags->config_path)
        return load_file(config, flags->config_path, "flag --config", why);
    return path ? load_file(config, path, "env SLUICE_CONFIG", why) : 0;
}

int config_load(int argc, char *const *argv, char *const *env, struct config **out, struct buf *why)
{
    struct config_flags flags;
    struct config *config = NULL;
    int err = config_flags_read(argc, argv, &flags, why);
    if (err != 0)
        goto out;
    config = config_create();
    err = apply_file(config, &flags, env, why);
    if (err == 0)
        err = config_env_apply(config, env, why);
    if (err == 0)
        err = config_flags_apply(config, &flags, why);
    if (err == 0)
        err = config_finish(config, why);
    if (err != 0)
        goto out;
    *out = config;
    config = NULL;
out:
    config_destroy(&config);
    config_flags_free(&flags);
    return err;
}

int config_load_text(const char *path, struct span text, struct config **out, struct buf *why)
{
    struct config *config = config_create();
    int err = config_file_apply(config, path, text, why);
    if (err == 0)
        err = config_finish(config, why);
    if (err == 0)
        *out = config;
    else
        config_destroy(&config);
    return err;
}
