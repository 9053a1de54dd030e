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

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNUSED_FN __attribute__((unused))

struct listener {
    struct subscriber sub;
    char name;
    bool narrow;   /* there is room for just */
    uint32_t room; /* so many durable entries */
};

static struct shard *shard;
static struct uplink up;
static struct buf heard;               /* "a:ready b:data1 " */
static struct buf told;                /* "+one +w/two* -one ": what the core heard */
static struct shard_topic *last_topic; /* of the last message to the core */
static struct fence last_fence;
static uint64_t last_stream; /* of the last request for a replay */
static struct listener a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'};

static struct listener *listener_of(struct subscriber *s)
{
    return (struct listener *)(void *)((char *)s - offsetof(struct listener, sub));
}

static char name_of(struct subscriber *s)
{
    return listener_of(s)->name;
}

static void deliver_one(void *ctx, struct subscriber *s, struct frame *f)
{
    buf_printf(&heard, "%c:%.*s ", name_of(s), (int)f->len, f->bytes);
}

/* What has no room: durable entries are not taken, of others a gap is owed. */
static uint32_t on_deliver(void *ctx, struct subscriber *s, const struct lane_entry *entries,
                           uint32_t n)
{
    struct listener *l = listener_of(s);
    for (uint32_t i = 0; i < n; i++) {
        if (!entries[i].id && l->narrow && !l->room) {
            shard_owe_gap(s, entries[i].topic);
            continue;
        }
        if (entries[i].id && l->narrow && l->room-- == 0) {
            l->room = 0;
            s->replaying = true;
            return i;
        }
        deliver_one(ctx, s, entries[i].frame);
    }
    return n;
}

static void on_caught_up(void *ctx, struct subscriber *s)
{
    buf_printf(&heard, "%c:live@%u ", name_of(s), (unsigned)s->cursor);
}

static void on_no_history(void *ctx, struct subscriber *s, const char *why)
{
    buf_printf(&heard, "%c:none(%s) ", name_of(s), why);
}

static void on_overflow(void *ctx, struct subscriber *s, enum topic_kind kind, struct span name)
{
    buf_printf(&heard, "%c:lost(%s%.*s) ", name_of(s), kind == TOPIC_PATTERN ? "p/" : "",
               (int)name.len, name.ptr);
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

static const struct shard_sink sink = {.deliver = on_deliver,
                                       .caught_up = on_caught_up,
                                       .no_history = on_no_history,
                                       .overflow = on_overflow,
                                       .ready = on_ready,
                                       .waiting = on_waiting,
                                       .refused = on_refused};

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

/* "?after:7(one,p/t*) ": a request for a replay, with "w" or "told" behind it where it says so. */
static void write_request(const struct replay_request *r)
{
    static const char *const from[] = {"now", "after", "unknown", "since", "last"};
    last_stream = r->stream;
    buf_printf(&told, "?%s:%u(", from[r->from], (unsigned)r->value);
    for (size_t i = 0; i < r->count; i++)
        buf_printf(&told, "%s%s%.*s", i ? "," : "", r->wants[i].kind == TOPIC_PATTERN ? "p/" : "",
                   (int)r->wants[i].name.len, r->wants[i].name.ptr);
    buf_printf(&told, ")%s%s ", r->wrapped ? "w" : "", r->told ? "told" : "");
}

/* What the core was told since the last time. */
UNUSED_FN static const char *core_hears(void)
{
    buf_reset(&told);
    struct msg *next;
    for (struct msg *m = mailbox_take(&up.control); m; m = next) {
        next = m->next;
        assert_int_equal(m->worker, 3);
        last_topic = m->topic ? m->topic : last_topic;
        last_fence = m->fence;
        if (m->type == MSG_FENCED)
            buf_printf(&told, "fenced:%u ", m->fence.streams);
        else if (m->type == MSG_REPLAY)
            write_request(m->replay);
        else if (m->type == MSG_REPLAY_END)
            buf_str(&told, m->stream == last_stream ? "?end " : "?end of another ");
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
    shard_join(shard, &l->sub, wants, n, NULL);
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
