/* What can be judged only when all layers have spoken. */
#include "base/err.h"
#include "base/mem.h"
#include "ops/config_check.h"
#include "ops/config_load.h"
#include "ops/config_text.h"

#include <sched.h>
#include <string.h>

#define MOST_WORKERS 256

/* "path: problem (source)"; the path is made by the caller's format. */
static int fail(const struct config *c, struct buf *why, const char *path, const char *problem)
{
    buf_printf(why, "%s: %s (%s)", path, problem, sources_get(c->sources, path));
    return ERR_INVALID;
}

static int check_open(const struct config *c, struct buf *why)
{
    for (size_t i = 0; c->open && i < c->listen_count; i++) {
        if (listen_is_private(span_of(c->listen[i])))
            continue;
        buf_str(why, "open: lifts the keys, so every listener must be a loopback address or a unix "
                     "socket; ");
        show_quoted(why, span_of(c->listen[i]));
        buf_printf(why, " is neither (%s, listen from %s)", sources_get(c->sources, "open"),
                   sources_get(c->sources, "listen"));
        return ERR_INVALID;
    }
    return 0;
}

/* One half of the pair is there: which, and where it came from. */
static int check_tls(const struct config *c, struct buf *why)
{
    if (c->tls.cert[0] && !c->tls.key[0])
        return fail(c, why, "tls.cert", "needs tls.key beside it");
    if (c->tls.key[0] && !c->tls.cert[0])
        return fail(c, why, "tls.key", "needs tls.cert beside it");
    return 0;
}

static int check_listeners(const struct config *c, struct buf *why)
{
    for (size_t i = 0; i < c->listen_count; i++) {
        struct span address;
        if (config_listen_split(span_of(c->listen[i]), &address) != CONFIG_LISTEN_TLS ||
            c->tls.cert[0])
            continue;
        buf_printf(why, "listen[%zu]: ", i);
        show_quoted(why, span_of(c->listen[i]));
        buf_printf(why, " needs tls.cert and tls.key (%s)", sources_get(c->sources, "listen"));
        return ERR_INVALID;
    }
    return 0;
}

/* Without one nobody could connect. */
static int check_proxies(const struct config *c, struct buf *why)
{
    if (!c->proxy_protocol || c->trusted_proxy_count > 0)
        return 0;
    return fail(c, why, "proxy_protocol",
                "takes the header from trusted proxies only, and trusted_proxies is empty");
}

static int check_cors(const struct config *c, struct buf *why)
{
    for (size_t i = 0; i < c->cors_origin_count; i++)
        if (c->cors_origin_count > 1 && strcmp(c->cors_origins[i], "*") == 0)
            return fail(c, why, "cors.origins",
                        "\"*\" stands beside other origins; valid: exact origins, or * alone");
    return 0;
}

static int fail_key(const struct config *c, struct buf *why, size_t i, const char *member,
                    const char *what, size_t other)
{
    struct buf path = {0}, problem = {0};
    buf_printf(&path, "keys[%zu].%s", i, member);
    buf_printf(&problem, "%s keys[%zu] too", what, other);
    int err = fail(c, why, buf_cstr(&path), buf_cstr(&problem));
    buf_free(&path);
    buf_free(&problem);
    return err;
}

static int check_keys(const struct config *c, struct buf *why)
{
    for (size_t i = 0; i < c->key_count; i++) {
        const struct config_key *a = &c->keys[i];
        for (size_t j = 0; j < i; j++) {
            const struct config_key *b = &c->keys[j];
            if (strcmp(a->name, b->name) == 0)
                return fail_key(c, why, i, "name", "is the name of", j);
            if (memcmp(a->sha256, b->sha256, sizeof(a->sha256)) == 0)
                return fail_key(c, why, i, "sha256", "is that of", j);
        }
    }
    return 0;
}

static bool matches_everything(const struct config_namespace *ns)
{
    return ns->match[strspn(ns->match, "*")] == '\0';
}

/* So that every channel has a namespace: the last one takes what no other wanted. */
static void append_last_namespace(struct config *c)
{
    for (size_t i = 0; i < c->namespace_count; i++)
        if (matches_everything(&c->namespaces[i]))
            return;
    size_t bytes = (c->namespace_count + 1) * sizeof(*c->namespaces);
    c->namespaces = mem_realloc(c->namespaces, bytes);
    struct config_namespace *last = &c->namespaces[c->namespace_count++];
    memset(last, 0, sizeof(*last));
    assign_defaults(c, "namespaces[].", last);
    last->match = mem_strdup("*");
}

/* The CPUs that this process may use, which in a container are fewer than the machine has. */
static uint32_t count_cpus(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    int count = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    return count < 1 ? 1 : count > MOST_WORKERS ? MOST_WORKERS : (uint32_t)count;
}

static void settle_workers(struct config *c)
{
    if (c->workers != 0)
        return;
    struct buf source = {0};
    buf_printf(&source, "%s, one per CPU", sources_get(c->sources, "workers"));
    sources_set(c->sources, "workers", buf_cstr(&source));
    buf_free(&source);
    c->workers = count_cpus();
}

int config_finish(struct config *config, char *const *env, struct buf *why)
{
    if (check_open(config, why) != 0 || check_tls(config, why) != 0 ||
        check_listeners(config, why) != 0 || check_proxies(config, why) != 0 ||
        check_cors(config, why) != 0 || check_keys(config, why) != 0 ||
        config_finish_bus(config, env, why) != 0)
        return ERR_INVALID;
    append_last_namespace(config);
    settle_workers(config);
    return 0;
}
