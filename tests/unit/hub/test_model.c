/*
 * Random sequences of everything that can happen around the hub, against a real core, real lanes
 * and real shards; what the streams are owed stands in model_streams.h. SLUICE_SEED=n begins with
 * the sequence of that seed; SLUICE_SEQUENCES=n runs as many. A sequence that fails is shrunk by
 * leaving out steps and printed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "hub/core.h"
#include "lane_reader.h"
#include "model_sequence.h"
#include "model_streams.h"

#include <signal.h>
#include <sys/random.h>
#include <unistd.h>

enum { SEQUENCES = 20000 };

static struct core *core;
static struct downlink *down;
static struct uplink up;
static struct shard *shards[WORKERS];
static struct lane_reader readers[WORKERS];
static struct metrics metrics;
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
        if (m->publish->orders[i].err && m->publish->orders[i].err != ERR_UNAVAILABLE)
            fail_model("a publish was answered with error %d", m->publish->orders[i].err);
}

static size_t worker_turn(uint32_t worker, size_t most)
{
    size_t n = lane_read(&readers[worker], most);
    for (int i = 0; i < STREAMS; i++)
        if (streams[i].open && streams[i].refused && streams[i].worker == worker)
            stream_leave(&streams[i], shards[worker]);
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

/* The steps */

static void toggle_stream(uint32_t x, bool join)
{
    struct stream *s = &streams[x % STREAMS];
    uint32_t worker = x / STREAMS % WORKERS;
    if (join && !s->open)
        stream_join(s, shards[worker], worker, mask_of(x >> 4), x >> 31);
    else if (!join && s->open)
        stream_leave(s, shards[s->worker]);
}

static void some(bool (*step)(void), uint32_t x)
{
    for (uint32_t n = x % 8 + 1; n && step(); n--)
        ;
}

static void run_step(const struct step *s)
{
    switch (s->op) {
    case OP_JOIN:
    case OP_LEAVE:
        toggle_stream(s->x, s->op == OP_JOIN);
        break;
    case OP_PUBLISH:
        redis_publish((int)(s->x % CHANNELS));
        break;
    case OP_POST:
        worker_publish(s->x);
        break;
    case OP_SEND:
        broker_send();
        break;
    case OP_REDIS:
        some(redis_step, s->x);
        break;
    case OP_READ:
        some(broker_read, s->x);
        break;
    case OP_ANSWER:
        broker_answer(0);
        break;
    case OP_CORE:
        core_take_messages(core);
        core_tick(core);
        break;
    case OP_WORKER:
        worker_turn(s->x % WORKERS, s->x / WORKERS % 8 + 1);
        break;
    case OP_TIME:
        now_us += s->x % (2 * LINGER_US);
        core_tick(core);
        break;
    case OP_CUT:
        broker_cut();
        break;
    case OP_CONNECT:
        broker_connect();
        break;
    default:
        redis.denied[s->x % TOPICS] = s->x >> 8 & 1;
        break;
    }
}

/* Lets everything that is under way arrive. */
static void come_to_rest(void)
{
    memset(redis.denied, 0, sizeof(redis.denied));
    broker_connect();
    bool more = true;
    for (int turn = 0; more && !failure[0]; turn++) {
        if (turn == 100000)
            fail_model("the hub never comes to rest");
        more = broker_send() | redis_step() | broker_read() | broker_answer(0);
        struct msg *first = up.control.head;
        more |= first != NULL;
        core_take_messages(core);
        core_tick(core);
        for (uint32_t w = 0; w < WORKERS; w++)
            more |= worker_turn(w, SIZE_MAX) > 0;
    }
}

static void check_rest(void)
{
    come_to_rest();
    for (int i = 0; i < STREAMS && !failure[0]; i++)
        check_at_rest(&streams[i]);
    if (answered != posted)
        fail_model("%u of %u publishes were answered", answered, posted);
}

/* When all have left and the linger is over nothing must be left of them anywhere. */
static void check_empty(void)
{
    for (int i = 0; i < STREAMS; i++)
        if (streams[i].open)
            stream_leave(&streams[i], shards[streams[i].worker]);
    for (int i = 0; i < 3; i++) {
        come_to_rest();
        now_us += 2 * LINGER_US;
    }
    come_to_rest();
    for (int i = 0; i < TOPICS; i++)
        if (redis.known[i] || redis.at_redis[i])
            fail_model("%s is still subscribed to, and nobody wants it", topics[i].name);
    if (metrics_get(&metrics.channels) + metrics_get(&metrics.patterns))
        fail_model("the core knows topics that nobody wants");
    for (uint32_t w = 0; w < WORKERS; w++)
        if (shard_topics(shards[w]))
            fail_model("a worker knows topics that nobody wants");
}

/* One sequence */

static void create_hub(const struct sequence *q)
{
    memset(&redis, 0, offsetof(struct redis_model, pub_channel));
    memset(streams, 0, sizeof(streams));
    memset(&metrics, 0, sizeof(metrics));
    redis.wrong = NULL;
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
    };
    core = core_create(&options);
    redis.broker = (struct broker){.ops = &model_ops, .events = &core_broker_events, .ctx = core};
    core_attach(core, &redis.broker);
}

static void destroy_hub(void)
{
    while (broker_answer(ERR_UNAVAILABLE))
        ;
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
}

/* False when the promise is broken; `failure` says how. */
static bool run(const struct sequence *q)
{
    create_hub(q);
    for (size_t i = 0; i < q->count && !failure[0]; i++) {
        run_step(&q->steps[i]);
        if (redis.wrong)
            fail_model("%s", redis.wrong);
    }
    if (!failure[0])
        check_rest();
    if (!failure[0])
        check_empty();
    destroy_hub();
    return failure[0] == '\0';
}

/* Failure */

static void report(struct sequence *q)
{
    size_t steps = q->count;
    sequence_shrink(q, run);
    run(q);
    printf("SLUICE_SEED=%llu: %s\n", (unsigned long long)q->seed, failure);
    printf("  %zu of its %zu steps, in lanes of %llu bytes:\n", q->count, steps,
           (unsigned long long)q->lane_bytes);
    for (size_t i = 0; i < q->count; i++)
        step_print(&q->steps[i]);
}

static uint64_t seed_at_work;

/* An assertion of the hub, or AddressSanitizer, ends the program: which sequence was it? */
static void say_seed(void)
{
    char text[64];
    int n = snprintf(text, sizeof(text), "SLUICE_SEED=%llu\n", (unsigned long long)seed_at_work);
    if (write(STDERR_FILENO, text, (size_t)n) < 0)
        return;
}

static void on_abort(int signal_number)
{
    say_seed();
    signal(SIGABRT, SIG_DFL);
    raise(SIGABRT);
}

void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void every_stream_has_each_publication_once_and_in_order_or_is_told_a_gap(void **state)
{
    static struct sequence q;
    uint64_t seed = 1;
    if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
        seed = (uint64_t)getpid();
    seed = from_environment("SLUICE_SEED", seed >> 1);
    uint64_t count = from_environment("SLUICE_SEQUENCES", SEQUENCES);
    printf("SLUICE_SEED=%llu: %llu sequences\n", (unsigned long long)seed,
           (unsigned long long)count);
    for (uint64_t i = 0; i < count; i++) {
        seed_at_work = seed + i;
        sequence_draw(&q, seed_at_work);
        if (run(&q))
            continue;
        report(&q);
        fail();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_stream_has_each_publication_once_and_in_order_or_is_told_a_gap),
    };
    down = downlinks_alloc(WORKERS);
    namespaces = namespaces_create(NULL, 0);
    signal(SIGABRT, on_abort);
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(say_seed);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    namespaces_destroy(&namespaces);
    free(down);
    return failed;
}
