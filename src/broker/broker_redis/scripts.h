/*
 * Calls of the function library (deploy/sluice.lua), in the form that this connection allows:
 * FCALL, or EVALSHA where Redis is older than 7 or its user may not have functions loaded. Which
 * one is found out, and what is missing is loaded, at the first call, so that a gateway without
 * durable channels needs no right to either. A newer library than ours is left in place and used.
 * What was flushed meanwhile is loaded again, and the call repeated once. Core thread.
 */
#ifndef BROKER_REDIS_SCRIPTS_H
#define BROKER_REDIS_SCRIPTS_H

#include "base/span.h"
#include "broker/broker_redis/commands.h"

#include <stddef.h>
#include <stdint.h>

struct redisReply;
struct scripts;     /* opaque */
struct script_call; /* opaque: a call with its arguments, which can be sent again */

enum { SCRIPT_ARGUMENTS = 16 };

/*
 * The answer. err 0: reply is no error. ERR_INVALID: the library refused the arguments. ERR_DENIED:
 * the Redis user may not. ERR_UNAVAILABLE: anything else; with reply NULL the call, or its answer,
 * was lost with the connection. All is borrowed for the call.
 */
typedef void script_fn(void *arg, int err, const char *why, const struct redisReply *reply);

/* scripts_create: owned by the caller; commands is borrowed. */
struct scripts *scripts_create(struct commands *commands);

/* scripts_destroy: only when detached. */
void scripts_destroy(struct scripts **s);

/* scripts_attach: `commands` has a new connection. */
void scripts_attach(struct scripts *s);

/* scripts_refuse: it is going: all that is sent from now on is answered at once. To be called
 * before commands_detach, whose answers are occasions to ask for more. */
void scripts_refuse(struct scripts *s, const char *why);

/* scripts_detach: it is gone: commands_detach was called. Answers the calls that were not sent. */
void scripts_detach(struct scripts *s);

/* script_call_create: copies the arguments behind the key; owned by the caller. */
struct script_call *script_call_create(const char *function, size_t argc, const struct span *argv,
                                       script_fn *fn, void *arg);

/* script_call_destroy: not between a send and its answer; from within the answer is fine. */
void script_call_destroy(struct script_call **call);

/* scripts_send: exactly one answer a send, maybe from within the call. */
void scripts_send(struct scripts *s, struct script_call *call);

#endif
