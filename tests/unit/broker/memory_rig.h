/*
 * The memory broker's durable messages, for tests: what it keeps, tells and answers, each as a line
 * of text. Ids are written as the microseconds since the start.
 */
#ifndef MEMORY_RIG_H
#define MEMORY_RIG_H

#include "base/buf.h"
#include "base/err.h"
#include "broker/broker_memory.h"
#include "proto/event_id.h"
#include "proto/notice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#define UNUSED_FN __attribute__((unused))

enum { BUDGET = 100000 };

static const uint64_t start_us = 1000000000000000, second = 1000000;

static struct rig {
    struct broker *broker;
    struct buf heard;
    uint64_t now;
    uint64_t last_id; /* of the last answer */
    char epoch[NOTICE_EPOCH_BYTES + 1];
    void (*within)(struct span channel); /* called by each message that is heard; once */
} rig;

static uint64_t rig_now(void *ctx)
{
    return rig.now;
}

static const struct clock rig_clock = {.mono_us = rig_now, .wall_us = rig_now};

/* Ids are written as the microseconds since the start. */
UNUSED_FN static long long since_start(uint64_t id)
{
    return id ? (long long)(id - start_us) : -1;
}

UNUSED_FN static void on_topic(void *ctx, enum topic_kind kind, struct span name)
{
}

UNUSED_FN static void on_message(void *ctx, struct span channel, struct span pattern,
                                 struct span payload)
{
    struct notice n;
    void (*within)(struct span channel) = rig.within;
    buf_printf(&rig.heard, "%.*s via %s: ", (int)channel.len, channel.ptr,
               pattern.ptr ? "pattern" : "channel");
    if (span_starts(channel, NOTICE_PREFIX)) {
        assert_null(notice_parse(payload, &n));
        assert_true(span_is(n.epoch, rig.epoch));
        buf_printf(&rig.heard, "%lld after %lld %.*s=%.*s\n", since_start(n.id),
                   since_start(n.previous), (int)n.event.len, n.event.ptr, (int)n.data.len,
                   n.data.ptr);
    } else {
        buf_printf(&rig.heard, "%.*s\n", (int)payload.len, payload.ptr);
    }
    rig.within = NULL;
    if (within)
        within(channel);
}

UNUSED_FN static void on_fence(void *ctx, struct span epoch, uint64_t clock, uint64_t floor)
{
    assert_int_equal(floor, 0);
    assert_true(span_is(epoch, rig.epoch));
    buf_printf(&rig.heard, "fence %lld\n", since_start(clock));
}

static const struct broker_events events = {
    .on_subscribed = on_topic,
    .on_unsubscribed = on_topic,
    .on_message = on_message,
    .on_fence = on_fence,
};

UNUSED_FN static void on_hello(void *arg, int err, const char *why, const struct broker_dataset *d)
{
    assert_int_equal(err, 0);
    assert_int_equal(d->epoch.len, NOTICE_EPOCH_BYTES);
    assert_true(span_eq(d->epoch, d->boot));
    assert_int_equal(d->window_count, 0);
    snprintf(rig.epoch, sizeof(rig.epoch), "%.*s", (int)d->epoch.len, d->epoch.ptr);
    buf_printf(&rig.heard, "hello %s clock %lld floor %lld born %lld longest %llu s\n",
               d->verdict == DATASET_SAME  ? "same"
               : d->verdict == DATASET_NEW ? "new"
                                           : "rewound",
               since_start(d->clock), since_start(d->floor), since_start(d->born),
               (unsigned long long)(d->longest_us / second));
}

UNUSED_FN static void hello(const char *epoch)
{
    rig.broker->ops->hello(rig.broker, span_of(epoch), span_of(epoch), 0, on_hello, NULL);
}

UNUSED_FN static void on_kept(void *arg, int err, const char *why, uint64_t id)
{
    rig.last_id = err ? 0 : id;
    if (err)
        buf_printf(&rig.heard, "kept %s|%s\n", err_name(err), why);
    else
        buf_printf(&rig.heard, "kept %lld\n", since_start(id));
}

UNUSED_FN static void keep_as(const char *channel, const char *data, struct broker_publication p)
{
    p.channel = span_of(channel);
    p.data = span_of(data);
    p.messages = p.messages ? p.messages : 1000;
    p.seconds = p.seconds ? p.seconds : 3600;
    rig.broker->ops->publish_durable(rig.broker, &p, on_kept, NULL);
}

UNUSED_FN static void keep(const char *channel, const char *data)
{
    keep_as(channel, data, (struct broker_publication){0});
}

UNUSED_FN static void on_slice(void *arg, int err, const char *why, const struct broker_slice *s)
{
    assert_int_equal(err, 0);
    buf_printf(&rig.heard, "slice");
    for (size_t i = 0; i < s->count; i++) {
        const struct broker_record *r = &s->records[i];
        buf_printf(&rig.heard, " %lld(%lld)", since_start(r->id), since_start(r->previous));
        buf_span(&rig.heard, r->event);
        buf_byte(&rig.heard, '=');
        buf_span(&rig.heard, r->data);
    }
    buf_printf(&rig.heard, " last %lld", since_start(s->last));
    if (s->lost)
        buf_printf(&rig.heard, " lost %lld", since_start(s->lost));
    buf_printf(&rig.heard, "%s\n", s->more ? " more" : "");
}

UNUSED_FN static void read_some(const char *channel, uint64_t after, uint32_t limit, uint64_t bytes)
{
    rig.broker->ops->read(rig.broker, span_of(channel), after, limit, bytes, on_slice, NULL);
}

UNUSED_FN static void read_all(const char *channel)
{
    read_some(channel, 0, UINT32_MAX, UINT64_MAX);
}

UNUSED_FN static void on_changes(void *arg, int err, const char *why,
                                 const struct broker_changes *c)
{
    assert_int_equal(err, 0);
    buf_printf(&rig.heard, "changed");
    for (size_t i = 0; i < c->count; i++)
        buf_printf(&rig.heard, " %.*s@%lld", (int)c->list[i].channel.len, c->list[i].channel.ptr,
                   since_start(c->list[i].id));
    if (c->pruned)
        buf_printf(&rig.heard, " pruned %lld", since_start(c->pruned));
    buf_printf(&rig.heard, "\n");
}

UNUSED_FN static void changed(uint64_t after, uint32_t limit)
{
    rig.broker->ops->changed(rig.broker, after, limit, on_changes, NULL);
}

UNUSED_FN static void on_published(void *arg, int err, const char *why, int64_t receivers)
{
    buf_printf(&rig.heard, "published %s %lld\n", err ? err_name(err) : "ok", (long long)receivers);
}

UNUSED_FN static void publish(const char *channel, const char *payload)
{
    rig.broker->ops->publish(rig.broker, span_of(channel), span_of(payload), on_published, NULL);
}

UNUSED_FN static void subscribe(enum topic_kind kind, const char *name)
{
    rig.broker->ops->subscribe(rig.broker, kind, span_of(name));
}

UNUSED_FN static void heard(const char *text)
{
    assert_string_equal(buf_cstr(&rig.heard), text);
    buf_reset(&rig.heard);
}

UNUSED_FN static void forget(void)
{
    buf_reset(&rig.heard);
}

UNUSED_FN static int start(void **state)
{
    static const struct memory_options options = {.clock = &rig_clock, .replay_bytes = BUDGET};
    rig = (struct rig){.now = start_us};
    rig.broker = broker_memory_create(&options, &events, NULL);
    hello("");
    forget();
    return 0;
}

UNUSED_FN static int stop(void **state)
{
    if (rig.broker)
        rig.broker->ops->destroy(rig.broker);
    buf_free(&rig.heard);
    return 0;
}

/* A test with a broker of its own. */
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)

#endif
