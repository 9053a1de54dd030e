/*
 * A worker's part of the hub: which of its streams listen to which topics, and the fan-out of a
 * frame to them. Lives on the worker's thread; sees no sockets: what to do for a stream is a
 * callback.
 *
 * During a fan-out no subscriber is removed: a stream that must go is marked by its owner and
 * leaves with shard_leave when the fan-out is over.
 */
#ifndef HUB_SHARD_H
#define HUB_SHARD_H

#include "base/span.h"
#include "hub/lane.h"

#include <stdbool.h>
#include <stdint.h>

struct shard;
struct subscription; /* one topic of one subscriber */

/* A stream as the shard sees it: embedded in the stream's own struct, zeroed at first. */
struct subscriber {
    struct subscription *subs; /* owned by the shard */
    uint64_t last_pub;         /* number of the publication it was given last */
    uint32_t count;            /* of subs */
    uint32_t waiting;          /* topics that the broker has not confirmed */
    bool wrapped;              /* wants the wrapped form */
};

/* What the shard asks of the streams' owner. */
struct shard_sink {
    /* the frames of n entries, in order; borrowed */
    void (*deliver)(void *ctx, struct subscriber *s, const struct lane_entry *entries, uint32_t n);
    void (*prefetch)(void *ctx,
                     const struct subscriber *s);     /* its turn comes soon; NULL is allowed */
    void (*ready)(void *ctx, struct subscriber *s);   /* all its topics are confirmed */
    void (*waiting)(void *ctx, struct subscriber *s); /* the broker is away */
    /* the broker refuses a topic of this stream for good; `why` is one line */
    void (*refused)(void *ctx, struct subscriber *s, struct span name, const char *why);
};

struct shard *shard_create(uint32_t worker, struct uplink *up, const struct shard_sink *sink,
                           void *ctx);
/* shard_destroy: all subscribers must have left. */
void shard_destroy(struct shard **shard);

struct shard_want {
    enum topic_kind kind;
    struct span name;
};

/*
 * shard_join: subscribes s (zeroed but for `wrapped`) to all of `wants`; a name that stands twice
 * counts once. It may be called ready or waiting from within.
 */
void shard_join(struct shard *shard, struct subscriber *s, const struct shard_want *wants,
                size_t count);
void shard_leave(struct shard *shard, struct subscriber *s);

/*
 * shard_fan_out: gives n entries, all of one topic, to every subscriber of it, less what it has had
 * through another topic; returns how many deliveries that made.
 */
uint32_t shard_fan_out(struct shard *shard, const struct lane_entry *entries, uint32_t n);

/*
 * shard_handle: a control message of the core about topics or the broker. Returns false when the
 * message is not for the shard (the caller's then). Does not free it.
 */
bool shard_handle(struct shard *shard, const struct msg *m);

bool shard_broker_up(const struct shard *shard);
/* shard_broker_reason: why the broker is away; "" when it is not. Borrowed until the next message.
 */
const char *shard_broker_reason(const struct shard *shard);
size_t shard_topics(const struct shard *shard);

#endif
