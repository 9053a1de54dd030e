/*
 * The core of the hub: knows every topic, hears the broker, frames each message once and posts it
 * to the workers that need it. Lives on the core thread; no sockets, no Redis, no loop: its owner
 * calls it when the broker or a worker has something, and when a deadline is due.
 */
#ifndef HUB_CORE_H
#define HUB_CORE_H

#include "base/clock.h"
#include "base/span.h"
#include "broker/broker.h"
#include "hub/lane.h"
#include "hub/namespaces.h"
#include "ops/metrics.h"

#include <stdbool.h>
#include <stdint.h>

struct core; /* opaque */

/* What the invalidation bus hears of the core; each may be NULL. */
struct core_hooks {
    void (*bus)(void *ctx, uint32_t worker, struct bus_request *request); /* takes it over */
    /* a message on a channel that core_listen asked for; borrowed for the call */
    void (*internal)(void *ctx, struct span channel, struct span payload);
    /* it came or went; up once more where it is another dataset than it was, or an older one */
    void (*broker)(void *ctx, bool up);
    void *ctx; /* borrowed */
};

struct core_options {
    uint32_t workers;
    struct downlink *downlinks;          /* borrowed: one for each worker */
    struct uplink *uplink;               /* borrowed */
    const struct clock *clock;           /* borrowed */
    const struct namespaces *namespaces; /* borrowed */
    struct metrics *metrics;             /* borrowed: the core thread's own */
    const char *channel_prefix;          /* borrowed for the call */
    uint64_t linger_us;                  /* how long an unwanted subscription is kept */
    uint64_t publish_bytes;              /* of HTTP publishes under way; more are refused */
    uint64_t message_bytes;              /* largest payload: an envelope counts with its wrapping */
    struct core_hooks hooks;
    uint64_t replay_bytes; /* of durable messages kept in memory */
    bool count_streams;    /* receivers of a publish are streams, counted here (memory broker) */
};

struct core *core_create(const struct core_options *options);
/* core_destroy: after the broker and the workers. */
void core_destroy(struct core **core);

/* What to give a broker as its events; ctx is the core. */
extern const struct broker_events core_broker_events;

/* core_attach: the broker to use from now on; borrowed. NULL before it is destroyed. */
void core_attach(struct core *core, struct broker *broker);

/* core_listen: subscribes to a channel of the gateways' own ("sluice:..."), for hooks.internal.
 * Once for each; the broker keeps it up. */
void core_listen(struct core *core, const char *channel);
/* core_answer_bus: posts MSG_BUS_DONE; takes the answer over. */
void core_answer_bus(struct core *core, uint32_t worker, struct bus_request *answer);

/* core_take_messages: handles what the workers have posted. */
void core_take_messages(struct core *core);

/* core_tick: does what is due; returns when to call again (monotonic microseconds), 0 for never. */
uint64_t core_tick(struct core *core);

/* core_end_turn: wakes the workers that anything was posted to. Call before the loop sleeps. */
void core_end_turn(struct core *core);

/* What may change while the core runs; as in core_options. */
struct core_settings {
    const struct namespaces *namespaces;
    uint64_t linger_us, message_bytes;
};

/*
 * core_change: takes new settings over, and posts `workers` (for them to know what it is) to every
 * worker. core_settings_due: how many workers still use what came before.
 */
void core_change(struct core *core, const struct core_settings *settings, const void *workers);
uint32_t core_settings_due(const struct core *core);

/* core_drain_workers: posts MSG_DRAIN. */
void core_drain_workers(struct core *core, uint32_t seconds);

/* core_stop_workers: posts MSG_STOP and wakes them, since it may be asked for before the loop runs;
 * core_workers_left: how many have not said MSG_STOPPED. */
void core_stop_workers(struct core *core);
uint32_t core_workers_left(const struct core *core);

#endif
