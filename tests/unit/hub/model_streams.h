/*
 * For the model test: streams on the shards of some workers, each of which judges what it is given.
 *
 * The promise: between a stream's `ready` and the next `waiting`, each publication that matches its
 * topics comes exactly once and in order. A missing one must be covered by a gap for a topic that
 * matches it, which is told after it was published and before a later publication comes. After a
 * `waiting` each topic tells a gap before the stream is ready again.
 */
#ifndef TESTS_MODEL_STREAMS_H
#define TESTS_MODEL_STREAMS_H

#include "base/buf.h"
#include "hub/shard.h"
#include "model_redis.h"

#include <stdarg.h>
#include <stdlib.h>

enum { STREAMS = 8, WORKERS = 2 };

struct stream {
    struct subscriber sub;
    bool open, ready, was_ready;
    bool fresh;   /* nothing has come since it was ready */
    bool refused; /* leaves when its worker's turn is over */
    uint32_t worker;
    unsigned mask;            /* of topics */
    unsigned gaps;            /* topics that have told a gap since the broker went */
    uint32_t since;           /* publications when it became ready */
    uint32_t last;            /* the publication that came last */
    uint32_t covered[TOPICS]; /* by the topic's last gap: all publications up to this one */
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

static bool wants(const struct stream *s, uint32_t pub)
{
    for (int i = 0; i < TOPICS; i++)
        if (s->mask >> i & 1 && topic_covers(i, redis.pub_channel[pub]))
            return true;
    return false;
}

static bool gap_covers(const struct stream *s, uint32_t pub)
{
    for (int i = 0; i < TOPICS; i++)
        if (s->mask >> i & 1 && s->covered[i] >= pub && topic_covers(i, redis.pub_channel[pub]))
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
        if (wants(s, pub) && !gap_covers(s, pub))
            fail_model("stream %d lost publication %u on channel %s and was told no gap",
                       number_of(s), pub, channels[redis.pub_channel[pub]]);
}

static void had_message(struct stream *s, uint32_t pub, bool wrapped)
{
    if (pub == 0 || pub > redis.pubs || !wants(s, pub))
        fail_model("stream %d had publication %u, which it did not ask for", number_of(s), pub);
    else if (wrapped != s->sub.wrapped)
        fail_model("stream %d had publication %u in the wrong form", number_of(s), pub);
    else if (pub == s->last)
        fail_model("stream %d had publication %u twice", number_of(s), pub);
    else if (pub < s->last)
        fail_model("stream %d had publication %u after %u", number_of(s), pub, s->last);
    else if (s->ready)
        check_holes(s, pub);
    s->last = pub;
    s->fresh = false;
}

static void had_gap(struct stream *s, const char *text)
{
    char name[64];
    for (int i = 0; i < TOPICS; i++) {
        snprintf(name, sizeof(name), "{\"%s\":\"%s\",",
                 topics[i].kind == TOPIC_CHANNEL ? "channel" : "pattern", topics[i].name);
        if (!strstr(text, name))
            continue;
        if (!(s->mask >> i & 1))
            fail_model("stream %d was told a gap of a topic that is not its own", number_of(s));
        s->covered[i] = redis.pubs;
        s->gaps |= 1u << i;
        return;
    }
    fail_model("stream %d was told a gap of no topic", number_of(s));
}

static void deliver_one(void *ctx, struct subscriber *sub, struct frame *f)
{
    struct stream *s = stream_of(sub);
    char text[256];
    snprintf(text, sizeof(text), "%.*s", (int)f->len, f->bytes);
    const char *plain = "data: ", *wrapped = strstr(text, "\"data\":\"");
    if (strncmp(text, "event: sluice.gap\n", 18) == 0)
        had_gap(s, text);
    else if (wrapped)
        had_message(s, (uint32_t)strtoul(wrapped + 8, NULL, 10), true);
    else if (strncmp(text, plain, strlen(plain)) == 0)
        had_message(s, (uint32_t)strtoul(text + strlen(plain), NULL, 10), false);
    else
        fail_model("stream %d had something that is no message", number_of(s));
}

static void on_deliver(void *ctx, struct subscriber *sub, const struct lane_entry *entries,
                       uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        deliver_one(ctx, sub, entries[i].frame);
}

static void on_ready(void *ctx, struct subscriber *sub)
{
    struct stream *s = stream_of(sub);
    if (s->ready)
        fail_model("stream %d was told twice that it is ready", number_of(s));
    if (s->was_ready && (s->gaps & s->mask) != s->mask)
        fail_model("stream %d is ready again and was told no gap of a topic", number_of(s));
    s->ready = s->was_ready = s->fresh = true;
    s->since = redis.pubs;
}

static void on_waiting(void *ctx, struct subscriber *sub)
{
    struct stream *s = stream_of(sub);
    s->ready = false;
    s->gaps = 0;
}

static void on_refused(void *ctx, struct subscriber *sub, struct span name, const char *why)
{
    stream_of(sub)->refused = true;
}

static const struct shard_sink model_sink = {
    .deliver = on_deliver, .ready = on_ready, .waiting = on_waiting, .refused = on_refused};

static void stream_join(struct stream *s, struct shard *shard, uint32_t worker, unsigned mask,
                        bool wrapped)
{
    struct shard_want list[TOPICS];
    size_t n = 0;
    for (int i = 0; i < TOPICS; i++)
        if (mask >> i & 1)
            list[n++] = (struct shard_want){topics[i].kind, span_of(topics[i].name)};
    *s = (struct stream){.open = true, .worker = worker, .mask = mask};
    s->sub.wrapped = wrapped;
    shard_join(shard, &s->sub, list, n);
}

static void stream_leave(struct stream *s, struct shard *shard)
{
    shard_leave(shard, &s->sub);
    s->open = false;
}

/* When nothing is under way any more. */
static void check_at_rest(const struct stream *s)
{
    if (!s->open)
        return;
    if (!s->ready)
        fail_model("stream %d waits for ever", number_of(s));
    else
        check_holes(s, redis.pubs + 1);
}

#endif
