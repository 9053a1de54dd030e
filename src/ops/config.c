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
static int read_file(const char *path, const char *source, struct buf *out, struct buf *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int problem = fd < 0 ? errno : read_all(fd, out);
    if (fd >= 0)
        close(fd);
    if (problem != 0)
        return fail_file(why, path, strerror(problem), source);
    if (out->len > MOST_FILE_BYTES)
        return fail_file(why, path, "more than 1048576 bytes", source);
    return 0;
}

static const char *variable_config(char *const *env)
{
    static const char name[] = "SLUICE_CONFIG=";
    for (; *env; env++)
        if (strncmp(*env, name, sizeof(name) - 1) == 0)
            return *env + sizeof(name) - 1;
    return NULL;
}

/* path: NULL when there is no file. */
static int load_layers(const char *path, struct span text, char *const *env,
                       const struct config_flags *flags, struct config **out, struct buf *why)
{
    struct config *config = config_create();
    int err = path ? config_file_apply(config, path, text, why) : 0;
    if (err == 0)
        err = config_env_apply(config, env, why);
    if (err == 0)
        err = config_flags_apply(config, flags, why);
    if (err == 0)
        err = config_finish(config, env, why);
    if (err == 0)
        *out = config;
    else
        config_destroy(&config);
    return err;
}

int config_load(int argc, char *const *argv, char *const *env, struct config **out, struct buf *why)
{
    struct config_flags flags;
    struct buf text = {0};
    const char *path = variable_config(env), *source = "env SLUICE_CONFIG";
    int err = config_flags_read(argc, argv, &flags, why);
    if (err == 0 && flags.config_path) {
        path = flags.config_path;
        source = "flag --config";
    }
    if (err == 0 && path)
        err = read_file(path, source, &text, why);
    if (err == 0)
        err = load_layers(path, buf_view(&text), env, &flags, out, why);
    buf_free(&text);
    config_flags_free(&flags);
    return err;
}

int config_load_text(const char *path, struct span text, int argc, char *const *argv,
                     char *const *env, struct config **out, struct buf *why)
{
    struct config_flags flags;
    int err = config_flags_read(argc, argv, &flags, why);
    if (err == 0)
        err = load_layers(path, text, env, &flags, out, why);
    config_flags_free(&flags);
    return err;
}
