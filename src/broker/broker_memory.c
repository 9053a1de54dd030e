/*
 * A callback may subscribe, unsubscribe, publish or destroy. So a publication first copies the
 * names of the subscriptions that match and looks each one up again before it speaks, and the
 * broker itself is freed when the outermost publish returns.
 */
#include "broker/broker_memory.h"

#include "base/buf.h"
#include "base/cast.h"
#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "proto/glob.h"

enum { MEMORY_MAGIC = 0x6d656d62 };

struct memory_broker {
    struct broker base; /* first: it is what the hub holds */
    uint32_t magic;
    bool ended;                    /* destroy was called */
    struct publication *innermost; /* borrowed: on the stack of memory_publish */
    struct map *channels;          /* owned; values are struct topic, owned */
    struct map *patterns;          /* owned; values are struct topic, owned */
};

/* A publish that has not returned yet; `outer` is the one from whose callbacks it was called. */
struct publication {
    broker_publish_cb *cb; /* NULL: answered */
    void *arg;             /* borrowed: the caller's */
    struct publication *outer;
};

struct topic {
    size_t len;
    char name[];
};

static struct memory_broker *memory_of(struct broker *b)
{
    struct memory_broker *m = CAST_CHECKED(struct memory_broker, (void *)b, MEMORY_MAGIC);
    return m;
}

static struct span topic_name(const struct topic *t)
{
    return span_make(t->name, t->len);
}

static void free_topics(struct map **topics)
{
    size_t cursor = 0;
    for (void *t; (t = map_next(*topics, &cursor));)
        mem_free(t);
    map_destroy(topics);
}

static void answer(struct publication *p, int err, const char *why, int64_t receivers)
{
    broker_publish_cb *cb = p->cb;
    p->cb = NULL;
    if (cb)
        cb(p->arg, err, why, receivers);
}

static void free_memory(struct memory_broker *m)
{
    free_topics(&m->channels);
    free_topics(&m->patterns);
    m->magic = 0;
    mem_free(m);
}

static struct map *topics_of(struct memory_broker *m, enum topic_kind kind)
{
    return kind == TOPIC_PATTERN ? m->patterns : m->channels;
}

static void memory_subscribe(struct broker *b, enum topic_kind kind, struct span name)
{
    struct memory_broker *m = memory_of(b);
    struct map *topics = topics_of(m, kind);
    if (m->ended)
        return;
    if (!map_get(topics, name)) {
        struct topic *t = mem_alloc(sizeof(*t) + name.len);
        t->len = name.len;
        memcpy(t->name, name.ptr, name.len);
        map_put(topics, topic_name(t), t);
    }
    b->events->on_subscribed(b->ctx, kind, name);
}

static void memory_unsubscribe(struct broker *b, enum topic_kind kind, struct span name)
{
    struct memory_broker *m = memory_of(b);
    struct topic *t = m->ended ? NULL : map_del(topics_of(m, kind), name);
    if (!t)
        return;
    b->events->on_unsubscribed(b->ctx, kind, topic_name(t));
    mem_free(t);
}

/* The names of the patterns that match, one behind the other, each with its length before it. */
static size_t matching_patterns(const struct memory_broker *m, struct span channel, struct buf *out)
{
    size_t cursor = 0, count = 0;
    for (struct topic *t; (t = map_next(m->patterns, &cursor));) {
        if (!glob_match(topic_name(t), channel))
            continue;
        buf_append(out, &t->len, sizeof(t->len));
        buf_append(out, t->name, t->len);
        count++;
    }
    return count;
}

static void deliver_to_patterns(struct memory_broker *m, struct span channel, struct span payload,
                                const struct buf *names)
{
    for (size_t at = 0; at < names->len && !m->ended;) {
        struct span pattern = {.ptr = names->data + at + sizeof(size_t)};
        memcpy(&pattern.len, names->data + at, sizeof(pattern.len));
        at += sizeof(pattern.len) + pattern.len;
        if (map_get(m->patterns, pattern))
            m->base.events->on_message(m->base.ctx, channel, pattern, payload);
    }
}

static void memory_publish(struct broker *b, struct span channel, struct span payload,
                           broker_publish_cb *cb, void *arg)
{
    struct memory_broker *m = memory_of(b);
    if (m->ended) {
        cb(arg, ERR_UNAVAILABLE, "the gateway is stopping", 0);
        return;
    }
    struct publication here = {.cb = cb, .arg = arg, .outer = m->innermost};
    m->innermost = &here;
    struct buf names = {0};
    size_t receivers = matching_patterns(m, channel, &names);
    if (map_get(m->channels, channel)) {
        receivers++;
        b->events->on_message(b->ctx, channel, span_make(NULL, 0), payload);
    }
    deliver_to_patterns(m, channel, payload, &names);
    buf_free(&names);
    answer(&here, 0, NULL, (int64_t)receivers);
    m->innermost = here.outer;
    if (m->ended && !m->innermost)
        free_memory(m);
}

static void memory_destroy(struct broker *b)
{
    struct memory_broker *m = memory_of(b);
    m->ended = true;
    for (struct publication *p = m->innermost; p; p = p->outer)
        answer(p, ERR_UNAVAILABLE, "the gateway is stopping", 0);
    if (!m->innermost)
        free_memory(m);
}

static const struct broker_ops memory_ops = {
    .subscribe = memory_subscribe,
    .unsubscribe = memory_unsubscribe,
    .publish = memory_publish,
    .destroy = memory_destroy,
};

struct broker *broker_memory_create(const struct broker_events *events, void *ctx)
{
    struct memory_broker *m = mem_zalloc(sizeof(*m));
    m->base = (struct broker){.ops = &memory_ops, .events = events, .ctx = ctx};
    m->magic = MEMORY_MAGIC;
    m->channels = map_create();
    m->patterns = map_create();
    return &m->base;
}

void broker_memory_start(struct broker *b)
{
    b->events->on_up(b->ctx);
}
