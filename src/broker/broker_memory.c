/*
 * A callback may call anything, destroy too. So what goes out (publications, notices, fences)
 * stands in a queue and is told one after the other, as Redis does it: what is called from within a
 * callback waits until the one before it has been told to all. A publication first copies the names
 * of the patterns that match and looks each one up again before it speaks, and the broker itself is
 * freed when the outermost call returns.
 */
#include "broker/broker_memory.h"

#include "base/buf.h"
#include "base/cast.h"
#include "base/err.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "broker/memory_log.h"
#include "proto/glob.h"
#include "proto/notice.h"

enum { MEMORY_MAGIC = 0x6d656d62 };

static const char stopping[] = "the gateway is stopping";

struct memory_broker {
    struct broker base; /* first: it is what the hub holds */
    uint32_t magic;
    bool ended;             /* destroy was called */
    bool telling;           /* `queue` is being worked off by a call further out */
    struct list queue;      /* of struct telling; the first one is under way */
    struct map *channels;   /* owned; values are struct topic, owned */
    struct map *patterns;   /* owned; values are struct topic, owned */
    struct memory_log *log; /* owned */
};

/* Something that goes out: a publication, or a fence (without a channel). */
struct telling {
    struct list node;
    struct span channel, payload; /* of the caller, or of `copy` */
    char *copy;                   /* owned; NULL: told before the call returns */
    broker_publish_cb *published; /* whom to answer; both NULL: nobody any more */
    broker_durable_cb *kept;
    void *arg;   /* borrowed: the caller's */
    uint64_t id; /* of a durable message, or the fence's clock */
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

static void free_memory(struct memory_broker *m)
{
    free_topics(&m->channels);
    free_topics(&m->patterns);
    memory_log_destroy(&m->log);
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

static void answer(struct telling *t, int err, int64_t receivers)
{
    broker_publish_cb *published = t->published;
    broker_durable_cb *kept = t->kept;
    t->published = NULL;
    t->kept = NULL;
    if (published)
        published(t->arg, err, err ? stopping : NULL, receivers);
    if (kept)
        kept(t->arg, err, err ? stopping : NULL, t->id);
}

static int64_t tell_publication(struct memory_broker *m, const struct telling *t)
{
    struct buf names = {0};
    size_t receivers = matching_patterns(m, t->channel, &names);
    if (map_get(m->channels, t->channel)) {
        receivers++;
        m->base.events->on_message(m->base.ctx, t->channel, span_make(NULL, 0), t->payload);
    }
    deliver_to_patterns(m, t->channel, t->payload, &names);
    buf_free(&names);
    return (int64_t)receivers;
}

static void tell(struct memory_broker *m, struct telling *t)
{
    int64_t receivers = 0;
    if (t->channel.ptr)
        receivers = tell_publication(m, t);
    else
        m->base.events->on_fence(m->base.ctx, memory_log_epoch(m->log), t->id, 0);
    answer(t, 0, receivers);
}

static void take_off(struct telling *t)
{
    list_remove(&t->node);
    if (t->copy) {
        mem_free(t->copy);
        mem_free(t);
    }
}

static struct telling *first_of(struct memory_broker *m)
{
    struct list *node = list_first(&m->queue);
    return node ? LIST_ENTRY(node, struct telling, node) : NULL;
}

/* What waits outlives the call that it comes from: it has its own copy of everything. */
static struct telling *copy_of(const struct telling *t)
{
    struct telling *own = mem_dup(t, sizeof(*t));
    own->copy = mem_alloc(t->channel.len + t->payload.len + 1);
    if (!t->channel.ptr)
        return own;
    memcpy(own->copy, t->channel.ptr, t->channel.len);
    if (t->payload.len)
        memcpy(own->copy + t->channel.len, t->payload.ptr, t->payload.len);
    own->channel.ptr = own->copy;
    own->payload.ptr = own->copy + t->channel.len;
    return own;
}

/* Tells it now, or after what is being told. */
static void tell_in_turn(struct memory_broker *m, struct telling *t)
{
    if (m->telling) {
        list_append(&m->queue, &copy_of(t)->node);
        return;
    }
    m->telling = true;
    list_append(&m->queue, &t->node);
    for (struct telling *next; (next = first_of(m));) {
        if (!m->ended)
            tell(m, next);
        take_off(next);
    }
    m->telling = false;
    if (m->ended)
        free_memory(m);
}

static void memory_publish(struct broker *b, struct span channel, struct span payload,
                           broker_publish_cb *cb, void *arg)
{
    struct memory_broker *m = memory_of(b);
    if (m->ended) {
        cb(arg, ERR_UNAVAILABLE, stopping, 0);
        return;
    }
    struct telling t = {.channel = channel, .payload = payload, .published = cb, .arg = arg};
    tell_in_turn(m, &t);
}

/* Durable messages */

static void write_notice(const struct memory_broker *m, const struct broker_publication *p,
                         const struct memory_added *added, struct buf *channel, struct buf *text)
{
    buf_str(channel, NOTICE_PREFIX);
    buf_span(channel, p->channel);
    notice_write(text, &(struct notice){.epoch = memory_log_epoch(m->log),
                                        .id = added->id,
                                        .previous = added->previous,
                                        .event = p->event,
                                        .data = p->data});
}

static void memory_publish_durable(struct broker *b, const struct broker_publication *publication,
                                   broker_durable_cb *cb, void *arg)
{
    struct memory_broker *m = memory_of(b);
    struct memory_added added;
    if (m->ended) {
        cb(arg, ERR_UNAVAILABLE, stopping, 0);
        return;
    }
    if (memory_log_add(m->log, publication, &added) != 0) {
        cb(arg, ERR_UNAVAILABLE, "there are more durable channels than replay_bytes has room for",
           0);
        return;
    }
    if (added.again) {
        cb(arg, 0, NULL, added.id);
        return;
    }
    struct buf channel = {0}, text = {0};
    write_notice(m, publication, &added, &channel, &text);
    struct telling t = {.channel = buf_view(&channel),
                        .payload = buf_view(&text),
                        .kept = cb,
                        .arg = arg,
                        .id = added.id};
    tell_in_turn(m, &t);
    buf_free(&channel);
    buf_free(&text);
}

static void memory_hello(struct broker *b, struct span epoch, struct span boot, uint64_t highest,
                         broker_hello_cb *cb, void *arg)
{
    struct memory_broker *m = memory_of(b);
    if (m->ended) {
        cb(arg, ERR_UNAVAILABLE, stopping, NULL);
        return;
    }
    struct broker_dataset dataset;
    char own[NOTICE_EPOCH_BYTES];
    memory_log_describe(m->log, &dataset);
    memcpy(own, dataset.epoch.ptr, sizeof(own));
    dataset.epoch.ptr = dataset.boot.ptr = own;
    dataset.verdict = span_eq(epoch, dataset.epoch) ? DATASET_SAME : DATASET_NEW;
    cb(arg, 0, NULL, &dataset);
}

static void memory_fence(struct broker *b)
{
    struct memory_broker *m = memory_of(b);
    if (m->ended)
        return;
    struct telling t = {.id = memory_log_clock(m->log)};
    tell_in_turn(m, &t);
}

static void memory_changed(struct broker *b, uint64_t after, uint32_t limit, broker_changes_cb *cb,
                           void *arg)
{
    struct memory_broker *m = memory_of(b);
    if (m->ended) {
        cb(arg, ERR_UNAVAILABLE, stopping, NULL);
        return;
    }
    struct memory_changes changes;
    memory_log_changed(m->log, after, limit, &changes);
    cb(arg, 0, NULL, &changes.changes);
    memory_changes_free(&changes);
}

static void memory_read(struct broker *b, struct span channel, uint64_t after, uint32_t limit,
                        uint64_t bytes, broker_slice_cb *cb, void *arg)
{
    struct memory_broker *m = memory_of(b);
    if (m->ended) {
        cb(arg, ERR_UNAVAILABLE, stopping, NULL);
        return;
    }
    struct memory_slice slice;
    memory_log_read(m->log, channel, after, limit, bytes, &slice);
    cb(arg, 0, NULL, &slice.slice);
    memory_slice_free(&slice);
}

static void memory_destroy(struct broker *b)
{
    struct memory_broker *m = memory_of(b);
    m->ended = true;
    LIST_FOREACH (node, &m->queue)
        answer(LIST_ENTRY(node, struct telling, node), ERR_UNAVAILABLE, 0);
    if (!m->telling)
        free_memory(m);
}

static const char no_store[] = "the memory broker has no keys to invalidate: the bus needs Redis";

static void memory_call(struct broker *b, const char *function, const struct span *args,
                        size_t count, broker_text_cb *cb, void *arg)
{
    cb(arg, ERR_UNAVAILABLE, no_store, span_make(NULL, 0));
}

static void memory_sweep(struct broker *b, struct span pattern, broker_count_cb *cb, void *arg)
{
    cb(arg, ERR_UNAVAILABLE, no_store, 0);
}

static const struct broker_ops memory_ops = {
    .call = memory_call,
    .sweep = memory_sweep,
    .subscribe = memory_subscribe,
    .unsubscribe = memory_unsubscribe,
    .publish = memory_publish,
    .publish_durable = memory_publish_durable,
    .hello = memory_hello,
    .fence = memory_fence,
    .changed = memory_changed,
    .read = memory_read,
    .destroy = memory_destroy,
};

struct broker *broker_memory_create(const struct memory_options *options,
                                    const struct broker_events *events, void *ctx)
{
    struct memory_broker *m = mem_zalloc(sizeof(*m));
    m->base = (struct broker){.ops = &memory_ops, .events = events, .ctx = ctx};
    m->magic = MEMORY_MAGIC;
    list_init(&m->queue);
    m->channels = map_create();
    m->patterns = map_create();
    m->log = memory_log_create(options->clock, options->replay_bytes);
    return &m->base;
}

void broker_memory_start(struct broker *b)
{
    b->events->on_up(b->ctx);
}
