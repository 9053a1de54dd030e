/*
 * What the hub asks of the history that Redis keeps (broker_ops.hello, fence, changed, read, back):
 * the calls, and their answers read strictly. Core thread; the caller holds the guard in each call.
 */
#ifndef BROKER_REDIS_HISTORY_H
#define BROKER_REDIS_HISTORY_H

#include "broker/broker.h"
#include "broker/broker_redis/scripts.h"

#include <stdint.h>

struct history; /* opaque */

/* history_create: owned by the caller; scripts is borrowed. */
struct history *history_create(struct scripts *scripts);

/* history_destroy: when nothing is under way any more. */
void history_destroy(struct history **h);

/* As in broker_ops; only while connected, or the answer is ERR_UNAVAILABLE. */
void history_hello(struct history *h, struct span epoch, struct span boot, uint64_t highest,
                   broker_hello_cb *cb, void *arg);
void history_changed(struct history *h, uint64_t after, uint32_t limit, broker_changes_cb *cb,
                     void *arg);
void history_read(struct history *h, struct span channel, uint64_t after, uint32_t limit,
                  uint64_t bytes, broker_slice_cb *cb, void *arg);

void history_last(struct history *h, struct span channel, uint32_t count, uint64_t bytes,
                  broker_back_cb *cb, void *arg);

/* history_fence: the beat of the library on `channel`. */
void history_fence(struct history *h, struct span channel);

#endif
