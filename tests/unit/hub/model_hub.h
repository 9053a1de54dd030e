/*
 * For the model test: the hub of one sequence, which is all real: a core, the lanes, a shard for
 * each worker; and the worker's part of the work.
 */
#ifndef TESTS_MODEL_HUB_H
#define TESTS_MODEL_HUB_H

#include "base/mem.h"
#include "hub/core.h"
#include "lane_reader.h"
#include "model_calls.h"
#include "model_sequence.h"

static struct core *core;
static struct downlink *down;
static struct uplink up;
static struct shard *shards[WORKERS];
static struct lane_reader readers[WORKERS];
static struct metrics metrics; /* of one sequence, likewise */
static struct namespaces *namespaces;
static uint64_t now_us;
static unsigned posted, answered; /* HTTP publishes */

static uint64_t model_now(void *ctx)
{
    return now_us;
}

static const struct clock model_clock = {.mono_us = model_now, .wall_us = model_now};

static void no_wake(void *ctx)
{
}

/* A worker's side */

static void on_entry(void *ctx, const struct lane_entry *e)
{
    shard_fan_out(*(struct shard **)ctx, e, 1);
}

static void on_control(void *ctx, struct msg *m)
{
    if (shard_handle(*(struct shard **)ctx, m))
        return;
    if (m->type != MSG_PUBLISHED)
        fail_model("message %d came to a worker", (int)m->type);
    answered++;
    for (size_t i = 0; m->publish && i < m->publish->count; i++)
        if (m->publish->orders[i].err && m->publish->orders[i].err != ERR_UNAVAILABLE &&
            m->publish->orders[i].err != ERR_TIMEOUT)
            fail_model("a publish was answered with error %d", m->publish->orders[i].err);
}

static size_t worker_turn(uint32_t worker, size_t most, bool heads)
{
    size_t n = lane_read(&readers[worker], most);
    for (int i = 0; i < STREAMS; i++)
        if (streams[i].open && streams[i].refused && streams[i].worker == worker)
            stream_leave(&streams[i], shards[worker]);
    for (int i = 0; i < STREAMS; i++)
        if (streams[i].worker == worker && heads && !readers[worker].first)
            check_head(&streams[i], shard_frontier(shards[worker]));
    if (lane_drained(&down[worker].frames))
        mailbox_post(&up.control, msg_create(MSG_DRAINED, worker));
    return n;
}

static void worker_publish(uint32_t x)
{
    struct msg *m = msg_create(MSG_PUBLISH, x % WORKERS);
    m->publish = publish_request_create(1 + x / 16 % 3);
    for (size_t i = 0; i < m->publish->count; i++)
        m->publish->orders[i] = (struct publish_order){
            .channel = span_of(channels[(x / 64 + i) % CHANNELS]), .data = span_of("by number")};
    mailbox_post(&up.control, m);
    posted++;
}

/* The life of a hub */

/* What must happen now and then, or the sequences show nothing. */
static struct {
    const char *what;
    const atomic_uint_fast64_t *one; /* of the sequence at work */
    uint64_t sum;
} totals[] = {
    {"messages", &metrics.messages, 0},
    {"durable messages", &metrics.durable_messages, 0},
    {"replayed", &metrics.replayed, 0},
    {"slices from rings", &metrics.replays_ring, 0},
    {"slices from redis", &metrics.replays_redis, 0},
    {"holes", &metrics.holes, 0},
    {"healed", &metrics.holes_healed, 0},
    {"late", &metrics.late_messages, 0},
    {"foreign notices", &metrics.foreign_notices, 0},
    {"full lanes", &metrics.lane_full, 0},
    {"gaps for redis", &metrics.gaps_redis, 0},
    {"gaps for overflow", &metrics.gaps_overflow, 0},
    {"gaps for trims", &metrics.gaps_trimmed, 0},
    {"gaps for unknown ids", &metrics.gaps_unknown, 0},
};

static void create_store(const struct sequence *q)
{
    store_create();
    store.durable = q->messages > 0;
    store.messages = q->messages;
    store.seconds = q->seconds;
    calls.read_most = q->read_most;
    struct namespace_settings durable = {.match = (char[]){"d*"},
                                         .durable = true,
                                         .history_messages = q->messages,
                                         .history_seconds = q->seconds};
    namespaces = namespaces_create(&durable, store.durable);
}

static void create_hub(const struct sequence *q)
{
    memset(&redis, 0, offsetof(struct redis_model, commands));
    memset(streams, 0, sizeof(streams));
    memset(&metrics, 0, sizeof(metrics));
    create_store(q);
    redis.pattern_order = q->pattern_order;
    failure[0] = '\0';
    now_us = 1000000;
    posted = answered = 0;
    mailbox_init(&up.control, (struct lane_wake){.wake = no_wake});
    for (uint32_t w = 0; w < WORKERS; w++) {
        downlink_init(&down[w], (struct lane_wake){.wake = no_wake}, q->lane_bytes);
        shards[w] = shard_create(w, &up, &model_sink, NULL);
        readers[w] = (struct lane_reader){
            .down = &down[w], .on_frame = on_entry, .on_msg = on_control, .ctx = &shards[w]};
    }
    struct core_options options = {
        .workers = WORKERS,
        .downlinks = down,
        .uplink = &up,
        .clock = &model_clock,
        .namespaces = namespaces,
        .metrics = &metrics,
        .channel_prefix = "",
        .linger_us = LINGER_US,
        .publish_bytes = UINT64_MAX,
        .message_bytes = UINT64_MAX,
        .replay_bytes = q->replay_bytes,
    };
    core = core_create(&options);
    redis.broker = (struct broker){.ops = &model_ops, .events = &core_broker_events, .ctx = core};
    core_attach(core, &redis.broker);
}

static void destroy_hub(void)
{
    for (size_t i = 0; i < sizeof(totals) / sizeof(totals[0]); i++)
        totals[i].sum += metrics_get(totals[i].one);
    calls_end();
    for (int i = 0; i < STREAMS; i++)
        if (streams[i].open)
            stream_leave(&streams[i], shards[streams[i].worker]);
    for (uint32_t w = 0; w < WORKERS; w++) {
        lane_reader_drop(&readers[w]);
        downlink_fini(&down[w]);
        shard_destroy(&shards[w]);
    }
    core_destroy(&core);
    mailbox_fini(&up.control);
    namespaces_destroy(&namespaces);
}

#endif
