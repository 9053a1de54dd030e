/*
 * The heartbeat: a counter is PUBLISHed on the command connection, and its arrival on the pub/sub
 * connection proves both alive and on the same Redis. With each goes a ROLE, since a primary may be
 * made a replica under us. (The beat of durable messages, proto/notice.h, travels on the same
 * channel, but is asked for by the hub.) Core thread.
 */
#ifndef BROKER_REDIS_BEAT_H
#define BROKER_REDIS_BEAT_H

#include "broker/broker_redis/commands.h"
#include "broker/broker_redis/guard.h"
#include "broker/broker_redis/link.h"

#include <stdint.h>

struct heartbeat; /* opaque */

struct beat_events {
    /* The first one of this connection has come back. */
    void (*on_first)(void *ctx);
    /* Redis does not answer, or is not what it was; `why` is one line. */
    void (*on_lost)(void *ctx, const char *why);
};

struct beat_options {
    uint32_t interval_ms;
    uint32_t timeout_ms;
};

/* beat_create: owned by the caller; guard and commands are borrowed. */
struct heartbeat *beat_create(struct ev_loop *loop, struct guard *guard, struct commands *commands,
                              const struct beat_options *options, const struct beat_events *events,
                              void *ctx);
void beat_destroy(struct heartbeat **b);

/* beat_channel: this process's own channel, which nobody can guess; borrowed. */
struct span beat_channel(const struct heartbeat *b);

/* beat_begin: both connections stand (borrowed until beat_stop) and the channel is subscribed to.
 */
void beat_begin(struct heartbeat *b, const struct link *command, const struct link *pubsub);
void beat_stop(struct heartbeat *b);

/* beat_arrived: a message on the channel; one that is not ours changes nothing. */
void beat_arrived(struct heartbeat *b, struct span payload);

#endif
