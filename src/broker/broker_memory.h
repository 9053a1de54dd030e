/*
 * The broker without a broker: what is published is heard by this process's own subscriptions, and
 * durable messages are kept in its memory (memory_log.h) and lost at its exit. For development,
 * tests and single nodes. Subscriptions are confirmed from within the call, and so is everything
 * else answered unless it is called from within a callback of a publication.
 */
#ifndef BROKER_BROKER_MEMORY_H
#define BROKER_BROKER_MEMORY_H

#include "base/clock.h"
#include "broker/broker.h"

#include <stdint.h>

struct memory_options {
    const struct clock *clock; /* borrowed; outlives the broker */
    uint64_t replay_bytes;     /* of durable messages that are kept; the oldest go first */
};

/* broker_memory_create: owned by the caller; end it with ops->destroy. */
struct broker *broker_memory_create(const struct memory_options *options,
                                    const struct broker_events *events, void *ctx);

/* broker_memory_start: says on_up; call once, when the hub is ready to hear it. */
void broker_memory_start(struct broker *b);

#endif
