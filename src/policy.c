#include "policy.h"

#include "base/log.h"
#include "base/mem.h"
#include "webhooks.h"

static void create_access(struct policy *p)
{
    const struct config *c = p->config;
    struct access_key *keys = mem_zalloc((c->key_count + 1) * sizeof(*keys));
    for (size_t i = 0; i < c->key_count; i++) {
        keys[i].name = c->keys[i].name;
        memcpy(keys[i].sha256, c->keys[i].sha256, sizeof(keys[i].sha256));
        keys[i].scopes = (const char *const *)c->keys[i].scopes;
        keys[i].scope_count = c->keys[i].scope_count;
    }
    struct access_options options = {
        .open = c->open,
        .keys = keys,
        .key_count = c->key_count,
        .cors_origins = (const char *const *)c->cors_origins,
        .cors_origin_count = c->cors_origin_count,
    };
    p->access = access_create(&options);
    mem_free(keys);
}

static void create_namespaces(struct policy *p)
{
    const struct config *c = p->config;
    struct namespace_settings *all = mem_zalloc((c->namespace_count + 1) * sizeof(*all));
    for (size_t i = 0; i < c->namespace_count; i++) {
        const struct config_namespace *ns = &c->namespaces[i];
        all[i] = (struct namespace_settings){
            .match = ns->match,
            .envelope = ns->payload == CONFIG_PAYLOAD_ENVELOPE,
            .durable = ns->durable,
            .latest = ns->slow == CONFIG_SLOW_LATEST,
            .history_messages = ns->history_messages,
            .history_seconds = ns->history_seconds,
        };
    }
    p->namespaces = namespaces_create(all, c->namespace_count);
    mem_free(all);
}

static void create_trusted(struct policy *p)
{
    const struct config *c = p->config;
    char why[CIDR_WHY_BYTES];
    p->trusted = mem_zalloc((c->trusted_proxy_count + 1) * sizeof(*p->trusted));
    for (size_t i = 0; i < c->trusted_proxy_count; i++)
        if (cidr_parse(span_of(c->trusted_proxies[i]), &p->trusted[i], why))
            log_error("main", "trusted_proxies: %s", why); /* config_load has checked them */
}

struct policy *policy_create(struct config *config)
{
    struct policy *p = mem_zalloc(sizeof(*p));
    p->config = config;
    create_access(p);
    create_namespaces(p);
    create_trusted(p);
    return p;
}

void policy_fill_http(struct policy *p, const struct policy_surroundings *around)
{
    const struct config *c = p->config;
    p->http = (struct http_options){
        .workers = c->workers,
        .listen = c->listen,
        .listen_count = c->listen_count,
        .unix_mode = c->unix_socket.mode,
        .unix_owner = c->unix_socket.owner,
        .base_path = c->base_path,
        .tls_cert = c->tls.cert[0] ? c->tls.cert : NULL,
        .tls_key = c->tls.key[0] ? c->tls.key : NULL,
        .memory = c->broker == CONFIG_BROKER_MEMORY,
        .retry_ms = c->stream.retry_ms,
        .heartbeat_seconds = c->stream.heartbeat_seconds,
        .request_seconds = c->limits.request_seconds,
        .max_connections = around->max_connections,
        .max_per_address = c->limits.per_address,
        .max_channels = c->limits.channels,
        .name_bytes = c->limits.name_bytes,
        .body_bytes = c->limits.body_bytes,
        .message_bytes = c->limits.message_bytes,
        .queue_bytes = c->limits.queue_bytes,
        .trusted = p->trusted,
        .trusted_count = c->trusted_proxy_count,
        .proxy_protocol = c->proxy_protocol,
        .cors_origins = c->cors_origins,
        .cors_origin_count = c->cors_origin_count,
        .access = p->access,
        .namespaces = p->namespaces,
        .clock = &clock_system,
        .uplink = around->uplink,
        .metrics = around->metrics,
    };
    webhooks_fill(&p->http.hooks, c);
}

void policy_destroy(struct policy **policy)
{
    struct policy *p = *policy;
    if (!p)
        return;
    namespaces_destroy(&p->namespaces);
    access_destroy(&p->access);
    mem_free(p->trusted);
    config_destroy(&p->config);
    mem_free(p);
    *policy = NULL;
}
