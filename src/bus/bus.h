/*
 * The invalidation bus on the core thread: invalidations on their way, who has confirmed them, and
 * the feeds of this gateway. It sees no sockets and no Redis: what it asks of the store are
 * functions of the library (deploy/sluice.lua), by the vtable below, and what it tells the workers
 * are answers to their requests. The feed itself is a durable channel (FEED_CHANNEL) and none of
 * the bus's business.
 */
#ifndef BUS_BUS_H
#define BUS_BUS_H

#include "base/clock.h"
#include "hub/messages.h"
#include "ops/metrics.h"

#include <stdbool.h>
#include <stdint.h>

struct bus; /* opaque */

/* As broker_text_cb and broker_count_cb: exactly one answer a call, maybe from within it. */
typedef void bus_text_cb(void *arg, int err, const char *why, struct span text);
typedef void bus_count_cb(void *arg, int err, const char *why, uint64_t count);

/* What the bus needs of the store; see struct broker_ops. */
struct bus_store {
    void (*call)(void *ctx, const char *function, const struct span *args, size_t count,
                 bus_text_cb *cb, void *arg);
    void (*sweep)(void *ctx, struct span pattern, bus_count_cb *cb, void *arg);
    /* subscribes to a channel of the gateways' own, for bus_heard; once for each */
    void (*listen)(void *ctx, const char *channel);
    /* to a worker: an answer, or BUS_END_FEED; takes it over */
    void (*answer)(void *ctx, uint32_t worker, struct bus_request *answer);
    void *ctx; /* borrowed */
};

struct bus_options {
    struct bus_store store;
    const struct clock *clock; /* borrowed */
    struct metrics *metrics;   /* borrowed: the core thread's own */
    const char *tag_prefix;    /* borrowed until bus_change; of the sets that hold a tag's keys */
};

struct bus *bus_create(const struct bus_options *options);
/* bus_destroy: after the store has answered all its calls. */
void bus_destroy(struct bus **bus);

/* bus_take: a worker's request; takes it over. Answered once, unless its exchange is 0. */
void bus_take(struct bus *bus, uint32_t worker, struct bus_request *request);

/* bus_heard: a message on a channel that was listened to. */
void bus_heard(struct bus *bus, struct span channel, struct span payload);

/* bus_broker: the store came or went; also that it came anew: it may know nothing of before. */
void bus_broker(struct bus *bus, bool up);

/* bus_tick: does what is due, and sends what has gathered: to be called before each sleep of the
 * loop. When to call again, monotonic microseconds; 0: never. */
uint64_t bus_tick(struct bus *bus, uint64_t now);

/* bus_hurry: the gateway is about to end: who waits for peers is answered with who is pending, and
 * from now on nobody waits. */
void bus_hurry(struct bus *bus);

/* bus_change: the configuration has changed. */
void bus_change(struct bus *bus, const char *tag_prefix);

#endif
