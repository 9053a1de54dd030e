/*
 * What a webhook's body invalidates, by the rules of the configuration. Pure; any thread. The
 * signature is signature.h's business and comes first.
 */
#ifndef BUS_WEBHOOK_H
#define BUS_WEBHOOK_H

#include "base/buf.h"
#include "proto/webhook_rule.h"

/*
 * webhook_evaluate: the names of all rules whose conditions are met, each once; none, when no rule
 * is. A field's value goes into a pattern with its glob characters escaped, so that a slug "*"
 * names itself and not everything. 0 with an owned *out, or one line in why and
 * ERR_INVALID    the body is not JSON
 * ERR_NOT_FOUND  a template cannot be filled: its field is missing, empty, or neither a string nor
 *                a number, or the name that it makes is none: `rules[0].keys[1]: data.id: missing`
 * ERR_TOO_LARGE  more than 10,000 names
 * On failure *out is untouched.
 */
int webhook_evaluate(const struct webhook_rule *rules, size_t count, struct span body,
                     struct invalidation *out, char *why, size_t why_size);

/*
 * webhook_delivery_key: appends the idempotency key of a delivery, "webhook:<name>:<id>"; nothing
 * when the configuration names no place. header: the value of delivery->header in the request, ptr
 * NULL where it is not there. 0, or ERR_NOT_FOUND with one line in why: the id is not there, or is
 * none.
 */
int webhook_delivery_key(const struct webhook_delivery *delivery, const char *name,
                         struct span header, struct span body, struct buf *key, char *why,
                         size_t why_size);

#endif
