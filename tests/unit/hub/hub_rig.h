/*
 * A core with the test around it: a fake broker that writes down what it is asked and says what the
 * test says, a clock that stands still, and real downlinks that the test reads, each into a text of
 * one line an item. A worker's token for a topic is here a string, which the lines begin with.
 */
#ifndef TESTS_HUB_RIG_H
#define TESTS_HUB_RIG_H

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

#include <stdio.h>
#include <string.h>

enum { RIG_WORKERS = 3, RIG_PUBLISHES = 32, RIG_LINGER_US = 2000000 };

struct rig {
    struct broker broker;
    struct buf calls; /* what the broker was asked, a line each */
    struct {
        broker_publish_cb *cb;
        void *arg;
    } publishes[RIG_PUBLISHES]; /* not answered yet, in order */
    size_t publish_count;
    uint64_t now_us;
    unsigned wakes[RIG_WORKERS];
    struct downlink *down; /* owned, [RIG_WORKERS] */
    struct lane_reader readers[RIG_WORKERS];
    struct buf heard[RIG_WORKERS];
    struct uplink up;
    struct metrics metrics;
    struct namespaces *namespaces;
    struct core *core;
};

static struct rig rig;

static const struct namespace_settings rig_namespaces[] = {{.match = "env.*", .envelope = true},
                                                           {.match = "*", .envelope = false}};

/* The broker */

static void rig_call(const char *verb, enum topic_kind kind, struct span name)
{
    buf_printf(&rig.calls, "%s%s %.*s\n", kind == TOPIC_PATTERN ? "p" : "", verb, (int)name.len,
               name.ptr);
}

static void rig_subscribe(struct broker *b, enum topic_kind kind, struct span name)
{
    rig_call("sub", kind, name);
}

static void rig_unsubscribe(struct broker *b, enum topic_kind kind, struct span name)
{
    rig_call("unsub", kind, name);
}

static void rig_publish(struct broker *b, struct span channel, struct span payload,
                        broker_publish_cb *cb, void *arg)
{
    buf_printf(&rig.calls, "publish %.*s|%.*s\n", (int)channel.len, channel.ptr, (int)payload.len,
               payload.ptr);
    assert_true(rig.publish_count < RIG_PUBLISHES);
    rig.publishes[rig.publish_count].cb = cb;
    rig.publishes[rig.publish_count++].arg = arg;
}

static void rig_destroy(struct broker *b)
{
}

static const struct broker_ops rig_ops = {.subscribe = rig_subscribe,
                                          .unsubscribe = rig_unsubscribe,
                                          .publish = rig_publish,
                                          .destroy = rig_destroy};

/* answer: answers the publish that has waited longest. */
UNUSED_FN static void answer(int err, const char *why, int64_t receivers)
{
    assert_true(rig.publish_count > 0);
    broker_publish_cb *cb = rig.publishes[0].cb;
    void *arg = rig.publishes[0].arg;
    rig.publish_count--;
    memmove(&rig.publishes[0], &rig.publishes[1], rig.publish_count * sizeof(rig.publishes[0]));
    cb(arg, err, why, receivers);
}

UNUSED_FN static void broker_up(void)
{
    core_broker_events.on_up(rig.core);
}

UNUSED_FN static void broker_down(const char *why)
{
    core_broker_events.on_down(rig.core, why);
}

UNUSED_FN static void confirm(enum topic_kind kind, const char *name)
{
    core_broker_events.on_subscribed(rig.core, kind, span_of(name));
}

UNUSED_FN static void confirm_end(enum topic_kind kind, const char *name)
{
    core_broker_events.on_unsubscribed(rig.core, kind, span_of(name));
}

UNUSED_FN static void refuse(enum topic_kind kind, const char *name, const char *why)
{
    core_broker_events.on_refused(rig.core, kind, span_of(name), why);
}

/* message, pmessage: a copy of a publication through the channel itself, or through a pattern. */
UNUSED_FN static void message(const char *channel, const char *payload)
{
    core_broker_events.on_message(rig.core, span_of(channel), span_make(NULL, 0), span_of(payload));
}

UNUSED_FN static void pmessage(const char *pattern, const char *channel, const char *payload)
{
    core_broker_events.on_message(rig.core, span_of(channel), span_of(pattern), span_of(payload));
}

/* What the broker was asked since the last time. */
UNUSED_FN static const char *calls(void)
{
    static char text[8192];
    assert_true(rig.calls.len < sizeof(text));
    strcpy(text, buf_cstr(&rig.calls));
    buf_reset(&rig.calls);
    return text;
}

/* The workers */

/* A frame's lines with '|' between them, less the empty one at the end. */
static void rig_write_frame(struct buf *out, const struct frame *f)
{
    assert_true(f->len >= 2 && memcmp(f->bytes + f->len - 2, "\n\n", 2) == 0);
    for (uint32_t i = 0; i + 2 < f->len; i++)
        buf_byte(out, f->bytes[i] == '\n' ? '|' : f->bytes[i]);
    buf_byte(out, '\n');
}

static void rig_on_frame(void *ctx, const struct lane_entry *e)
{
    struct buf *out = ctx;
    buf_printf(out, "%s ", (const char *)e->topic);
    rig_write_frame(out, e->frame);
}

static void rig_write_published(struct buf *out, const struct msg *m)
{
    const struct publish_request *r = m->publish;
    buf_printf(out, "published %llu", (unsigned long long)r->exchange);
    for (size_t i = 0; i < r->count; i++) {
        const struct publish_order *o = &r->orders[i];
        buf_printf(out, " %.*s=", (int)o->channel.len, o->channel.ptr);
        if (o->err)
            buf_printf(out, "%s(%s)", err_name(o->err), o->why);
        else
            buf_printf(out, "%lld", (long long)o->receivers);
    }
    buf_byte(out, '\n');
}

static void rig_on_msg(void *ctx, struct msg *m)
{
    struct buf *out = ctx;
    switch (m->type) {
    case MSG_TOPIC_READY:
        buf_printf(out, "%s ready\n", (const char *)m->topic);
        break;
    case MSG_TOPIC_REFUSED:
        buf_printf(out, "%s refused: %s\n", (const char *)m->topic, m->text);
        break;
    case MSG_TOPIC_GAP:
        buf_printf(out, "%s gap ", (const char *)m->topic);
        rig_write_frame(out, m->frame);
        break;
    case MSG_TOPIC_GONE:
        buf_printf(out, "%s gone\n", (const char *)m->topic);
        break;
    case MSG_BROKER:
        buf_printf(out, m->up ? "up\n" : "down: %s\n", m->text);
        break;
    case MSG_PUBLISHED:
        rig_write_published(out, m);
        break;
    case MSG_CHANNELS_PAGE:
        buf_printf(out, "%s\n", buf_cstr(&m->channels->json));
        break;
    case MSG_FENCE:
        buf_printf(out, "fence %llu %llu\n", (unsigned long long)m->fence.ticket,
                   (unsigned long long)m->fence.pub);
        break;
    case MSG_STOP:
        buf_str(out, "stop\n");
        break;
    default:
        fail_msg("message %d came to a worker", (int)m->type);
    }
}

/* What a worker was sent since the last time. */
UNUSED_FN static const char *hears(uint32_t worker)
{
    buf_reset(&rig.heard[worker]);
    lane_read(&rig.readers[worker], SIZE_MAX);
    return buf_cstr(&rig.heard[worker]);
}

/* The same for one item. */
UNUSED_FN static const char *hears_one(uint32_t worker)
{
    buf_reset(&rig.heard[worker]);
    lane_read(&rig.readers[worker], 1);
    return buf_cstr(&rig.heard[worker]);
}

UNUSED_FN static void to_core(struct msg *m)
{
    mailbox_post(&rig.up.control, m);
    core_take_messages(rig.core);
}

static void rig_tell(enum msg_type type, uint32_t worker, enum topic_kind kind, const char *name,
                     bool wrapped, const char *token)
{
    struct msg *m = msg_create(type, worker);
    m->kind = kind;
    m->wrapped = wrapped;
    m->text = mem_strdup(name);
    m->topic = (struct shard_topic *)(uintptr_t)token;
    to_core(m);
}

UNUSED_FN static void join(uint32_t worker, const char *channel, const char *token)
{
    rig_tell(MSG_SUBSCRIBE, worker, TOPIC_CHANNEL, channel, false, token);
}

UNUSED_FN static void join_wrapped(uint32_t worker, const char *channel, const char *token)
{
    rig_tell(MSG_SUBSCRIBE, worker, TOPIC_CHANNEL, channel, true, token);
}

UNUSED_FN static void join_pattern(uint32_t worker, const char *pattern, const char *token)
{
    rig_tell(MSG_SUBSCRIBE, worker, TOPIC_PATTERN, pattern, false, token);
}

UNUSED_FN static void leave(uint32_t worker, const char *channel, const char *token)
{
    rig_tell(MSG_UNSUBSCRIBE, worker, TOPIC_CHANNEL, channel, false, token);
}

UNUSED_FN static void leave_pattern(uint32_t worker, const char *pattern, const char *token)
{
    rig_tell(MSG_UNSUBSCRIBE, worker, TOPIC_PATTERN, pattern, false, token);
}

/* listen_to: a stream of worker 0 on a channel that the broker has confirmed, and nothing said. */
UNUSED_FN static void listen_to(const char *channel, const char *token)
{
    join(0, channel, token);
    confirm(TOPIC_CHANNEL, channel);
    hears(0);
    calls();
}

UNUSED_FN static void listen_to_pattern(const char *pattern, const char *token)
{
    join_pattern(0, pattern, token);
    confirm(TOPIC_PATTERN, pattern);
    hears(0);
    calls();
}

/* The clock. pass: so much time goes by and what is due is done. */
UNUSED_FN static uint64_t pass(uint64_t us)
{
    rig.now_us += us;
    return core_tick(rig.core);
}

static uint64_t rig_now(void *ctx)
{
    return rig.now_us;
}

static const struct clock rig_clock = {.mono_us = rig_now, .wall_us = rig_now};

static void rig_wake_worker(void *ctx)
{
    ++*(unsigned *)ctx;
}

static void rig_wake_core(void *ctx)
{
}

/* Creation */

struct rig_options {
    uint64_t lane_bytes;    /* 0: no limit */
    uint64_t publish_bytes; /* 0: no limit */
    uint64_t message_bytes; /* 0: no limit */
    const char *prefix;     /* NULL: none */
    uint64_t linger_us;
    bool count_streams;
    bool no_broker;
};

static uint64_t rig_limit(uint64_t bytes)
{
    return bytes ? bytes : UINT64_MAX;
}

/* rig_start: the broker is there and up, unless it is told otherwise; nothing is heard yet. */
UNUSED_FN static void rig_start(const struct rig_options *o)
{
    rig = (struct rig){.now_us = 1000000};
    rig.down = downlinks_alloc(RIG_WORKERS);
    for (uint32_t w = 0; w < RIG_WORKERS; w++) {
        downlink_init(&rig.down[w],
                      (struct lane_wake){.wake = rig_wake_worker, .ctx = &rig.wakes[w]},
                      rig_limit(o->lane_bytes));
        rig.readers[w] = (struct lane_reader){.down = &rig.down[w],
                                              .on_frame = rig_on_frame,
                                              .on_msg = rig_on_msg,
                                              .ctx = &rig.heard[w]};
    }
    mailbox_init(&rig.up.control, (struct lane_wake){.wake = rig_wake_core});
    rig.namespaces = namespaces_create(rig_namespaces, 2);
    struct core_options options = {
        .workers = RIG_WORKERS,
        .downlinks = rig.down,
        .uplink = &rig.up,
        .clock = &rig_clock,
        .namespaces = rig.namespaces,
        .metrics = &rig.metrics,
        .channel_prefix = o->prefix ? o->prefix : "",
        .linger_us = o->linger_us,
        .publish_bytes = rig_limit(o->publish_bytes),
        .message_bytes = rig_limit(o->message_bytes),
        .count_streams = o->count_streams,
    };
    rig.core = core_create(&options);
    if (o->no_broker)
        return;
    rig.broker = (struct broker){.ops = &rig_ops, .events = &core_broker_events, .ctx = rig.core};
    core_attach(rig.core, &rig.broker);
    broker_up();
    for (uint32_t w = 0; w < RIG_WORKERS; w++)
        hears(w);
}

UNUSED_FN static int rig_stop(void **state)
{
    while (rig.publish_count)
        answer(ERR_UNAVAILABLE, "the end", 0);
    core_attach(rig.core, NULL);
    for (uint32_t w = 0; w < RIG_WORKERS; w++) {
        lane_reader_drop(&rig.readers[w]);
        downlink_fini(&rig.down[w]);
        buf_free(&rig.heard[w]);
    }
    core_destroy(&rig.core);
    mailbox_fini(&rig.up.control);
    free(rig.down);
    namespaces_destroy(&rig.namespaces);
    buf_free(&rig.calls);
    return 0;
}

UNUSED_FN static int rig_start_plain(void **state)
{
    rig_start(&(struct rig_options){.linger_us = RIG_LINGER_US});
    return 0;
}

/* T(name): a test with a rig of its own. */
#define T(name) cmocka_unit_test_setup_teardown(name, rig_start_plain, rig_stop)

#endif
