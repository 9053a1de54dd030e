/*
 * Which channels and patterns are wanted, and which of them Redis has confirmed on the present
 * pub/sub connection. Core thread.
 *
 * Redis answers in order, one confirmation for each name, so those under way are counted and not
 * guessed: each name has at most one command under way, and what is wanted by the time of its
 * confirmation decides what comes next. The hub is told of a confirmation only when it agrees with
 * the last thing it asked for. Of a SUBSCRIBE with several names one that the ACL denies makes
 * Redis refuse the whole command; its names are then tried one by one.
 */
#ifndef BROKER_REDIS_SUBSCRIPTIONS_H
#define BROKER_REDIS_SUBSCRIPTIONS_H

#include "broker/broker.h"
#include "broker/broker_redis/link.h"

#include <stdbool.h>

struct subscriptions; /* opaque */

/* subscriptions_create: owned by the caller; speaks through broker->events (borrowed). */
struct subscriptions *subscriptions_create(const struct broker *broker);
void subscriptions_destroy(struct subscriptions **s);

/* subscriptions_want, _unwant: as broker_ops.subscribe and .unsubscribe. */
void subscriptions_want(struct subscriptions *s, enum topic_kind kind, struct span name);
void subscriptions_unwant(struct subscriptions *s, enum topic_kind kind, struct span name);

/* subscriptions_attach: a new connection, on which all that is wanted is asked for (borrowed). */
void subscriptions_attach(struct subscriptions *s, struct link *link);

/* subscriptions_detach: the connection is gone and every confirmation with it. */
void subscriptions_detach(struct subscriptions *s);

/* subscriptions_fill: puts commands into the link's output while that is low; true: more are left.
 */
bool subscriptions_fill(struct subscriptions *s);

/* subscriptions_confirm: false when Redis confirmed what was not asked for at this point. */
bool subscriptions_confirm(struct subscriptions *s, bool subscribed, enum topic_kind kind,
                           struct span name);

/* subscriptions_refuse: an error instead of confirmations; false when none was to be expected. */
bool subscriptions_refuse(struct subscriptions *s, const struct redisReply *reply);

#endif
