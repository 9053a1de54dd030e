/*
 * The configuration: one table of settings makes the file parser, the environment, the flags,
 * `--help`, `sluice check` and the reference page. A struct config is immutable once loaded.
 */
#ifndef OPS_CONFIG_H
#define OPS_CONFIG_H

#include "base/buf.h"
#include "proto/webhook_rule.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum config_broker { CONFIG_BROKER_REDIS, CONFIG_BROKER_MEMORY };
enum config_payload { CONFIG_PAYLOAD_RAW, CONFIG_PAYLOAD_ENVELOPE };
enum config_slow { CONFIG_SLOW_DISCONNECT, CONFIG_SLOW_LATEST };

struct config_key {
    char *name;         /* owned; 1..64 of a-z A-Z 0-9 _ - . */
    uint8_t sha256[32]; /* of the key's bytes; in the file 64 hex digits */
    char **scopes;      /* owned; "publish:<glob>", "invalidate", "peer", "stats" */
    size_t scope_count;
};

struct config_namespace {
    char *match;               /* owned; see namespace_match */
    bool durable;              /* has "history" */
    uint64_t history_messages; /* 1000 unless given */
    uint64_t history_seconds;  /* 3600 unless given */
    enum config_payload payload;
    enum config_slow slow;
};

/* A secret: at most one of the three is given; then `value` holds it. */
struct config_secret {
    char *value;      /* owned; "" for none; never shown */
    char *file, *env; /* owned; where it was read from; "" */
};

struct config_webhook {
    char *name; /* owned; the first member: a map's struct begins with its name */
    bool has_signature;
    struct webhook_signature signature; /* its secret lies in `secret`, and is borrowed here */
    struct config_secret secret;
    struct webhook_delivery delivery;
    struct webhook_rule *rules; /* owned */
    size_t rule_count;
};

struct config {
    char **listen; /* owned; see config_listen_split */
    size_t listen_count;
    bool open;
    char *base_path;  /* "" or "/a/b": no slash at the end */
    uint32_t workers; /* 0 in the file: one per CPU; here the number in force, 1..256 */
    enum config_broker broker;
    char *redis; /* URL */
    char *channel_prefix;
    uint32_t redis_linger_ms;
    uint64_t replay_bytes;
    struct {
        char *cert, *key; /* owned; paths; "" for both, or for neither */
    } tls;
    struct {
        char *mode, *owner; /* owned: octal digits; "user:group", each may be absent */
    } unix_socket;
    char **trusted_proxies; /* owned; each is good for cidr_parse */
    size_t trusted_proxy_count;
    bool proxy_protocol; /* never without a trusted proxy */
    int log_level;       /* enum log_level */
    bool log_json;
    uint32_t drain_seconds;
    struct {
        uint32_t retry_ms, heartbeat_seconds;
    } stream;
    char **cors_origins; /* owned; exact origins, or "*" alone */
    size_t cors_origin_count;
    struct {
        uint32_t connections, per_address, channels, name_bytes, request_seconds;
        uint64_t body_bytes, message_bytes, queue_bytes;
    } limits;
    struct config_key *keys;
    size_t key_count;
    struct config_namespace *namespaces; /* the last one matches everything: appended if need be */
    size_t namespace_count;
    struct {
        struct config_secret secret; /* of POST /revalidate */
        char *tag_prefix;
        char **tracking_prefixes; /* owned; none covers another */
        size_t tracking_prefix_count;
        struct config_webhook *webhooks;
        size_t webhook_count;
    } invalidation;
    struct config_sources *sources; /* owned; where each value came from, for config_print */
};

/*
 * config_load: defaults, then the file (`--config PATH` or SLUICE_CONFIG), then the environment,
 * then the flags; each later one wins. argv: the words behind `serve` or `check`; env:
 * NULL-terminated "K=V" strings (environ). 0 with an owned *out; or ERR_INVALID with one line in
 * why: the path of the key, where the value came from (file name, variable, flag), the value (never
 * of a secret), and what would be valid. ERR_NOT_FOUND is for `--help` having been asked for.
 */
int config_load(int argc, char *const *argv, char *const *env, struct config **out,
                struct buf *why);
void config_destroy(struct config **config);

/*
 * config_print: what is in force and where each value came from ("default", "file PATH", "env
 * NAME", "flag --x"), a line each; digests as "(set)", the Redis URL redacted.
 */
void config_print(const struct config *config, struct buf *out);

/* config_help: the settings part of `sluice serve --help`. config_reference: the same as Markdown.
 */
void config_help(struct buf *out);
void config_reference(struct buf *out);

/*
 * config_listen_split: what an entry of `listen` asks for, and in *address what is left of it
 * without its scheme: "address:port", "[v6]:port", ":port", or the path of a unix socket. Borrowed
 * from entry.
 */
enum config_listen {
    CONFIG_LISTEN_TCP,   /* no scheme: TLS when tls is set */
    CONFIG_LISTEN_CLEAR, /* http://: never TLS */
    CONFIG_LISTEN_TLS,   /* https://: always; config_load refuses it without tls */
    CONFIG_LISTEN_UNIX,  /* unix:; never TLS, no PROXY header */
};
enum config_listen config_listen_split(struct span entry, struct span *address);

/* config_restart_needed: appends the names of the settings that differ and that a reload cannot
 * change, by comma. */
void config_restart_needed(const struct config *old, const struct config *new, struct buf *out);

/* config_redact_url: appends the URL with user, password and query replaced by ***. */
void config_redact_url(struct buf *out, struct span url);

#endif
