/*
 * For the model test: the broker's other connection, over which it calls Redis. Calls are carried
 * out in order and answered in order; between the two any time may pass. When the connection is
 * lost each is answered that it failed, but a durable publish is made again on the next one.
 */
#ifndef TESTS_MODEL_CALLS_H
#define TESTS_MODEL_CALLS_H

#include "base/mem.h"
#include "model_redis.h"

#include <stdlib.h>

enum call_type {
    CALL_PUBLISH,
    CALL_DURABLE,
    CALL_HELLO,
    CALL_FENCE,
    CALL_CHANGED,
    CALL_READ,
    CALL_BACK
};

enum { CALLS = 1024, SLICE_MOST = 64 };

struct call {
    enum call_type type;
    union {
        broker_publish_cb *published;
        broker_durable_cb *kept;
        broker_hello_cb *hello;
        broker_changes_cb *changed;
        broker_slice_cb *read;
        broker_back_cb *back;
    } cb;
    void *arg;
    int channel;
    unsigned epoch, boot; /* hello */
    uint64_t after;       /* hello: the highest id seen */
    uint32_t limit;
    bool done;
    /* The answer */
    uint64_t id, lost, last;
    enum model_verdict verdict;
    struct dataset *dataset; /* owned: as it was */
    uint32_t pubs[SLICE_MOST];
    uint64_t previous[SLICE_MOST];
    size_t count;
    bool more;
};

static struct {
    struct call ring[CALLS];
    size_t in, carried, out; /* carried: how many Redis has had */
    uint32_t read_most;      /* messages in one answer */
} calls;

static struct call *call_add(enum call_type type, void *arg)
{
    struct call *c = &calls.ring[calls.in++ % CALLS];
    if (calls.in - calls.out > CALLS)
        abort();
    *c = (struct call){.type = type, .arg = arg};
    return c;
}

static int channel_index(struct span name)
{
    for (int i = 0; i < CHANNELS; i++)
        if (span_is(name, channels[i]))
            return i;
    fail_redis("the hub called for a channel that there is not");
    return 0;
}

static unsigned unhex(struct span text)
{
    char copy[NOTICE_EPOCH_BYTES + 1];
    snprintf(copy, sizeof(copy), "%.*s", (int)text.len, text.len ? text.ptr : "");
    return (unsigned)strtoul(copy, NULL, 16);
}

/* The vtable */

static void model_publish(struct broker *b, struct span channel, struct span payload,
                          broker_publish_cb *cb, void *arg)
{
    if (!redis.up) {
        cb(arg, ERR_UNAVAILABLE, "away", 0);
        return;
    }
    struct call *c = call_add(CALL_PUBLISH, arg);
    c->cb.published = cb;
    c->channel = channel_index(channel);
}

static void model_publish_durable(struct broker *b, const struct broker_publication *p,
                                  broker_durable_cb *cb, void *arg)
{
    if (!redis.up) {
        cb(arg, ERR_UNAVAILABLE, "away", 0);
        return;
    }
    struct call *c = call_add(CALL_DURABLE, arg);
    c->cb.kept = cb;
    c->channel = channel_index(p->channel);
}

static void model_hello(struct broker *b, struct span epoch, struct span boot, uint64_t highest,
                        broker_hello_cb *cb, void *arg)
{
    if (!redis.up) {
        cb(arg, ERR_UNAVAILABLE, "away", NULL);
        return;
    }
    struct call *c = call_add(CALL_HELLO, arg);
    c->cb.hello = cb;
    c->epoch = unhex(epoch);
    c->boot = unhex(boot);
    c->after = highest;
}

static void model_fence(struct broker *b)
{
    if (redis.up)
        call_add(CALL_FENCE, NULL);
}

static void model_changed(struct broker *b, uint64_t after, uint32_t limit, broker_changes_cb *cb,
                          void *arg)
{
    if (!redis.up) {
        cb(arg, ERR_UNAVAILABLE, "away", NULL);
        return;
    }
    struct call *c = call_add(CALL_CHANGED, arg);
    c->cb.changed = cb;
    c->after = after;
}

static void model_read(struct broker *b, struct span channel, uint64_t after, uint32_t limit,
                       uint64_t bytes, broker_slice_cb *cb, void *arg)
{
    if (!redis.up) {
        cb(arg, ERR_UNAVAILABLE, "away", NULL);
        return;
    }
    struct call *c = call_add(CALL_READ, arg);
    c->cb.read = cb;
    c->channel = channel_index(channel);
    c->after = after;
    c->limit = limit < calls.read_most ? limit : calls.read_most;
}

static void model_back(struct broker *b, struct span channel, uint32_t count, uint64_t bytes,
                       broker_back_cb *cb, void *arg)
{
    if (!redis.up) {
        cb(arg, ERR_UNAVAILABLE, "away", 0);
        return;
    }
    struct call *c = call_add(CALL_BACK, arg);
    c->cb.back = cb;
    c->channel = channel_index(channel);
    c->limit = count;
}

static void model_destroy(struct broker *b)
{
}

static const struct broker_ops model_ops = {
    .subscribe = model_subscribe,
    .unsubscribe = model_unsubscribe,
    .publish = model_publish,
    .publish_durable = model_publish_durable,
    .hello = model_hello,
    .fence = model_fence,
    .changed = model_changed,
    .read = model_read,
    .back = model_back,
    .destroy = model_destroy,
};

/* Redis carries out */

static void carry_read(struct call *c)
{
    const struct model_log *log = &store.logs[c->channel];
    log_expire(c->channel);
    size_t i = log->first, end = log->first + log->count;
    while (i < end && log->entries[i].id <= c->after)
        i++;
    uint64_t last = store.data.index[c->channel], lost = last ? last : store.data.pruned;
    if (i < end) {
        const struct log_entry *e = &log->entries[i];
        uint64_t most = store.data.pruned < e->id ? store.data.pruned : e->id - 1;
        lost = e->previous ? e->previous : most;
    }
    c->lost = lost > c->after ? lost : 0;
    c->last = last;
    for (; i < end && c->count < c->limit; i++) {
        c->previous[c->count] = log->entries[i].previous;
        c->pubs[c->count++] = log->entries[i].pub;
    }
    c->more = i < end;
}

static void carry_back(struct call *c)
{
    const struct model_log *log = &store.logs[c->channel];
    log_expire(c->channel);
    c->id = log->count > c->limit ? log->entries[log->first + log->count - c->limit].id - 1 : 0;
}

static void carry(struct call *c)
{
    switch (c->type) {
    case CALL_PUBLISH:
        redis_publish(c->channel);
        break;
    case CALL_DURABLE:
        c->id = redis_publish_durable(c->channel);
        break;
    case CALL_HELLO:
        c->verdict = store_hello(c->epoch, c->boot, c->after);
        c->dataset = mem_dup(&store.data, sizeof(store.data));
        break;
    case CALL_FENCE:
        redis_beat();
        break;
    case CALL_CHANGED:
        c->dataset = mem_dup(&store.data, sizeof(store.data));
        break;
    case CALL_READ:
        carry_read(c);
        break;
    case CALL_BACK:
        carry_back(c);
        break;
    }
    c->done = true;
}

/* Redis carries out one call; false when there is none. */
static bool redis_carry(void)
{
    if (!redis.up || calls.carried == calls.in)
        return false;
    struct call *c = &calls.ring[calls.carried++ % CALLS];
    if (!c->done) /* one that is made again may have been carried out */
        carry(c);
    return true;
}

/* Answers */

static void answer_hello(const struct call *c)
{
    const struct dataset *d = c->dataset;
    struct broker_window windows[BOOTS];
    static const enum broker_verdict verdicts[] = {DATASET_SAME, DATASET_NEW, DATASET_REWOUND};
    struct broker_dataset out = {.epoch = hex(d->epoch),
                                 .boot = hex(d->boot),
                                 .clock = d->last,
                                 .floor = d->floor,
                                 .born = d->born,
                                 .longest_us = d->longest * second_us,
                                 .verdict = verdicts[c->verdict],
                                 .windows = windows};
    for (size_t i = 0; i < d->reign_count; i++)
        if (d->reigns[i].first > later(d->floor, d->born))
            windows[out.window_count++] =
                (struct broker_window){d->reigns[i].before, d->reigns[i].first};
    store.greeted = store.data.exists && store.data.epoch == d->epoch;
    store_heard(d->last);
    c->cb.hello(c->arg, 0, NULL, &out);
}

static void answer_changed(const struct call *c)
{
    struct broker_change list[CHANNELS];
    struct broker_changes out = {.list = list, .pruned = c->dataset->pruned};
    for (uint64_t at = c->after;;) {
        int next = -1;
        for (int i = 0; i < CHANNELS; i++)
            if (c->dataset->index[i] > at &&
                (next < 0 || c->dataset->index[i] < c->dataset->index[next]))
                next = i;
        if (next < 0)
            break;
        at = c->dataset->index[next];
        list[out.count++] = (struct broker_change){span_of(channels[next]), at};
    }
    c->cb.changed(c->arg, 0, NULL, &out);
}

static void answer_read(const struct call *c)
{
    struct broker_record records[SLICE_MOST];
    char texts[SLICE_MOST][12];
    for (size_t i = 0; i < c->count; i++) {
        snprintf(texts[i], sizeof(texts[i]), "%u", c->pubs[i]);
        records[i] = (struct broker_record){
            .id = store.pubs[c->pubs[i]].id, .previous = c->previous[i], .data = span_of(texts[i])};
    }
    struct broker_slice out = {
        .records = records, .count = c->count, .more = c->more, .last = c->last, .lost = c->lost};
    c->cb.read(c->arg, 0, NULL, &out);
}

static void answer_good(const struct call *c)
{
    switch (c->type) {
    case CALL_PUBLISH:
        c->cb.published(c->arg, 0, NULL, 1);
        break;
    case CALL_DURABLE:
        store_heard(c->id);
        c->cb.kept(c->arg, 0, NULL, c->id);
        break;
    case CALL_HELLO:
        answer_hello(c);
        break;
    case CALL_FENCE:
        break;
    case CALL_CHANGED:
        answer_changed(c);
        break;
    case CALL_READ:
        answer_read(c);
        break;
    case CALL_BACK:
        c->cb.back(c->arg, 0, NULL, c->id);
        break;
    }
}

static void answer_bad(const struct call *c, int err)
{
    switch (c->type) {
    case CALL_PUBLISH:
        c->cb.published(c->arg, err, "away", 0);
        break;
    case CALL_DURABLE:
        c->cb.kept(c->arg, err, "away", 0);
        break;
    case CALL_HELLO:
        c->cb.hello(c->arg, err, "away", NULL);
        break;
    case CALL_FENCE:
        break;
    case CALL_CHANGED:
        c->cb.changed(c->arg, err, "away", NULL);
        break;
    case CALL_READ:
        c->cb.read(c->arg, err, "away", NULL);
        break;
    case CALL_BACK:
        c->cb.back(c->arg, err, "away", 0);
        break;
    }
}

static struct call call_take(void)
{
    struct call c = calls.ring[calls.out++ % CALLS];
    if (calls.carried < calls.out)
        calls.carried = calls.out;
    return c;
}

static void trace_call(const struct call *c, const char *what)
{
    static const char *const names[] = {
        [CALL_PUBLISH] = "publish", [CALL_DURABLE] = "durable publish", [CALL_HELLO] = "hello",
        [CALL_FENCE] = "fence",     [CALL_CHANGED] = "changed",         [CALL_READ] = "read",
        [CALL_BACK] = "back",
    };
    trace("        %s of %s after %llu %s: id %llu, %zu messages, last %llu, lost %llu\n",
          names[c->type], channels[c->channel], (unsigned long long)c->after, what,
          (unsigned long long)c->id, c->count, (unsigned long long)c->last,
          (unsigned long long)c->lost);
}

/* The answer to the call that was carried out longest ago; false when there is none. */
static bool broker_answer(void)
{
    if (calls.out == calls.carried)
        return false;
    struct call c = call_take();
    trace_call(&c, "answered");
    answer_good(&c);
    mem_free(c.dataset);
    return true;
}

/* The oldest call fails, whether it was carried out or not; false when there is none. */
static bool broker_fail(int err)
{
    if (calls.out == calls.in)
        return false;
    struct call c = call_take();
    trace_call(&c, "failed");
    answer_bad(&c, err);
    mem_free(c.dataset);
    return true;
}

/* The connections are lost with all that is under way on them. */
static void broker_cut(void)
{
    size_t end = calls.in;
    if (!redis.up)
        return;
    broker_lose();
    while (calls.out < end) {
        struct call c = call_take();
        if (c.type == CALL_DURABLE) {
            calls.ring[calls.in++ % CALLS] = c; /* made again */
        } else {
            answer_bad(&c, ERR_UNAVAILABLE);
            mem_free(c.dataset);
        }
    }
    calls.carried = calls.out;
    redis.broker.events->on_down(redis.broker.ctx, "cut");
}

static void calls_end(void)
{
    while (broker_fail(ERR_UNAVAILABLE))
        ;
    memset(&calls, 0, offsetof(__typeof__(calls), in));
    calls.in = calls.carried = calls.out = 0;
}

#endif
