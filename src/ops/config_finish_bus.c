/* What can be judged of the invalidation bus's settings only when all layers have spoken. */
#include "base/err.h"
#include "base/mem.h"
#include "ops/config_check.h"
#include "ops/config_load.h"
#include "ops/config_text.h"
#include "proto/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECRET_BYTES = 1024 };

struct finish {
    struct config *config; /* borrowed, as all here */
    char *const *env;
    struct buf *why;
};

/* "path.member: problem (source)". */
static int fail(const struct finish *f, const char *path, const char *member, const char *problem)
{
    struct buf whole = {0};
    buf_printf(&whole, "%s%s%s", path, *member ? "." : "", member);
    buf_printf(f->why, "%s: %s (%s)", buf_cstr(&whole), problem,
               sources_get(f->config->sources, buf_cstr(&whole)));
    buf_free(&whole);
    return ERR_INVALID;
}

/* What is wrong with a secret that was read from elsewhere; NULL: nothing. */
static const char *secret_error(struct span secret)
{
    if (secret.len == 0)
        return "has an empty secret";
    if (secret.len > SECRET_BYTES)
        return "has a secret of more than 1024 bytes";
    if (!utf8_valid(secret))
        return "has a secret that is not valid UTF-8";
    return check_secret(secret) ? "has a secret with a control character" : NULL;
}

/* NULL, or what is wrong. No pipe or device, which could hold up the start. */
static const char *read_whole(const char *path, struct buf *out)
{
    enum { MOST = SECRET_BYTES + 3 }; /* with a line end, and one byte more than is allowed */
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return strerror(errno);
    const char *wrong = NULL;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        wrong = "is not a regular file";
    while (!wrong && out->len < MOST) {
        ssize_t got = read(fd, buf_reserve(out, MOST), MOST - out->len);
        if (got < 0)
            wrong = strerror(errno);
        if (got <= 0)
            break;
        out->len += (size_t)got;
    }
    close(fd);
    return wrong;
}

static int read_secret_file(const struct finish *f, struct config_secret *s, const char *path)
{
    struct buf text = {0}, line = {0};
    const char *wrong = read_whole(s->file, &text);
    if (!wrong && text.len && text.data[text.len - 1] == '\n')
        text.len -= text.len > 1 && text.data[text.len - 2] == '\r' ? 2 : 1;
    if (!wrong)
        wrong = secret_error(buf_view(&text));
    if (wrong) {
        show_quoted(&line, span_of(s->file));
        buf_printf(&line, ": %s", wrong);
        (void)fail(f, path, "secret_file", buf_cstr(&line));
    } else {
        mem_free(s->value);
        s->value = mem_dup(text.data, text.len);
    }
    buf_free(&text);
    buf_free(&line);
    return wrong ? ERR_INVALID : 0;
}

static int read_secret_env(const struct finish *f, struct config_secret *s, const char *path)
{
    size_t len = strlen(s->env);
    const char *value = NULL, *wrong = "is not set";
    for (char *const *e = f->env; *e && !value; e++)
        if (strncmp(*e, s->env, len) == 0 && (*e)[len] == '=')
            value = *e + len + 1;
    if (value)
        wrong = secret_error(span_of(value));
    if (wrong) {
        struct buf line = {0};
        show_quoted(&line, span_of(s->env));
        buf_printf(&line, " %s", wrong);
        (void)fail(f, path, "secret_env", buf_cstr(&line));
        buf_free(&line);
        return ERR_INVALID;
    }
    mem_free(s->value);
    s->value = mem_strdup(value);
    return 0;
}

/* path: of the object that has the three members. */
static int finish_secret(const struct finish *f, struct config_secret *s, const char *path)
{
    int given = !!s->value[0] + !!s->file[0] + !!s->env[0];
    struct buf source = {0};
    int err = 0;
    if (given > 1)
        return fail(f, path, s->file[0] ? "secret_file" : "secret_env",
                    "only one of secret, secret_file and secret_env may be given");
    if (!s->file[0] && !s->env[0])
        return 0;
    err = s->file[0] ? read_secret_file(f, s, path) : read_secret_env(f, s, path);
    if (err == 0) {
        struct buf whole = {0};
        buf_printf(&whole, "%s.secret", path);
        buf_printf(&source, "%s %s", s->file[0] ? "file" : "env", s->file[0] ? s->file : s->env);
        sources_set(f->config->sources, buf_cstr(&whole), buf_cstr(&source));
        buf_free(&whole);
    }
    buf_free(&source);
    return err;
}

static bool covers(const char *a, const char *b)
{
    return strncmp(a, b, strlen(a)) == 0;
}

/* Redis refuses prefixes of which one covers another. */
static int check_prefixes(const struct finish *f)
{
    static const char path[] = "invalidation.tracking.prefixes";
    char **prefixes = f->config->invalidation.tracking_prefixes;
    struct buf line = {0};
    for (size_t i = 0; i < f->config->invalidation.tracking_prefix_count && !line.len; i++) {
        for (size_t j = 0; j < i && !line.len; j++) {
            if (!covers(prefixes[i], prefixes[j]) && !covers(prefixes[j], prefixes[i]))
                continue;
            show_quoted(&line, span_of(prefixes[j]));
            buf_str(&line, " and ");
            show_quoted(&line, span_of(prefixes[i]));
            buf_str(&line, " overlap: one of them covers the other's keys");
        }
        if (line.len || !covers(prefixes[i], "sluice:"))
            continue;
        show_quoted(&line, span_of(prefixes[i]));
        buf_str(&line, " covers the gateways' own keys, which begin with sluice:");
    }
    int err = line.len ? fail(f, path, "", buf_cstr(&line)) : 0;
    buf_free(&line);
    return err;
}

static int check_rules(const struct finish *f, const struct config_webhook *hook, const char *path)
{
    for (size_t i = 0; i < hook->rule_count; i++) {
        const struct webhook_rule *rule = &hook->rules[i];
        size_t templates = 0;
        for (enum invalidation_list list = 0; list < INVALIDATION_LISTS; list++)
            templates += rule->lists[list].count;
        if (templates > 0)
            continue;
        struct buf member = {0};
        buf_printf(&member, "rules[%zu]", i);
        (void)fail(f, path, buf_cstr(&member),
                   "makes nothing: it needs keys, tags, paths or patterns");
        buf_free(&member);
        return ERR_INVALID;
    }
    return 0;
}

static int finish_webhook(const struct finish *f, struct config_webhook *hook)
{
    struct buf path = {0}, signature = {0};
    buf_printf(&path, "invalidation.webhooks.%s", hook->name);
    buf_printf(&signature, "%s.signature", buf_cstr(&path));
    int err = finish_secret(f, &hook->secret, buf_cstr(&signature));
    if (err == 0 && !hook->secret.value[0])
        err = fail(f, buf_cstr(&signature), "", "needs secret, secret_file or secret_env");
    if (err == 0 && hook->delivery.header[0] && hook->delivery.field[0])
        err = fail(f, buf_cstr(&path), "delivery.field", "stands beside delivery.header");
    if (err == 0)
        err = check_rules(f, hook, buf_cstr(&path));
    hook->signature.secret = hook->secret.value;
    buf_free(&path);
    buf_free(&signature);
    return err;
}

int config_finish_bus(struct config *config, char *const *env, struct buf *why)
{
    struct finish f = {.config = config, .env = env, .why = why};
    if (finish_secret(&f, &config->invalidation.secret, "invalidation") != 0 ||
        check_prefixes(&f) != 0)
        return ERR_INVALID;
    for (size_t i = 0; i < config->invalidation.webhook_count; i++)
        if (finish_webhook(&f, &config->invalidation.webhooks[i]) != 0)
            return ERR_INVALID;
    return 0;
}
