/*
 * The command connection: what was sent and awaits its answer, in order, with a time limit for
 * publishes. Core thread. Every call is answered exactly once, whatever happens.
 */
#ifndef BROKER_REDIS_COMMANDS_H
#define BROKER_REDIS_COMMANDS_H

#include "broker/broker.h"
#include "broker/broker_redis/guard.h"
#include "broker/broker_redis/link.h"

#include <stdint.h>

struct commands; /* opaque */

/* `reply` is NULL when the connection is gone; borrowed for the call. */
typedef void command_fn(void *arg, const struct redisReply *reply);

/* commands_create: owned by the caller. */
struct commands *commands_create(struct ev_loop *loop, struct guard *guard, uint32_t timeout_ms);

/* commands_destroy: nothing may be under way any more (commands_detach). */
void commands_destroy(struct commands **c);

/* commands_attach: a new connection, on which nothing is awaited yet (borrowed until detached). */
void commands_attach(struct commands *c, struct link *link);

/* commands_detach: the connection is gone; answers all that is under way with `why`. */
void commands_detach(struct commands *c, const char *why);

/* commands_call: no time limit of its own. Only while attached. */
void commands_call(struct commands *c, size_t argc, const struct span *argv, command_fn *fn,
                   void *arg);

/* commands_publish: only while attached. */
void commands_publish(struct commands *c, struct span channel, struct span payload,
                      broker_publish_cb *cb, void *arg);

/* commands_reply: the next reply of the connection; false when nothing awaits one. */
bool commands_reply(struct commands *c, const struct redisReply *reply);

#endif
