/* The fan-out of a frame to a worker's streams, and the gaps that are owed to those without room.
 */
#include "hub/shard_private.h"

#include <assert.h>

/* A crowd's structs are spread over memory: ask for them before their turn. */
enum { PREFETCH_WHO = 8, PREFETCH_REST = 4 };

static void prefetch(const struct shard *shard, const struct shard_topic *t, uint32_t i)
{
    if (i + PREFETCH_WHO < t->count)
        __builtin_prefetch(t->members[i + PREFETCH_WHO].who, 1);
    if (i + PREFETCH_REST < t->count && shard->sink->prefetch)
        shard->sink->prefetch(shard->ctx, t->members[i + PREFETCH_REST].who);
}

/* The entries of one publication stand together, so just the first can have come before. */
static bool had_first(const struct subscriber *s, const struct lane_entry *entries)
{
#ifndef SLUICE_MUTANT_no_dedup
    return s->last_pub == entries[0].pub;
#else
    return false;
#endif
}

/* Ephemeral entries only, which is what most runs are; returns how many the stream was given. */
static uint32_t give_ephemeral(struct shard *shard, struct subscriber *s,
                               const struct lane_entry *entries, uint32_t n)
{
    uint32_t from = had_first(s, entries);
    if (from == n)
        return 0;
    s->last_pub = entries[n - 1].pub;
    shard->sink->deliver(shard->ctx, s, entries + from, n - from);
    return n - from;
}

/* A durable entry passes a stream by that replays, or has had it through another topic. */
static bool passes(const struct subscriber *s, const struct lane_entry *e)
{
#ifndef SLUICE_MUTANT_no_join_dedup
    return e->id && (s->replaying || e->id <= s->cursor);
#else
    return e->id && s->replaying;
#endif
}

static void advance(struct subscriber *s, const struct lane_entry *entries, uint32_t taken)
{
    while (taken && !entries[taken - 1].id)
        taken--;
    if (taken)
        s->cursor = entries[taken - 1].id;
}

void fanout_gap(struct shard *shard, struct subscriber *s, const struct lane_entry *gap)
{
    if (passes(s, gap))
        return; /* the replay tells it */
    uint32_t taken = shard->sink->deliver(shard->ctx, s, gap, 1);
    if (taken)
        advance(s, gap, taken);
    else
        pull_fall_back(shard, s);
}

/* As give_ephemeral for a run in which there are durable entries: what is for the stream, in pieces
 * that stand together. */
static uint32_t give_mixed(struct shard *shard, struct subscriber *s,
                           const struct lane_entry *entries, uint32_t n)
{
    uint32_t given = 0;
    for (uint32_t i = had_first(s, entries), end; i < n; i = end + 1) {
        for (end = i; end < n && !passes(s, &entries[end]); end++)
            ;
        if (end == i)
            continue;
        s->last_pub = entries[end - 1].pub;
        uint32_t taken = shard->sink->deliver(shard->ctx, s, entries + i, end - i);
        advance(s, entries + i, taken);
        given += taken;
        if (taken == end - i)
            continue;
        assert(s->replaying);
        pull_fall_back(shard, s);
        end = i + taken; /* the one that found no room, and that the replay begins with */
    }
    return given;
}

static bool any_durable(const struct lane_entry *entries, uint32_t n)
{
    uint64_t ids = 0;
    for (uint32_t i = 0; i < n; i++)
        ids |= entries[i].id;
    return ids != 0;
}

uint32_t shard_fan_out(struct shard *shard, const struct lane_entry *entries, uint32_t n)
{
    const struct shard_topic *t = entries[0].topic;
    uint64_t last = entries[n - 1].pub;
    uint32_t given = 0, given_last = 0;
    bool mixed = any_durable(entries, n);
    for (uint32_t i = 0; i < t->count; i++) {
        struct subscriber *s = t->members[i].who;
        prefetch(shard, t, i);
        uint32_t had =
            mixed ? give_mixed(shard, s, entries, n) : give_ephemeral(shard, s, entries, n);
        given += had;
        given_last += had > 0;
    }
    if (shard->last_pub != last) {
        shard->last_pub = last;
        shard->last_streams = 0;
    }
    shard->last_streams += given_last;
    return given;
}

void shard_owe_gap(struct subscriber *s, const struct shard_topic *t)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (s->subs[i].topic == t && !s->subs[i].owed) {
            s->subs[i].owed = true;
            s->owed++;
        }
}

bool shard_owes_gap(const struct subscriber *s, const struct shard_topic *t)
{
    for (uint32_t i = 0; s->owed && i < s->count; i++)
        if (s->subs[i].topic == t)
            return s->subs[i].owed;
    return false;
}

void shard_tell_owed(struct shard *shard, struct subscriber *s)
{
    for (uint32_t i = 0; s->owed && i < s->count; i++) {
        const struct shard_topic *t = s->subs[i].topic;
        if (!s->subs[i].owed)
            continue;
        s->subs[i].owed = false;
        s->owed--;
        shard->sink->overflow(shard->ctx, s, t->kind, topic_name(t));
    }
}
