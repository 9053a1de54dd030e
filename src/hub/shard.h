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
    bool durable;              /* has a durable topic: set by its owner, before shard_join */
    /*
     * REPLAYING: it pulls slices from the core; durable entries of the lane pass it by, ephemeral
     * ones do not. Set by the shard at the join and on a lag, and by the owner within `deliver`
     * when a durable entry finds no room.
     */
    bool replaying;
    uint32_t owed;     /* topics of which a gap is to be told: see shard_owe_gap */
    uint64_t cursor;   /* all durable messages of its topics up to it were given or told */
    struct pull *pull; /* owned by the shard: its request to the core; NULL unless durable */
};

/* Where a durable stream begins; see struct replay_request. */
struct shard_resume {
    enum replay_from from;
    uint64_t value;
    bool fenced;
};

/* What the shard asks of the streams' owner. */
struct shard_sink {
    /*
     * The frames of n entries, in order; borrowed. Returns how many were taken: fewer only where
     * the subscriber is replaying, or has been set replaying by the call; it calls shard_pull when
     * there is room again. An ephemeral entry is always taken, if only to end a stream that is too
     * slow, or to owe it a gap.
     */
    uint32_t (*deliver)(void *ctx, struct subscriber *s, const struct lane_entry *entries,
                        uint32_t n);
    /* it has had everything up to s->cursor and goes on live */
    void (*caught_up)(void *ctx, struct subscriber *s);
    /* durable channels cannot be had; `why` is one line */
    void (*no_history)(void *ctx, struct subscriber *s, const char *why);
    /* the gap `overflow` that was owed for a topic: see shard_tell_owed */
    void (*overflow)(void *ctx, struct subscriber *s, enum topic_kind kind, struct span name);
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
 * shard_join: subscribes s (zeroed but for `wrapped` and `durable`) to all of `wants`; a
 * name that stands twice counts once. It may be called ready or waiting from within. A durable one
 * begins as `resume` says (NULL: with what comes) and is replaying until it has caught up.
 */
void shard_join(struct shard *shard, struct subscriber *s, const struct shard_want *wants,
                size_t count, const struct shard_resume *resume);
/* shard_pull: a replaying subscriber has room again: gives it more, or asks the core. */
void shard_pull(struct shard *shard, struct subscriber *s);
/* shard_frontier: all durable messages up to it have been fanned out; the cursor that a live stream
 * may be told is the higher of this and its own. */
uint64_t shard_frontier(const struct shard *shard);
void shard_leave(struct shard *shard, struct subscriber *s);

/*
 * shard_owe_gap: for `deliver`: an ephemeral entry of topic t found no room with a stream that
 * stays. While shard_owes_gap, further ones are dropped too, so that the gap stands where the hole
 * is. shard_tell_owed: there is room: calls `overflow` for each of the topics, and owes no more.
 */
void shard_owe_gap(struct subscriber *s, const struct shard_topic *t);
bool shard_owes_gap(const struct subscriber *s, const struct shard_topic *t);
void shard_tell_owed(struct shard *shard, struct subscriber *s);

/*
 * shard_fan_out: gives n entries, all of one topic, to every subscriber of it, less what it has had
 * through another topic; returns how many deliveries that made.
 */
uint32_t shard_fan_out(struct shard *shard, const struct lane_entry *entries, uint32_t n);

/*
 * shard_handle: a control message of the core about topics or the broker. Returns false when the
 * message is not for the shard (the caller's then). Does not free it, but may take things out of
 * it.
 */
bool shard_handle(struct shard *shard, struct msg *m);

bool shard_broker_up(const struct shard *shard);
/* shard_broker_reason: why the broker is away; "" when it is not. Borrowed until the next message.
 */
const char *shard_broker_reason(const struct shard *shard);
/* shard_topics: how many it knows, for tests. */
size_t shard_topics(const struct shard *shard);

#endif
