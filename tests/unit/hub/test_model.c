/*
 * Random sequences of everything that can happen around the hub, against a real core, real lanes
 * and real shards; what the streams are owed stands in model_streams.h and model_durable.h.
 * The same ones in each run, from seed 1 on, so that a red run says something of the change and not
 * of the draw. SLUICE_SEED=n begins with the sequence of that seed, SLUICE_SEED=random anywhere;
 * SLUICE_SEQUENCES=n runs as many. A sequence that fails is shrunk by leaving out steps and
 * printed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "model_hub.h"

#include <signal.h>
#include <sys/random.h>
#include <unistd.h>

enum { FIRST_SEED = 1, SEQUENCES = 100000, ENOUGH = 10000, BEAT_US = 2100000 };

/* The steps */

static void join(uint32_t x)
{
    struct stream *s = &streams[x % STREAMS];
    uint32_t worker = x / STREAMS % WORKERS;
    struct shard_resume resume = resume_of(x, newest_id());
    if (!s->open)
        stream_join(s, shards[worker], worker, mask_of(x >> 4), x >> 31, &resume);
}

static void leave(struct stream *s)
{
    if (s->open)
        stream_leave(s, shards[s->worker]);
}

/* As a browser does, but not between two gaps. */
static void resume(struct stream *s, uint32_t worker)
{
    struct shard_resume from = {.from = s->sure ? REPLAY_AFTER : REPLAY_NOW, .value = s->sure};
    if (!s->open)
        return;
    unsigned mask = s->mask;
    bool wrapped = s->sub.wrapped;
    stream_leave(s, shards[s->worker]);
    stream_join(s, shards[worker], worker, mask, wrapped, &from);
}

static void publish(uint32_t x)
{
    int channel = (int)(x % CHANNELS);
    if (channel_durable(channel) && x >> 8 & 3)
        redis_publish_durable(channel);
    else
        redis_publish(channel);
}

static void pass(uint64_t us)
{
    now_us += us;
    store.now += us;
    core_tick(core);
}

static void some(bool (*step)(void), uint32_t x)
{
    for (uint32_t n = x % 8 + 1; n && step(); n--)
        ;
}

static void run_redis_step(const struct step *s)
{
    switch (s->op) {
    case OP_PUBLISH:
        publish(s->x);
        break;
    case OP_REDIS:
        some(redis_step, s->x);
        break;
    case OP_CARRY:
        some(redis_carry, s->x);
        break;
    case OP_DENY:
        redis.denied[s->x % TOPICS] = s->x >> 8 & 1;
        break;
    case OP_MUTE:
        store.muted[s->x % CHANNELS] = s->x >> 8 & 1;
        break;
    case OP_SAVE:
        store_save();
        break;
    case OP_FLUSH:
        store_flush();
        break;
    default: /* OP_REWIND, OP_RESTART */
        broker_cut();
        store_restart(s->op == OP_REWIND);
        break;
    }
}

static void run_step(const struct step *s)
{
    struct stream *stream = &streams[s->x % STREAMS];
    uint32_t worker = s->x / STREAMS % WORKERS;
    switch (s->op) {
    case OP_JOIN:
        join(s->x);
        break;
    case OP_RESUME:
        resume(stream, worker);
        break;
    case OP_LEAVE:
        leave(stream);
        break;
    case OP_ROOM:
        stream_room(stream, shards[stream->worker], s->x >> 8 & 1 ? s->x >> 9 & 3 : UINT64_MAX);
        break;
    case OP_POST:
        worker_publish(s->x);
        break;
    case OP_SEND:
        broker_send();
        break;
    case OP_READ:
        some(broker_read, s->x);
        break;
    case OP_ANSWER:
        some(broker_answer, s->x);
        break;
    case OP_FAIL:
        broker_fail(s->x & 1 ? ERR_TIMEOUT : ERR_UNAVAILABLE);
        break;
    case OP_CORE:
        core_take_messages(core);
        core_tick(core);
        break;
    case OP_WORKER:
        worker_turn(s->x % WORKERS, s->x / WORKERS % 8 + 1, s->x >> 8 & 1);
        break;
    case OP_TIME:
        pass(s->x % (2 * LINGER_US));
        break;
    case OP_CUT:
        broker_cut();
        break;
    case OP_CONNECT:
        broker_connect();
        break;
    default:
        run_redis_step(s);
        break;
    }
    if (s->op == OP_CORE || s->x >> 30 & 1)
        core_end_turn(core);
}

/* Lets everything that is under way arrive. */
static void settle(void)
{
    bool more = true;
    for (int turn = 0; more && !failure[0]; turn++) {
        if (turn == 2000)
            fail_model("the hub never comes to rest");
        more = broker_send() | redis_step() | redis_carry() | broker_read() | broker_answer();
        struct msg *first = up.control.head;
        more |= first != NULL;
        core_take_messages(core);
        core_tick(core);
        core_end_turn(core);
        for (uint32_t w = 0; w < WORKERS; w++)
            more |= worker_turn(w, SIZE_MAX, true) > 0;
    }
}

/* Nothing goes wrong any more, and there is time to find what did. */
static void come_to_rest(void)
{
    memset(redis.denied, 0, sizeof(redis.denied));
    memset(store.muted, 0, sizeof(store.muted));
    broker_connect();
    for (int i = 0; i < STREAMS; i++)
        stream_room(&streams[i], shards[streams[i].worker], UINT64_MAX);
    for (int i = 0; i < (store.durable ? 8 : 1) && !failure[0]; i++) {
        settle();
        pass(store.durable ? BEAT_US : 0);
    }
    settle();
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
        leave(&streams[i]);
    for (int i = 0; i < 3; i++) {
        settle();
        pass((uint64_t)2 * LINGER_US);
    }
    settle();
    for (int i = 0; i < SUBS; i++)
        if (redis.known[i] || redis.at_redis[i])
            fail_model("%s is still subscribed to, and nobody wants it", sub_name(i).ptr);
    if (metrics_get(&metrics.channels) + metrics_get(&metrics.patterns))
        fail_model("the core knows topics that nobody wants");
    for (uint32_t w = 0; w < WORKERS; w++)
        if (shard_topics(shards[w]))
            fail_model("a worker knows topics that nobody wants");
}

/* One sequence */

/* False when the promise is broken; `failure` says how. */
static bool run(const struct sequence *q)
{
    create_hub(q);
    for (size_t i = 0; i < q->count && !failure[0]; i++) {
        if (tracing)
            step_print(&q->steps[i]);
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
    printf(
        "  %zu of its %zu steps, lanes of %llu bytes, rings of %llu, history of %llu messages and "
        "%llu s, %u in an answer:\n",
        q->count, steps, (unsigned long long)q->lane_bytes, (unsigned long long)q->replay_bytes,
        (unsigned long long)q->messages, (unsigned long long)q->seconds, q->read_most);
    tracing = true;
    run(q);
    tracing = false;
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

static uint64_t first_seed(void)
{
    const char *text = getenv("SLUICE_SEED");
    uint64_t seed;
    if (!text || strcmp(text, "random") != 0)
        return from_environment("SLUICE_SEED", FIRST_SEED);
    if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
        seed = (uint64_t)getpid();
    return seed >> 1;
}

static void every_stream_has_each_publication_once_and_in_order_or_is_told_a_gap(void **state)
{
    static struct sequence q;
    uint64_t seed = first_seed();
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
    for (size_t i = 0; i < sizeof(totals) / sizeof(totals[0]); i++) {
        printf("  %s: %llu\n", totals[i].what, (unsigned long long)totals[i].sum);
        assert_true(totals[i].sum > 0 || count < ENOUGH);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_stream_has_each_publication_once_and_in_order_or_is_told_a_gap),
    };
    down = downlinks_alloc(WORKERS);
    log_setup(LOG_ERROR, false);
    signal(SIGABRT, on_abort);
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(say_seed);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(down);
    return failed;
}
