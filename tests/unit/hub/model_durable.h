/*
 * For the model test: what a stream is owed of durable messages.
 *
 * From where it begins, each message of its topics comes exactly once and in rising order of id
 * over all channels, or a gap is told that covers it, before the stream is told any id behind it:
 * of a message, or the head. What Redis lost before this gateway heard of it is nobody's
 * fault. What Redis could not announce may come late: then a gap is told of it when it is found.
 * And no gap is told without a cause.
 */
#ifndef TESTS_MODEL_DURABLE_H
#define TESTS_MODEL_DURABLE_H

#include "model_streams.h"
#include "proto/event_id.h"

static bool told_of(const struct stream *s, uint32_t number)
{
    const struct pub *p = &store.pubs[number];
    for (int i = 0; i < TOPICS; i++)
        if (s->mask >> i & 1 && s->told[i] >= p->id && topic_covers(i, p->channel))
            return true;
    return s->had[number] != 0;
}

/* Is the loss told by a gap that is still to come, also if the stream resumes from here? A log
 * loses its messages in order, and a rewind is told at the dataset's floor. */
static bool told_later(const struct stream *s, uint32_t number, uint64_t upto)
{
    const struct pub *p = &store.pubs[number];
    if (in_log(p))
        return false;
    if (store.data.floor > upto || !store.data.exists || p->epoch != store.data.epoch)
        return true;
    for (uint32_t i = number + 1; i <= store.pub_count; i++) {
        const struct pub *later_one = &store.pubs[i];
        if (later_one->id > upto && later_one->channel == p->channel && !later_one->void_ &&
            !in_log(later_one) && !s->had[i])
            return true;
    }
    return false;
}

static void check_durable(const struct stream *s, uint64_t upto, bool at_rest)
{
    for (uint32_t i = 1; i <= store.pub_count; i++) {
        const struct pub *p = &store.pubs[i];
        bool owed = p->id && p->id > s->start && p->id <= upto && !p->void_ && wants(s, i);
        if (!owed || (p->muted && !at_rest) || told_of(s, i) ||
            (!at_rest && told_later(s, i, upto)))
            continue;
        fail_model("stream %d lost durable publication %u (id %llu) on channel %s, was at %llu",
                   number_of(s), i, (unsigned long long)p->id, channels[p->channel],
                   (unsigned long long)upto);
    }
}

static void told_id(struct stream *s, uint64_t id)
{
    s->cursor = s->sure = id;
    check_durable(s, id, false);
}

static void had_durable(struct stream *s, uint32_t number, uint64_t id)
{
    if (store.pubs[number].id != id)
        fail_model("stream %d had publication %u by another id", number_of(s), number);
    else if (s->had[number] == HAD)
        fail_model("stream %d had durable publication %u twice", number_of(s), number);
    else if (id <= s->cursor)
        fail_model("stream %d had durable publication %u, id %llu, when it was at %llu already",
                   number_of(s), number, (unsigned long long)id, (unsigned long long)s->cursor);
    s->had[number] = HAD;
    told_id(s, id);
}

/* Was the cursor told by a Redis that had lost it when it came back? */
static bool in_window(uint64_t cursor)
{
    for (size_t i = 0; i < store.data.reign_count; i++)
        if (cursor > store.data.reigns[i].before && cursor < store.data.reigns[i].first)
            return true;
    return false;
}

/* May a gap of this channel, or of all that a topic covers, be told to the stream? */
static bool has_cause(const struct stream *s, int topic, int channel)
{
    uint64_t at = later(s->cursor, s->start == UINT64_MAX ? 0 : s->start);
    if (store.lossy || s->doubtful || in_window(at) || at + store.seconds * second_us <= store.now)
        return true;
    for (int i = 0; i < CHANNELS; i++)
        if (channel >= 0 ? i == channel : topic_covers(topic, i))
            if (store.trimmed[i])
                return true;
    return false;
}

/* Beside the order: one message was found too late to come in its place, or what was behind an id
 * is lost. */
static void told_late(struct stream *s, uint64_t from)
{
    for (uint32_t i = 1; i <= store.pub_count; i++) {
        const struct pub *p = &store.pubs[i];
        if (!s->had[i] && (p->id == from || (p->id > from && !in_log(p))))
            s->had[i] = TOLD;
    }
}

/* Its cursor was none: it is owed all that there is behind the gap. */
static void begins_anew(struct stream *s, uint64_t id)
{
    s->start = id;
    for (uint32_t i = 1; i <= store.pub_count; i++)
        if (store.pubs[i].id && !s->had[i] && !in_log(&store.pubs[i]))
            s->had[i] = TOLD;
}

/* topic: as named, or -1; channel: likewise. */
static void had_durable_gap(struct stream *s, int topic, int channel, uint64_t from, uint64_t id,
                            bool unknown)
{
    if (!has_cause(s, topic, channel))
        fail_model("stream %d was told a gap of %s without a cause", number_of(s),
                   topic >= 0 ? topics[topic].name : channels[channel]);
    if (!id) {
        told_late(s, from);
        return;
    }
    if (id < s->cursor)
        fail_model("stream %d was at %llu, and a gap put it back to %llu", number_of(s),
                   (unsigned long long)s->cursor, (unsigned long long)id);
    if (unknown)
        begins_anew(s, id);
    if (topic >= 0)
        s->told[topic] = later(s->told[topic], id);
    for (uint32_t i = 1; i <= store.pub_count; i++)
        if (channel >= 0 && store.pubs[i].channel == channel && store.pubs[i].id <= id)
            s->had[i] = TOLD;
    s->cursor = id; /* more gaps of the same id may follow, of other topics */
}

/* One that asked for the past without an id is owed what is there still. */
static void check_past(const struct stream *s)
{
    const struct shard_resume *r = &s->resume;
    /* The hub's idea of the dataset's clock is as old as what it has heard last. */
    uint64_t now = later(store.now, store.data.last) + 1000;
    uint64_t after = r->from == REPLAY_SINCE ? now - r->value * second_us : 0;
    uint64_t most = r->from == REPLAY_SINCE ? LOG : r->from == REPLAY_LAST ? r->value : 0;
    for (int c = FIRST_DURABLE; c < CHANNELS; c++) {
        const struct model_log *log = &store.logs[c];
        for (uint64_t n = 0; n < most && n < log->count && wants_channel(s, c); n++) {
            const struct log_entry *e = &log->entries[log->first + log->count - 1 - n];
            const struct pub *p = &store.pubs[e->pub];
            if (e->id > after && e->id <= s->sub.cursor && !p->muted && !p->void_ &&
                !told_of(s, e->pub))
                fail_model("stream %d did not have publication %u, which it asked for",
                           number_of(s), e->pub);
        }
    }
}

/* What a stream that asked for no past is owed begins when it has caught up. */
static void begins(struct stream *s, uint64_t id)
{
    if (s->start > id)
        s->start = id;
}

static uint64_t newest_id(void)
{
    for (uint32_t i = store.pub_count; i > 0; i--)
        if (store.pubs[i].id)
            return store.pubs[i].id;
    return 0;
}

static void became_live(struct stream *s)
{
    if (s->start == UINT64_MAX)
        check_past(s);
    begins(s, s->sub.cursor);
    if (s->sub.cursor < s->cursor)
        fail_model("stream %d was at %llu, and is live from %llu", number_of(s),
                   (unsigned long long)s->cursor, (unsigned long long)s->sub.cursor);
    told_id(s, s->sub.cursor);
}

/* The head that it would be told now. */
static void check_head(struct stream *s, uint64_t frontier)
{
    if (s->open && s->sub.durable && !s->sub.replaying)
        told_id(s, later(s->cursor, later(s->sub.cursor, frontier)));
}

static void check_durable_at_rest(const struct stream *s)
{
    if (!s->sub.durable)
        return;
    if (s->sub.replaying)
        fail_model("stream %d replays for ever", number_of(s));
    check_durable(s, UINT64_MAX, true);
}

static void stream_begins(struct stream *s, const struct shard_resume *resume)
{
    s->resume = *resume;
    s->start = UINT64_MAX;
    s->room = UINT64_MAX;
    if (resume->from == REPLAY_AFTER)
        s->start = resume->value;
    if (resume->from == REPLAY_UNKNOWN)
        s->start = 0;
    s->doubtful =
        resume->from == REPLAY_UNKNOWN || resume->from == REPLAY_SINCE ||
        (resume->from == REPLAY_AFTER && (resume->value > later(newest_id(), store.data.last) ||
                                          resume->value + 1 < store.data.born));
}

#endif
