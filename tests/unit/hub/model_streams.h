/*
 * For the model test: streams on the shards of some workers, each of which judges what it is given.
 * What it is owed of durable messages stands in model_durable.h. Of ephemeral ones:
 *
 * Between a stream's `ready` and the next `waiting`, each publication that matches its topics comes
 * exactly once and in order. A missing one must be covered by a gap for a topic that matches it,
 * which is told after it was published and before a later publication comes. After a `waiting` each
 * topic tells a gap before the stream is ready again, unless all its channels are durable.
 */
#ifndef TESTS_MODEL_STREAMS_H
#define TESTS_MODEL_STREAMS_H

#include "base/buf.h"
#include "hub/shard.h"
#include "model_data.h"

#include <stdarg.h>
#include <stdlib.h>

enum { STREAMS = 8, WORKERS = 2 };

/* What a stream had of a publication. */
enum { HAD = 1, TOLD = 2 /* that it may have missed it */ };

struct stream {
    struct subscriber sub;
    bool open, ready, was_ready;
    bool fresh;   /* nothing has come since it was ready */
    bool refused; /* leaves when its worker's turn is over */
    uint32_t worker;
    unsigned mask;            /* of topics */
    unsigned gaps;            /* topics that have told a gap since the broker went */
    uint32_t since;           /* publications when it became ready */
    uint32_t last;            /* the ephemeral publication that came last */
    uint32_t covered[TOPICS]; /* by the topic's last gap: all publications up to this one */
    /* Durable messages */
    struct shard_resume resume;
    uint64_t start;        /* it is owed what comes after it; UINT64_MAX: not known yet */
    uint64_t cursor;       /* the last id it was told, */
    uint64_t sure;         /* and the last one but those of gaps */
    uint64_t told[TOPICS]; /* by gaps of a topic: everything up to this id */
    uint64_t room;         /* how many durable frames it still takes */
    bool doubtful;         /* gaps may be told, since of its cursor nobody knows anything */
    uint8_t had[PUBS];     /* publications that it had, or was told one by one to have missed */
};

static struct stream streams[STREAMS];
static char failure[256]; /* empty: none so far */
__attribute__((format(printf, 1, 2))) static void fail_model(const char *fmt, ...)
{
    va_list ap;
    if (failure[0])
        return;
    va_start(ap, fmt);
    vsnprintf(failure, sizeof(failure), fmt, ap);
    va_end(ap);
}

static struct stream *stream_of(struct subscriber *s)
{
    struct stream *st = (struct stream *)(void *)((char *)s - offsetof(struct stream, sub));
    if (!st->open)
        fail_model("stream %d was told something after it had left", (int)(st - streams));
    return st;
}

static int number_of(const struct stream *s)
{
    return (int)(s - streams);
}

static bool wants_channel(const struct stream *s, int channel)
{
    for (int i = 0; i < TOPICS; i++)
        if (s->mask >> i & 1 && topic_covers(i, channel))
            return true;
    return false;
}

static bool wants(const struct stream *s, uint32_t pub)
{
    return wants_channel(s, store.pubs[pub].channel);
}

static bool gap_covers(const struct stream *s, uint32_t pub)
{
    for (int i = 0; i < TOPICS; i++)
        if (s->mask >> i & 1 && s->covered[i] >= pub && topic_covers(i, store.pubs[pub].channel))
            return true;
    return false;
}

/* All that it should have had before publication `end` came, or was told to have missed. */
static void check_holes(const struct stream *s, uint32_t end)
{
    uint32_t from = s->last;
    if (s->fresh && s->since > from)
        from = s->since;
    for (uint32_t pub = from + 1; pub < end; pub++)
        if (!store.pubs[pub].id && wants(s, pub) && !gap_covers(s, pub))
            fail_model("stream %d lost publication %u on channel %s and was told no gap",
                       number_of(s), pub, channels[store.pubs[pub].channel]);
}

static void had_ephemeral(struct stream *s, uint32_t pub)
{
    if (pub == s->last)
        fail_model("stream %d had publication %u twice", number_of(s), pub);
    else if (pub < s->last)
        fail_model("stream %d had publication %u after %u", number_of(s), pub, s->last);
    else if (s->ready)
        check_holes(s, pub);
    s->last = pub;
    s->fresh = false;
}

static void had_ephemeral_gap(struct stream *s, int topic)
{
    s->covered[topic] = store.pub_count;
    s->gaps |= 1u << topic;
}

static void became_ready(struct stream *s)
{
    if (s->ready)
        fail_model("stream %d was told twice that it is ready", number_of(s));
    for (int i = 0; s->was_ready && i < TOPICS; i++)
        if (s->mask >> i & 1 && !(s->gaps >> i & 1) && !topic_pure(i))
            fail_model("stream %d is ready again and was told no gap of %s", number_of(s),
                       topics[i].name);
    s->ready = s->was_ready = s->fresh = true;
    s->since = store.pub_count;
}

#endif
