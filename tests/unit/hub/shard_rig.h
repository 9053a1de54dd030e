/*
 * A shard with the test as its core: what the shard tells the core stands in `told`, what its three
 * streams hear in `heard`.
 */
#ifndef TESTS_SHARD_RIG_H
#define TESTS_SHARD_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "hub/shard.h"

#include <string.h>

#define UNUSED_FN __attribute__((unused))

struct listener {
    struct subscriber sub;
    char name;
};

static struct shard *shard;
static struct uplink up;
static struct buf heard;               /* "a:ready b:data1 " */
static struct buf told;                /* "+one +w/two* -one ": what the core heard */
static struct shard_topic *last_topic; /* of the last message to the core */
static struct fence last_fence;
static struct listener a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'};

static char name_of(struct subscriber *s)
{
    return ((struct listener *)(void *)((char *)s - offsetof(struct listener, sub)))->name;
}

static void deliver_one(void *ctx, struct subscriber *s, struct frame *f)
{
    buf_printf(&heard, "%c:%.*s ", name_of(s), (int)f->len, f->bytes);
}

static void on_deliver(void *ctx, struct subscriber *s, const struct lane_entry *entries,
                       uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        deliver_one(ctx, s, entries[i].frame);
}

static void on_ready(void *ctx, struct subscriber *s)
{
    buf_printf(&heard, "%c:ready ", name_of(s));
}

static void on_waiting(void *ctx, struct subscriber *s)
{
    buf_printf(&heard, "%c:waiting ", name_of(s));
}

static void on_refused(void *ctx, struct subscriber *s, struct span name, const char *why)
{
    buf_printf(&heard, "%c:refused(%.*s,%s) ", name_of(s), (int)name.len, name.ptr, why);
}

static const struct shard_sink sink = {
    .deliver = on_deliver, .ready = on_ready, .waiting = on_waiting, .refused = on_refused};

static void no_wake(void *ctx)
{
}

static int start(void **state)
{
    mailbox_init(&up.control, (struct lane_wake){.wake = no_wake});
    shard = shard_create(3, &up, &sink, NULL);
    a = (struct listener){.name = 'a'};
    b = (struct listener){.name = 'b'};
    c = (struct listener){.name = 'c'};
    return 0;
}

static int stop(void **state)
{
    shard_leave(shard, &a.sub);
    shard_leave(shard, &b.sub);
    shard_leave(shard, &c.sub);
    shard_destroy(&shard);
    mailbox_fini(&up.control);
    buf_free(&heard);
    buf_free(&told);
    return shard != NULL;
}

/* What the streams have heard since the last time. */
UNUSED_FN static const char *hears(void)
{
    static char text[1024];
    assert_true(heard.len < sizeof(text));
    strcpy(text, buf_cstr(&heard));
    buf_reset(&heard);
    return text;
}

/* What the core was told since the last time. */
UNUSED_FN static const char *core_hears(void)
{
    buf_reset(&told);
    struct msg *next;
    for (struct msg *m = mailbox_take(&up.control); m; m = next) {
        next = m->next;
        assert_int_equal(m->worker, 3);
        last_topic = m->topic;
        last_fence = m->fence;
        if (m->type == MSG_FENCED)
            buf_printf(&told, "fenced:%u ", m->fence.streams);
        else
            buf_printf(&told, "%c%s%s%s ", m->type == MSG_SUBSCRIBE ? '+' : '-',
                       m->wrapped ? "w/" : "", m->kind == TOPIC_PATTERN ? "p/" : "", m->text);
        msg_free(m);
    }
    return buf_cstr(&told);
}

UNUSED_FN static void join(struct listener *l, const char *const *channels)
{
    struct shard_want wants[8];
    size_t n = 0;
    for (; channels[n]; n++)
        wants[n] = (struct shard_want){TOPIC_CHANNEL, span_of(channels[n])};
    shard_join(shard, &l->sub, wants, n);
}

#define JOIN(l, ...) join(l, (const char *const[]){__VA_ARGS__, NULL})

UNUSED_FN static struct shard_topic *join_one(struct listener *l, const char *channel)
{
    JOIN(l, channel);
    core_hears();
    return last_topic;
}

UNUSED_FN static void core_says(enum msg_type type, struct shard_topic *t)
{
    struct msg *m = msg_create(type, 3);
    m->topic = t;
    if (type == MSG_TOPIC_REFUSED)
        m->text = strdup("no");
    if (type == MSG_TOPIC_GAP)
        m->frame = frame_create(span_of("gap"), 0);
    assert_true(shard_handle(shard, m));
    msg_free(m);
}

UNUSED_FN static void broker_is(bool is_up, const char *why)
{
    struct msg *m = msg_create(MSG_BROKER, 3);
    m->up = is_up;
    m->text = strdup(why);
    assert_true(shard_handle(shard, m));
    msg_free(m);
}

UNUSED_FN static uint32_t fan_out(struct shard_topic *t, const char *data, uint64_t pub)
{
    struct lane_entry e = {.frame = frame_create(span_of(data), 1), .topic = t, .pub = pub};
    uint32_t n = shard_fan_out(shard, &e, 1);
    frame_unref(e.frame);
    return n;
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)

#endif
