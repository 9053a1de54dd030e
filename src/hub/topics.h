/*
 * The core's table of topics: what is wanted of the broker, by which workers, in which form, and
 * what of it the broker has confirmed. Pure bookkeeping on the core thread.
 *
 * A topic's life: OFF (known, not asked for: the broker is away) -> ASKED -> ACTIVE (confirmed) ->
 * LEAVING (its end was asked for; messages may still come) -> gone, or asked for again when
 * somebody came meanwhile. A topic that nobody wants lingers before LEAVING.
 */
#ifndef HUB_TOPICS_H
#define HUB_TOPICS_H

#include "base/list.h"
#include "base/span.h"
#include "proto/topic.h"

#include <stdbool.h>
#include <stdint.h>

struct shard_topic;

enum topic_state { TOPIC_OFF, TOPIC_ASKED, TOPIC_ACTIVE, TOPIC_LEAVING };

/* One worker's subscribers of one form. */
struct topic_slot {
    struct shard_topic *token; /* borrowed, the worker's; NULL when nobody there */
    uint32_t count;
    bool lost;   /* ephemeral frames for it were dropped: a gap is owed */
    bool lagged; /* durable ones were: its streams must ask for them */
};

/* What the broker is asked for: the channel or pattern itself, and its notices. */
enum topic_part { PART_PLAIN = 1, PART_NOTES = 2 };

struct topic {
    struct list node;   /* patterns: in order of creation */
    struct list linger; /* in the list of the lingering or of the leaving */
    struct list settle; /* durable: in the list of those whose fence is not back */
    uint64_t linger_until_us;
    uint64_t streams; /* of all slots */
    enum topic_kind kind;
    enum topic_state state;
    unsigned wanted;    /* parts that were asked for: PART_PLAIN, and PART_NOTES where durable */
    unsigned confirmed; /* parts whose messages the broker sends, whatever the state says */
    unsigned leaving;   /* parts whose end was asked for and is not confirmed */
    uint64_t base;      /* durable: what was published up to here came before the subscription */
    uint64_t fence;   /* durable: when this one is back, what came between base and the subscription
                         is known, too */
    uint64_t indexed; /* durable patterns: all channels that match and changed after it are known */
    bool awaited;     /* durable: the healing waits for it to be confirmed again */
    bool index_asked; /* it was there when the look-up that is under way began */
    bool mixed;       /* a durable pattern that may also match ephemeral channels */
    bool had; /* was confirmed before the broker went: a gap is owed at the next confirmation */
    char *refused;       /* owned; why the broker will not have it; NULL */
    struct topic *cover; /* borrowed: the one by which the broker's copies come; NULL: itself */
    uint32_t riders;     /* topics that have this one as their cover */
    uint32_t above;      /* see covers.c */
    bool counted;        /* likewise */
    uint32_t prefix;     /* patterns: how many leading bytes are literal */
    uint32_t name_len;
    char *name;                /* owned, NUL-terminated; without the channel prefix */
    struct topic_slot slots[]; /* [worker * 2 + wrapped] */
};

struct topics; /* opaque */

struct topics *topics_create(uint32_t workers);
void topics_destroy(struct topics **topics);

struct topic *topics_find(const struct topics *t, enum topic_kind kind, struct span name);
struct topic *topics_add(struct topics *t, enum topic_kind kind, struct span name);
void topics_remove(struct topics *t, struct topic *topic);

/* All topics of one kind, in no order; cursor begins at 0. Nothing may be added or removed
 * meanwhile. */
struct topic *topics_next(const struct topics *t, enum topic_kind kind, size_t *cursor);
size_t topics_count(const struct topics *t, enum topic_kind kind);

/* topics_patterns: the head of the list of patterns (by `node`). */
const struct list *topics_patterns(const struct topics *t);

/* topic_matches: does this pattern match the channel's name? */
bool topic_matches(const struct topic *pattern, struct span channel);

static inline struct span topic_span(const struct topic *t)
{
    return (struct span){.ptr = t->name, .len = t->name_len};
}

#endif
