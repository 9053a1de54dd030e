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

struct buf;
struct ev_loop;

struct redis_options {
    const char *url;             /* borrowed for the call */
    uint64_t message_bytes;      /* larger payloads are dropped, counted and told by on_oversize */
    uint32_t connect_timeout_ms; /* 0: 5000 */
    uint32_t command_timeout_ms; /* 0: 5000; a publish is answered by then */
    uint32_t
        durable_timeout_ms;    /* 0: 10000; so long is a durable publish tried, over connections */
    uint32_t beat_interval_ms; /* 0: 2000 */
    uint32_t beat_timeout_ms;  /* 0: 6000 without a beat means reconnect */
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

/* What Redis's client tracking tells; all on the core thread, spans borrowed for the call. */
struct tracking_events {
    /* A new pair of connections stands: what changes from here on is told, until on_down. */
    void (*on_up)(void *ctx);
    void (*on_down)(void *ctx, const char *why);
    /* A key below the prefixes, or TRACKING_BEACONS, was written, deleted or expired. */
    void (*on_key)(void *ctx, struct span key);
    /* Any or all of them may have been: FLUSHALL or FLUSHDB. */
    void (*on_flush)(void *ctx);
    /* Somebody has PUBLISHed on Redis's own channel; nothing follows from it. */
    void (*on_spoof)(void *ctx);
};

/* Keys that are tracked beside those that were asked for. */
#define TRACKING_BEACONS "sluice:track:"

enum { TRACKING_PREFIXES = 256 };

/*
 * broker_redis_track: has the keys below the prefixes tracked whenever Redis is there. At most
 * once, before broker_redis_start; prefixes are borrowed for the call, events are static.
 * broker_redis_track_again: the present pair of connections is in doubt; makes another.
 */
void broker_redis_track(struct broker *b, const char *const *prefixes, size_t count,
                        const struct tracking_events *events, void *ctx);
void broker_redis_track_again(struct broker *b, const char *why);

/*
 * broker_redis_functions: asks the Redis at `url`, for five seconds at most, which version of the
 * function library it has loaded, on a loop of its own. Appends one line to out: 0 when it is at
 * least this program's; else ERR_NOT_FOUND (none, or an older one), ERR_INVALID (the URL) or
 * ERR_UNAVAILABLE (Redis could not be asked, and why). Never repeats a password.
 */
int broker_redis_functions(const char *url, struct buf *out);

/* broker_redis_may_evict: was Redis seen to be one that may drop history for want of memory? */
bool broker_redis_may_evict(const struct broker *b);

#endif
