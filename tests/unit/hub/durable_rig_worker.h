/* The worker's side of durable_rig.h, time, and the beginning and end of a test. */
#ifndef TESTS_DURABLE_RIG_WORKER_H
#define TESTS_DURABLE_RIG_WORKER_H

#include "durable_rig.h"

/* A frame's values with blanks between them: "0-5 hello", "gap 0-7 {...}". */
static void rig_write_frame(struct buf *out, const struct frame *f)
{
    const char *at = f->bytes, *end = f->bytes + f->len;
    for (const char *line; (line = memchr(at, '\n', (size_t)(end - at))) && line > at;
         at = line + 1) {
        const char *value = memchr(at, ' ', (size_t)(line - at));
        struct span text = value ? span_make(value + 1, (size_t)(line - value - 1)) : span_of("");
        if (span_is(text, "sluice.gap"))
            text = span_of("gap");
        if (out->len && out->data[out->len - 1] != '\n' && out->data[out->len - 1] != '[')
            buf_byte(out, ' ');
        buf_span(out, text);
    }
}

static void rig_write_slice(struct buf *out, const struct replay_slice *s)
{
    buf_printf(out, "slice %llu", (unsigned long long)s->stream);
    if (s->why) {
        buf_printf(out, " refused: %s\n", s->why);
        return;
    }
    for (size_t i = 0; i < s->count; i++) {
        buf_str(out, " [");
        rig_write_frame(out, s->items[i].frame);
        buf_byte(out, ']');
    }
    rig.told = s->told;
    buf_printf(out, " %s at %llu\n", s->live ? "live" : "more", (unsigned long long)s->cursor);
}

static void rig_on_frame(void *ctx, const struct lane_entry *e)
{
    buf_printf(ctx, "%s", (const char *)e->topic);
    rig_write_frame(ctx, e->frame);
    buf_byte(ctx, '\n');
}

static void rig_on_msg(void *ctx, struct msg *m)
{
    const char *verb = m->type == MSG_TOPIC_GAP    ? ""
                       : m->type == MSG_TOPIC_LATE ? " late"
                       : m->type == MSG_TOPIC_LOST ? (m->anew ? " anew" : " lost")
                                                   : NULL;
    if (verb) {
        buf_printf(ctx, "%s%s", (const char *)m->topic, verb);
        rig_write_frame(ctx, m->frame);
        buf_byte(ctx, '\n');
    } else if (m->type == MSG_TOPIC_LAG) {
        buf_printf(ctx, "%s lags\n", (const char *)m->topic);
    } else if (m->type == MSG_SLICE) {
        rig_write_slice(ctx, m->slice);
    } else if (m->type == MSG_FRONTIER) {
        buf_printf(ctx, "frontier %llu\n", (unsigned long long)m->id);
    }
}

/* What the worker was sent since the last time. */
UNUSED_FN static const char *hears(void)
{
    buf_reset(&rig.heard);
    lane_read(&rig.reader, SIZE_MAX);
    return rig.heard.len ? buf_cstr(&rig.heard) : "";
}

static void rig_to_core(struct msg *m)
{
    mailbox_post(&rig.up.control, m);
    core_take_messages(rig.core);
}

static void rig_subscriber(enum msg_type type, const char *name, const char *token, bool wrapped)
{
    struct msg *m = msg_create(type, 0);
    m->kind = strchr(name, '*') ? TOPIC_PATTERN : TOPIC_CHANNEL;
    m->wrapped = wrapped;
    m->text = mem_strdup(name);
    m->topic = (struct shard_topic *)(uintptr_t)token;
    rig_to_core(m);
}

/* join, leave: a stream of the topic `name`, which is a pattern if it has a star. */
UNUSED_FN static void join(const char *name, const char *token)
{
    rig_subscriber(MSG_SUBSCRIBE, name, token, false);
}

UNUSED_FN static void leave(const char *name, const char *token)
{
    rig_subscriber(MSG_UNSUBSCRIBE, name, token, false);
}

/* ask: MSG_REPLAY; `wants` are names with commas between them. */
UNUSED_FN static void ask_told(uint64_t stream, enum replay_from from, uint64_t value,
                               const char *wants, uint64_t told)
{
    struct msg *m = msg_create(MSG_REPLAY, 0);
    struct replay_request *r = m->replay = replay_request_create(8);
    r->stream = stream;
    r->from = from;
    r->value = value;
    r->told = told;
    r->count = 0;
    buf_str(&r->bytes, wants);
    for (char *at = r->bytes.data, *end = at + r->bytes.len; at < end;) {
        char *comma = memchr(at, ',', (size_t)(end - at));
        size_t len = (size_t)((comma ? comma : end) - at);
        bool pattern = memchr(at, '*', len) != NULL;
        r->wants[r->count++] = (struct replay_want){.kind = pattern ? TOPIC_PATTERN : TOPIC_CHANNEL,
                                                    .name = span_make(at, len)};
        at += len + 1;
    }
    rig_to_core(m);
}

UNUSED_FN static void ask(uint64_t stream, enum replay_from from, uint64_t value, const char *wants)
{
    ask_told(stream, from, value, wants, 0);
}

UNUSED_FN static void forget(uint64_t stream)
{
    struct msg *m = msg_create(MSG_REPLAY_END, 0);
    m->stream = stream;
    rig_to_core(m);
}

/* One turn of the core, in which the broker says nothing. */
UNUSED_FN static void turn(void)
{
    core_tick(rig.core);
    core_end_turn(rig.core);
}

/* Turns, in which the broker answers everything, until nothing is under way. */
UNUSED_FN static void run(void)
{
    turn();
    for (int i = 0; rig.pending_count; i++) {
        if (i == 10000)
            fail_msg("it never comes to rest: %.200s", calls());
        answer();
        turn();
    }
}

UNUSED_FN static void pass(uint64_t us)
{
    rig.now_us += us;
    run();
}

UNUSED_FN static void broker_up(void)
{
    core_broker_events.on_up(rig.core);
}

/* broker_down: what is under way is answered first. */
UNUSED_FN static void broker_down(void)
{
    for (size_t i = 0; rig.pending_count; i++) {
        assert_true(i < 10000);
        answer_err(ERR_UNAVAILABLE);
    }
    core_broker_events.on_down(rig.core, "by script");
}

static uint64_t rig_now(void *ctx)
{
    return rig.now_us;
}

static const struct clock rig_clock = {.mono_us = rig_now, .wall_us = rig_now};

static void rig_wake(void *ctx)
{
}

struct rig_options {
    uint64_t replay_bytes, message_bytes, messages, lane_bytes; /* 0: plenty */
    bool ephemeral;                                             /* no channel has history */
};

static uint64_t rig_or(uint64_t value, uint64_t otherwise)
{
    return value ? value : otherwise;
}

/* rig_create: the broker is away, and its clock says 100. */
UNUSED_FN static void rig_create(const struct rig_options *o)
{
    memset(&rig, 0, sizeof(rig));
    rig.now_us = 1000000;
    rig.dataset = (struct broker_dataset){.epoch = span_of(RIG_EPOCH),
                                          .boot = span_of("boot"),
                                          .clock = 100,
                                          .born = 10,
                                          .longest_us = UINT64_C(3600000000),
                                          .verdict = DATASET_NEW};
    rig.down = downlinks_alloc(1);
    downlink_init(rig.down, (struct lane_wake){.wake = rig_wake}, rig_or(o->lane_bytes, 1 << 30));
    rig.reader = (struct lane_reader){
        .down = rig.down, .on_frame = rig_on_frame, .on_msg = rig_on_msg, .ctx = &rig.heard};
    mailbox_init(&rig.up.control, (struct lane_wake){.wake = rig_wake});
    const struct namespace_settings all[] = {{.match = "raw.*"},
                                             {.match = "*",
                                              .durable = !o->ephemeral,
                                              .history_messages = rig_or(o->messages, 1000),
                                              .history_seconds = 3600}};
    rig.namespaces = namespaces_create(all, 2);
    struct core_options options = {
        .workers = 1,
        .downlinks = rig.down,
        .uplink = &rig.up,
        .clock = &rig_clock,
        .namespaces = rig.namespaces,
        .metrics = &rig.metrics,
        .channel_prefix = "",
        .publish_bytes = UINT64_MAX,
        .message_bytes = rig_or(o->message_bytes, UINT64_MAX),
        .replay_bytes = rig_or(o->replay_bytes, 64 << 20),
    };
    rig.core = core_create(&options);
    rig.broker = (struct broker){.ops = &rig_ops, .events = &core_broker_events, .ctx = rig.core};
    core_attach(rig.core, &rig.broker);
}

/* rig_live: and now it is up, known, and has beaten once; nothing is heard yet. */
UNUSED_FN static void rig_live(const struct rig_options *o)
{
    rig_create(o);
    broker_up();
    run();
    rig.dataset.verdict = DATASET_SAME;
    hears();
    calls();
}

UNUSED_FN static int rig_start(void **state)
{
    rig_live(&(struct rig_options){0});
    return 0;
}

UNUSED_FN static int rig_stop(void **state)
{
    while (rig.pending_count)
        answer_err(ERR_UNAVAILABLE);
    core_attach(rig.core, NULL);
    lane_reader_drop(&rig.reader);
    downlink_fini(rig.down);
    core_destroy(&rig.core);
    mailbox_fini(&rig.up.control);
    free(rig.down);
    namespaces_destroy(&rig.namespaces);
    buf_free(&rig.calls);
    buf_free(&rig.heard);
    return 0;
}

/* listen_to: a stream of a topic that is confirmed and settled; nothing is heard of it. */
UNUSED_FN static void listen_to(const char *name, const char *token)
{
    join(name, token);
    ask(999, REPLAY_NOW, 0, name);
    run();
    hears();
    calls();
}

/* T(name): a test with a rig of its own. */
#define T(name) cmocka_unit_test_setup_teardown(name, rig_start, rig_stop)

#endif
