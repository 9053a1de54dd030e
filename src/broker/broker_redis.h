/*
 * The Redis broker: one connection for pub/sub, one for commands, on the core thread's libev loop.
 * It connects and reconnects for ever, with exponential backoff and jitter, whatever Redis does.
 * The program ignores SIGPIPE.
 */
#ifndef BROKER_BROKER_REDIS_H
#define BROKER_BROKER_REDIS_H

#include "broker/broker.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ev_loop;

struct redis_options {
    const char *url;             /* borrowed for the call */
    uint64_t message_bytes;      /* larger payloads are dropped, counted and told by on_oversize */
    uint32_t connect_timeout_ms; /* 0: 5000 */
    uint32_t command_timeout_ms; /* 0: 5000; a publish is answered by then */
    uint32_t beat_interval_ms;   /* 0: 2000 */
    uint32_t beat_timeout_ms;    /* 0: 6000 without a beat means reconnect */
};

/* Counters of its own; written on the core thread only. */
struct redis_counters {
    uint64_t connects, disconnects, oversize, commands_failed;
};

/*
 * broker_redis_check_url: is this a URL that this build can use? Returns 0, or ERR_INVALID with one
 * line in why: what is wrong and what would be valid (Sentinel and Cluster URLs are refused by
 * name, rediss:// where this hiredis has no TLS). Never repeats a password.
 */
int broker_redis_check_url(const char *url, char *why, size_t why_size);

/* broker_redis_describe_url: the URL for logs, without user and password; returns `out`. */
const char *broker_redis_describe_url(const char *url, char *out, size_t out_size);

/* broker_redis_create: the URL must have passed broker_redis_check_url. Owned by the caller. */
struct broker *broker_redis_create(struct ev_loop *loop, const struct redis_options *options,
                                   const struct broker_events *events, void *ctx);

/* broker_redis_start: begins to connect; call once, when the hub is ready to hear events. */
void broker_redis_start(struct broker *b);

/* broker_redis_limit: another message_bytes from now on. */
void broker_redis_limit(struct broker *b, uint64_t message_bytes);

const struct redis_counters *broker_redis_counters(const struct broker *b);

#endif
