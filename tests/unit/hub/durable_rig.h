/*
 * A core with durable channels and a broker by script. The broker keeps a log as Redis does, writes
 * down each call, and answers when the test says so (`answer`, `run`) or, with rig.at_once, from
 * within the call. Ids are small numbers: 5 reads "0-5". One worker; what it is sent is read as
 * text.
 */
#ifndef TESTS_DURABLE_RIG_H
#define TESTS_DURABLE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "hub/core.h"
#include "lane_reader.h"
#include "proto/event_id.h"
#include "proto/notice.h"

#include <stdio.h>
#include <string.h>

enum { RIG_RECORDS = 8192, RIG_CHANNELS = 2048, RIG_PENDING = 512 };

#define RIG_EPOCH "00000000000000aa"
#define RIG_OTHER "00000000000000bb"

struct rig_record {
    uint32_t channel;
    uint64_t id, previous;
    const char *event, *data; /* borrowed; event NULL: none */
};

struct rig_channel {
    char name[24];
    uint64_t last, lost;
};

struct rig_call {
    enum { CALL_HELLO, CALL_FENCE, CALL_CHANGED, CALL_READ, CALL_BACK } kind;
    char channel[24];
    uint64_t after, bytes;
    uint32_t limit;
    void (*cb)(void);
    void *arg;
};

struct rig {
    struct broker broker;
    bool at_once;      /* calls are answered from within, */
    bool fail_at_once; /* or fail there */
    bool no_confirm;   /* subscriptions are confirmed by the test */
    struct rig_record log[RIG_RECORDS];
    size_t records;
    struct rig_channel channels[RIG_CHANNELS];
    size_t channel_count;
    struct rig_call pending[RIG_PENDING];
    size_t pending_count;
    struct broker_dataset dataset;
    uint64_t pruned;
    unsigned reads; /* so far */
    uint64_t told;  /* what the last slice said that the next request is to say */
    struct buf calls, heard;
    uint64_t now_us;
    struct downlink *down; /* owned */
    struct lane_reader reader;
    struct uplink up;
    struct metrics metrics;
    struct namespaces *namespaces;
    struct core *core;
};

static struct rig rig;

/* The log */

static uint32_t rig_channel(const char *name)
{
    for (uint32_t i = 0; i < rig.channel_count; i++)
        if (strcmp(rig.channels[i].name, name) == 0)
            return i;
    assert_true(rig.channel_count < RIG_CHANNELS);
    snprintf(rig.channels[rig.channel_count].name, sizeof(rig.channels[0].name), "%s", name);
    return (uint32_t)rig.channel_count++;
}

/* store: a message that no notice tells of. */
UNUSED_FN static struct rig_record *store(const char *channel, uint64_t id, const char *data)
{
    uint32_t c = rig_channel(channel);
    assert_true(rig.records < RIG_RECORDS);
    struct rig_record *r = &rig.log[rig.records++];
    *r =
        (struct rig_record){.channel = c, .id = id, .previous = rig.channels[c].last, .data = data};
    rig.channels[c].last = id;
    if (id > rig.dataset.clock)
        rig.dataset.clock = id;
    return r;
}

/* lose: the log of a channel has nothing up to `upto` any more. */
UNUSED_FN static void lose(const char *channel, uint64_t upto)
{
    uint32_t c = rig_channel(channel);
    size_t kept = 0;
    for (size_t i = 0; i < rig.records; i++)
        if (rig.log[i].channel != c || rig.log[i].id > upto)
            rig.log[kept++] = rig.log[i];
    rig.records = kept;
    rig.channels[c].lost = upto;
}

UNUSED_FN static void notice_of(const char *epoch, const char *channel, const struct rig_record *r)
{
    struct buf name = {0}, text = {0};
    buf_printf(&name, "%s%s", NOTICE_PREFIX, channel);
    struct notice n = {.epoch = span_of(epoch),
                       .id = r->id,
                       .previous = r->previous,
                       .event = r->event ? span_of(r->event) : span_make(NULL, 0),
                       .data = span_of(r->data)};
    notice_write(&text, &n);
    core_broker_events.on_message(rig.core, buf_view(&name), span_make(NULL, 0), buf_view(&text));
    buf_free(&name);
    buf_free(&text);
}

UNUSED_FN static void notice(const char *channel, uint64_t id, uint64_t previous, const char *data)
{
    notice_of(RIG_EPOCH, channel,
              &(struct rig_record){.id = id, .previous = previous, .data = data});
}

/* publish: a message and its notice. */
UNUSED_FN static void publish(const char *channel, uint64_t id, const char *data)
{
    notice_of(RIG_EPOCH, channel, store(channel, id, data));
}

/* Answers */

static int rig_by_last(const void *a, const void *b)
{
    const struct broker_change *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static void rig_answer_changed(const struct rig_call *c, int err)
{
    static struct broker_change list[RIG_CHANNELS];
    struct broker_changes changes = {.list = list, .pruned = rig.pruned};
    for (size_t i = 0; i < rig.channel_count; i++)
        if (rig.channels[i].last > c->after)
            list[changes.count++] = (struct broker_change){.channel = span_of(rig.channels[i].name),
                                                           .id = rig.channels[i].last};
    qsort(list, changes.count, sizeof(list[0]), rig_by_last);
    if (changes.count > c->limit)
        changes.count = c->limit;
    ((broker_changes_cb *)c->cb)(c->arg, err, err ? "by script" : NULL, err ? NULL : &changes);
}

static void rig_answer_read(const struct rig_call *c, int err)
{
    static struct broker_record records[1024];
    uint32_t channel = rig_channel(c->channel);
    struct broker_slice slice = {.records = records, .last = rig.channels[channel].last};
    uint64_t bytes = 0;
    for (size_t i = 0; i < rig.records && !slice.more; i++) {
        const struct rig_record *r = &rig.log[i];
        if (r->channel != channel || r->id <= c->after)
            continue;
        bytes += strlen(r->data);
        if (slice.count == c->limit || (slice.count && bytes > c->bytes))
            slice.more = true;
        else
            records[slice.count++] =
                (struct broker_record){.id = r->id,
                                       .previous = r->previous,
                                       .event = r->event ? span_of(r->event) : span_make(NULL, 0),
                                       .data = span_of(r->data)};
    }
    if (rig.channels[channel].lost > c->after)
        slice.lost = rig.channels[channel].lost;
    ((broker_slice_cb *)c->cb)(c->arg, err, err ? "by script" : NULL, err ? NULL : &slice);
}

static void rig_answer_back(const struct rig_call *c, int err)
{
    uint32_t channel = rig_channel(c->channel), left = c->limit;
    uint64_t id = 0;
    for (size_t i = rig.records; i > 0 && !id; i--)
        if (rig.log[i - 1].channel == channel && left-- == 0)
            id = rig.log[i - 1].id;
    ((broker_back_cb *)c->cb)(c->arg, err, err ? "by script" : NULL, err ? 0 : id);
}

static void rig_answer(const struct rig_call *c, int err)
{
    switch (c->kind) {
    case CALL_HELLO:
        ((broker_hello_cb *)c->cb)(c->arg, err, err ? "by script" : NULL,
                                   err ? NULL : &rig.dataset);
        break;
    case CALL_FENCE:
        if (!err)
            core_broker_events.on_fence(rig.core, rig.dataset.epoch, rig.dataset.clock,
                                        rig.dataset.floor);
        break;
    case CALL_CHANGED:
        rig_answer_changed(c, err);
        break;
    case CALL_READ:
        rig_answer_read(c, err);
        break;
    case CALL_BACK:
        rig_answer_back(c, err);
        break;
    }
}

/* answer_err: answers the call that has waited longest. */
UNUSED_FN static void answer_err(int err)
{
    assert_true(rig.pending_count > 0);
    struct rig_call c = rig.pending[0];
    rig.pending_count--;
    memmove(&rig.pending[0], &rig.pending[1], rig.pending_count * sizeof(c));
    rig_answer(&c, err);
}

UNUSED_FN static void answer(void)
{
    answer_err(0);
}

static void rig_take(struct rig_call c)
{
    if (rig.at_once || rig.fail_at_once) {
        rig_answer(&c, rig.at_once ? 0 : ERR_UNAVAILABLE);
        return;
    }
    assert_true(rig.pending_count < RIG_PENDING);
    rig.pending[rig.pending_count++] = c;
}

/* The broker */

static void rig_subscribe(struct broker *b, enum topic_kind kind, struct span name)
{
    buf_printf(&rig.calls, "%ssub %.*s\n", kind == TOPIC_PATTERN ? "p" : "", (int)name.len,
               name.ptr);
    struct buf copy = {0};
    buf_span(&copy, name);
    if (!rig.no_confirm)
        core_broker_events.on_subscribed(rig.core, kind, buf_view(&copy));
    buf_free(&copy);
}

static void rig_unsubscribe(struct broker *b, enum topic_kind kind, struct span name)
{
    buf_printf(&rig.calls, "%sunsub %.*s\n", kind == TOPIC_PATTERN ? "p" : "", (int)name.len,
               name.ptr);
}

static void rig_hello(struct broker *b, struct span epoch, struct span boot, uint64_t highest,
                      broker_hello_cb *cb, void *arg)
{
    buf_printf(&rig.calls, "hello '%.*s' %llu\n", (int)epoch.len, epoch.len ? epoch.ptr : "",
               (unsigned long long)highest);
    rig_take((struct rig_call){.kind = CALL_HELLO, .cb = (void (*)(void))cb, .arg = arg});
}

static void rig_fence(struct broker *b)
{
    buf_str(&rig.calls, "fence\n");
    rig_take((struct rig_call){.kind = CALL_FENCE});
}

static void rig_changed(struct broker *b, uint64_t after, uint32_t limit, broker_changes_cb *cb,
                        void *arg)
{
    buf_printf(&rig.calls, "changed %llu\n", (unsigned long long)after);
    rig_take((struct rig_call){.kind = CALL_CHANGED,
                               .after = after,
                               .limit = limit,
                               .cb = (void (*)(void))cb,
                               .arg = arg});
}

static void rig_read(struct broker *b, struct span channel, uint64_t after, uint32_t limit,
                     uint64_t bytes, broker_slice_cb *cb, void *arg)
{
    buf_printf(&rig.calls, "read %.*s %llu\n", (int)channel.len, channel.ptr,
               (unsigned long long)after);
    rig.reads++;
    struct rig_call c = {.kind = CALL_READ,
                         .after = after,
                         .limit = limit,
                         .bytes = bytes,
                         .cb = (void (*)(void))cb,
                         .arg = arg};
    snprintf(c.channel, sizeof(c.channel), "%.*s", (int)channel.len, channel.ptr);
    rig_take(c);
}

static void rig_back(struct broker *b, struct span channel, uint32_t count, uint64_t bytes,
                     broker_back_cb *cb, void *arg)
{
    struct rig_call c = {
        .kind = CALL_BACK, .limit = count, .cb = (void (*)(void))cb, .arg = arg, .bytes = bytes};
    buf_printf(&rig.calls, "back %.*s %u\n", (int)channel.len, channel.ptr, (unsigned)count);
    snprintf(c.channel, sizeof(c.channel), "%.*s", (int)channel.len, channel.ptr);
    rig_take(c);
}

static const struct broker_ops rig_ops = {.subscribe = rig_subscribe,
                                          .unsubscribe = rig_unsubscribe,
                                          .hello = rig_hello,
                                          .fence = rig_fence,
                                          .changed = rig_changed,
                                          .read = rig_read,
                                          .back = rig_back};

/* What the broker was asked since the last time. */
UNUSED_FN static const char *calls(void)
{
    static char text[65536];
    snprintf(text, sizeof(text), "%s", rig.calls.len ? buf_cstr(&rig.calls) : "");
    buf_reset(&rig.calls);
    return text;
}

UNUSED_FN static void confirm(enum topic_kind kind, const char *name)
{
    core_broker_events.on_subscribed(rig.core, kind, span_of(name));
}

/* The channel and its notices. */
UNUSED_FN static void confirm_durable(const char *name)
{
    char notices[64];
    snprintf(notices, sizeof(notices), "sluice:note:%s", name);
    confirm(TOPIC_CHANNEL, name);
    confirm(TOPIC_CHANNEL, notices);
}

#include "durable_rig_worker.h"

#endif
