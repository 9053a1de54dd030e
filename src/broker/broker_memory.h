/*
 * The broker without a broker: what is published is heard by this process's own subscriptions. For
 * development and tests. Subscriptions are confirmed from within the call.
 */
#ifndef BROKER_BROKER_MEMORY_H
#define BROKER_BROKER_MEMORY_H

#include "broker/broker.h"

/* broker_memory_create: owned by the caller; end it with ops->destroy. */
struct broker *broker_memory_create(const struct broker_events *events, void *ctx);

/* broker_memory_start: says on_up; call once, when the hub is ready to hear it. */
void broker_memory_start(struct broker *b);

#endif
