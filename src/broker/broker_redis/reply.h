/*
 * Reading replies of Redis, whose shape is never taken for granted: each function answers for any
 * reply, NULL and odd ones too. Pure.
 */
#ifndef BROKER_REDIS_REPLY_H
#define BROKER_REDIS_REPLY_H

#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>

struct redisReply;

/* reply_bytes: those of a string, a status or an error; ptr NULL for anything else. */
struct span reply_bytes(const struct redisReply *reply);

/* reply_element: the i-th element of an array, or NULL. */
const struct redisReply *reply_element(const struct redisReply *reply, size_t i);

bool reply_is_error(const struct redisReply *reply);

/* reply_has_code: is it an error that begins with this text ("NOPERM", "ERR max number")? */
bool reply_has_code(const struct redisReply *reply, const char *code);

/*
 * reply_explain: one line for people, without control characters, cut at out_size; returns `out`.
 * Not for answers to AUTH: Redis may repeat its arguments.
 */
const char *reply_explain(const struct redisReply *reply, char *out, size_t out_size);

#endif
