/*
 * Durable publishes and other calls that change something, under way. One that was lost with its
 * connection, so that nobody knows whether Redis has carried it out, is made again on the next one,
 * with the same idempotency key: a random one where the caller gave none. Core thread; the caller
 * holds the guard in each call.
 */
#ifndef BROKER_REDIS_PUBLICATIONS_H
#define BROKER_REDIS_PUBLICATIONS_H

#include "broker/broker.h"
#include "broker/broker_redis/guard.h"
#include "broker/broker_redis/scripts.h"

#include <stdint.h>

struct ev_loop;
struct publications; /* opaque */

/* publications_create: owned by the caller; all else is borrowed. */
struct publications *publications_create(struct ev_loop *loop, struct guard *guard,
                                         struct scripts *scripts, uint32_t timeout_ms);

/* publications_destroy: behind publications_end. */
void publications_destroy(struct publications **p);

/* publications_attach: a new connection is ready; what was lost is made again. */
void publications_attach(struct publications *p);

/* publications_detach: it is gone; to be called before scripts_detach and commands_detach. */
void publications_detach(struct publications *p);

/* publications_end: answers all that is under way; nothing is made again. */
void publications_end(struct publications *p);

/* publications_add: as broker_ops.publish_durable. Only while attached. */
void publications_add(struct publications *p, const struct broker_publication *publication,
                      broker_durable_cb *cb, void *arg);

/* publications_call: as broker_ops.call. Only while attached. */
void publications_call(struct publications *p, const char *function, const struct span *args,
                       size_t count, broker_text_cb *cb, void *arg);

#endif
