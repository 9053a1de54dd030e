/* The inside of the shard, shared by shard.c, shard_fanout.c and shard_pull.c only. */
#ifndef HUB_SHARD_PRIVATE_H
#define HUB_SHARD_PRIVATE_H

#include "base/map.h"
#include "hub/shard.h"

struct subscription {
    struct shard_topic *topic; /* borrowed: lives while it has a subscriber */
    uint32_t index;            /* where in topic->members */
    bool owed;                 /* a gap is to be told: see shard_owe_gap */
};

/* One place in a topic: who, and the subscription that must hear when the place moves. */
struct member {
    struct subscriber *who; /* borrowed */
    uint32_t sub;           /* index into who->subs */
};

struct shard_topic {
    struct member *members; /* owned */
    uint32_t count, cap;
    uint32_t goodbyes; /* times the core was told that nobody listens and has not yet answered */
    enum topic_kind kind;
    bool wrapped; /* plain and wrapped are topics of their own: the core must know each before it is
                     owed */
    bool ready;   /* confirmed: what is published from here on arrives */
    uint32_t name_len;
    char name[]; /* NUL-terminated */
};

static inline struct span topic_name(const struct shard_topic *t)
{
    return span_make(t->name, t->name_len);
}

struct shard {
    uint32_t worker;
    struct uplink *up;             /* borrowed */
    const struct shard_sink *sink; /* borrowed */
    void *ctx;                     /* borrowed */
    struct map *topics[2][2];      /* by enum topic_kind and form; values owned */
    struct map *pulls;             /* by number; values owned by their subscribers */
    uint64_t numbers;              /* of pulls given so far: none is given twice */
    uint64_t frontier;
    uint64_t last_pub;     /* the publication fanned out last, */
    uint32_t last_streams; /* and how many streams had it */
    bool up_now;
    char *reason; /* owned; why the broker is away */
};

/* fanout_gap: gives a gap, with an id in the place of durable messages up to it. */
void fanout_gap(struct shard *shard, struct subscriber *s, const struct lane_entry *gap);

/* pull_begin: a durable subscriber has joined. pull_end: it leaves. */
void pull_begin(struct shard *shard, struct subscriber *s, const struct shard_resume *resume);
void pull_end(struct shard *shard, struct subscriber *s);

/* pull_fall_back: from live to replaying; nothing is asked for yet. */
void pull_fall_back(struct shard *shard, struct subscriber *s);

/* pull_reach: what was found missing at or below it no slice will tell: it is past it, or has been
 * made. */
uint64_t pull_reach(const struct subscriber *s);

/* pull_settle: a live stream has everything up to the frontier: its cursor is at least there. */
void pull_settle(const struct shard *shard, struct subscriber *s);

/* pull_slice: takes the slice out of the message. pull_lag: MSG_TOPIC_LAG. */
void pull_slice(struct shard *shard, struct msg *m);
void pull_lag(struct shard *shard, const struct shard_topic *t);

#endif
