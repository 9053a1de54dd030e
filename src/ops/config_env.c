/* The environment: SLUICE_A_B for the setting a.b, and the REDIS_* variables that others know too.
 */
#include "base/err.h"
#include "ops/config_load.h"
#include "ops/config_text.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool matches_any(const char *name, const char *const *patterns, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fnmatch(patterns[i], name, 0) == 0)
            return true;
    return false;
}

/* Variables of the clients and of tests; SLUICE_CONFIG is read before the layers. */
static bool is_no_setting(const char *name)
{
    static const char *const others[] = {"SLUICE_CONFIG", "SLUICE_URL", "SLUICE_KEY", "SLUICE_BIN",
                                         "SLUICE_TEST_*"};
    return matches_any(name, others, sizeof(others) / sizeof(others[0]));
}

/*
 * Kubernetes and linked Docker containers put variables for each service into every container; a
 * service named "sluice" or "sluice-redis" must not keep the gateway from starting.
 */
static bool is_service_link(const char *name, const char *value)
{
    static const char *const links[] = {"SLUICE_*SERVICE_HOST",     "SLUICE_*SERVICE_PORT",
                                        "SLUICE_*SERVICE_PORT_*",   "SLUICE_*PORT_[0-9]*_TCP*",
                                        "SLUICE_*PORT_[0-9]*_UDP*", "SLUICE_*PORT_[0-9]*_SCTP*"};
    if (fnmatch("SLUICE_*PORT", name, 0) == 0 && strstr(value, "://"))
        return true;
    return matches_any(name, links, sizeof(links) / sizeof(links[0]));
}

/* NULL when it is not there. */
static const char *env_get(char *const *env, const char *name)
{
    size_t len = strlen(name);
    for (; *env; env++)
        if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
            return *env + len + 1;
    return NULL;
}

/* A variable of others that is there but empty counts as absent: that is how compose files unset
 * one. */
static const char *env_get_given(char *const *env, const char *name)
{
    const char *value = env_get(env, name);
    return value && *value ? value : NULL;
}

struct env_layer {
    struct config *config; /* borrowed, as all here */
    char *const *env;
    struct buf *why;
};

static int assign_from(const struct env_layer *l, const struct setting *s, const char *variable,
                       struct span value)
{
    struct buf source = {0};
    buf_printf(&source, "env %s", variable);
    struct assignment a = {.setting = s,
                           .base = l->config,
                           .path = s->path,
                           .source = buf_cstr(&source),
                           .where = "",
                           .config = l->config,
                           .why = l->why};
    int err = assign_text(&a, value);
    if (err == 0)
        assign_done(&a);
    buf_free(&source);
    return err;
}

/* A line about a REDIS_* variable. Its value is shown only where nobody would put a password. */
static int fail_redis(const struct env_layer *l, const char *variable, const char *shown,
                      const char *problem)
{
    buf_str(l->why, "redis: ");
    if (shown) {
        show_quoted(l->why, span_of(shown));
        buf_byte(l->why, ' ');
    }
    buf_printf(l->why, "%s (env %s)", problem, variable);
    return ERR_INVALID;
}

/* Percent-encodes all that is not unreserved in a URL (RFC 3986, 2.3). */
static void append_encoded(struct buf *out, const char *text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (; *text; text++) {
        if (strchr(plain, *text))
            buf_byte(out, *text);
        else
            buf_printf(out, "%%%02X", (unsigned char)*text);
    }
}

static int append_credentials(const struct env_layer *l, struct buf *url)
{
    const char *user = env_get_given(l->env, "REDIS_USERNAME");
    const char *password = env_get_given(l->env, "REDIS_PASSWORD");
    if (user && !password)
        return fail_redis(l, "REDIS_USERNAME", NULL, "needs REDIS_PASSWORD beside it");
    if (!password)
        return 0;
    append_encoded(url, user ? user : "");
    buf_byte(url, ':');
    append_encoded(url, password);
    buf_byte(url, '@');
    return 0;
}

static int append_host(const struct env_layer *l, struct buf *url)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._:";
    const char *host = env_get_given(l->env, "REDIS_HOST");
    if (host[strspn(host, allowed)] != '\0')
        return fail_redis(l, "REDIS_HOST", NULL,
                          "is not a host name or address; a URL goes into REDIS_URL");
    buf_printf(url, strchr(host, ':') ? "[%s]" : "%s", host);
    return 0;
}

/* Appends the number in the variable, or `fallback` when there is none. */
static int append_number(const struct env_layer *l, struct buf *url, const char *variable,
                         unsigned long fallback, unsigned long min, unsigned long max)
{
    const char *text = env_get_given(l->env, variable);
    unsigned long number = fallback;
    char problem[96];
    if (text) {
        size_t digits = strspn(text, "0123456789");
        number = max + 1;
        if (text[digits] == '\0' && digits < 10)
            number = strtoul(text, NULL, 10);
    }
    if (number < min || number > max) {
        snprintf(problem, sizeof(problem), "is not a number in range; valid: %lu to %lu", min, max);
        return fail_redis(l, variable, text, problem);
    }
    buf_printf(url, "%lu", number);
    return 0;
}

/* REDIS_HOST brings in its companions; alone they mean nothing. */
static int build_url(const struct env_layer *l, struct buf *url)
{
    buf_str(url, "redis://");
    if (append_credentials(l, url) != 0 || append_host(l, url) != 0)
        return ERR_INVALID;
    buf_byte(url, ':');
    if (append_number(l, url, "REDIS_PORT", 6379, 1, 65535) != 0)
        return ERR_INVALID;
    buf_byte(url, '/');
    return append_number(l, url, "REDIS_DB", 0, 0, 1000000);
}

static int apply_redis_url(const struct env_layer *l)
{
    const struct setting *redis = setting_find(span_of("redis"));
    const char *url = env_get_given(l->env, "REDIS_URL");
    if (env_get(l->env, "SLUICE_REDIS"))
        return 0; /* goes before them */
    if (url)
        return assign_from(l, redis, "REDIS_URL", span_of(url));
    if (!env_get_given(l->env, "REDIS_HOST"))
        return 0;
    struct buf built = {0};
    int err = build_url(l, &built);
    if (err == 0)
        err = assign_from(l, redis, "REDIS_HOST", buf_view(&built));
    buf_free(&built);
    return err;
}

static int apply_redis_enabled(const struct env_layer *l)
{
    const char *enabled = env_get_given(l->env, "REDIS_ENABLED");
    if (!enabled || env_get(l->env, "SLUICE_BROKER"))
        return 0;
    bool on = strcmp(enabled, "true") == 0;
    if (!on && strcmp(enabled, "false") != 0) {
        buf_str(l->why, "broker: ");
        show_quoted(l->why, span_of(enabled));
        buf_str(l->why, " is neither true nor false; valid: true, false (env REDIS_ENABLED)");
        return ERR_INVALID;
    }
    return assign_from(l, setting_find(span_of("broker")), "REDIS_ENABLED",
                       span_of(on ? "redis" : "memory"));
}

static int fail_unknown(const struct env_layer *l, struct span name)
{
    show_escaped(l->why, name);
    buf_str(l->why, ": unknown variable");
    show_unknown_name(l->why, name, NAME_VARIABLE);
    return ERR_INVALID;
}

static int apply_variable(const struct env_layer *l, struct span name, const char *value)
{
    const struct setting *s = setting_of_variable(name);
    struct buf z = {0};
    int err = 0;
    buf_span(&z, name);
    if (s)
        err = assign_from(l, s, buf_cstr(&z), span_of(value));
    else if (!is_no_setting(buf_cstr(&z)) && !is_service_link(buf_cstr(&z), value))
        err = fail_unknown(l, name);
    buf_free(&z);
    return err;
}

int config_env_apply(struct config *config, char *const *env, struct buf *why)
{
    struct env_layer l = {.config = config, .env = env, .why = why};
    if (apply_redis_url(&l) != 0 || apply_redis_enabled(&l) != 0)
        return ERR_INVALID;
    for (; *env; env++) {
        const char *equals = strchr(*env, '=');
        if (!equals || strncmp(*env, "SLUICE_", 7) != 0)
            continue;
        if (apply_variable(&l, span_make(*env, (size_t)(equals - *env)), equals + 1) != 0)
            return ERR_INVALID;
    }
    return 0;
}
