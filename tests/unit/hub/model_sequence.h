/*
 * For the model test: a sequence of steps, drawn from a seed, shrunk and printed. What a step means
 * depends on what there is when it is its turn, so that any steps may be left out.
 */
#ifndef TESTS_MODEL_SEQUENCE_H
#define TESTS_MODEL_SEQUENCE_H

#include "model_streams.h"

enum { MOST_STEPS = 140, LINGER_US = 1000000 };

enum op {
    OP_JOIN,
    OP_LEAVE,
    OP_PUBLISH,
    OP_POST,
    OP_SEND,
    OP_REDIS,
    OP_READ,
    OP_ANSWER,
    OP_CORE,
    OP_WORKER,
    OP_TIME,
    OP_CUT,
    OP_CONNECT,
    OP_DENY,
    OPS
};

/* How often each step is drawn. */
static const uint8_t weights[OPS] = {
    [OP_JOIN] = 10,  [OP_LEAVE] = 7, [OP_PUBLISH] = 24, [OP_POST] = 3,  [OP_SEND] = 9,
    [OP_REDIS] = 10, [OP_READ] = 18, [OP_ANSWER] = 2,   [OP_CORE] = 14, [OP_WORKER] = 16,
    [OP_TIME] = 6,   [OP_CUT] = 2,   [OP_CONNECT] = 4,  [OP_DENY] = 1,
};

struct step {
    enum op op;
    uint32_t x; /* what of it: read by the step as it needs */
};

struct sequence {
    uint64_t seed;
    uint64_t lane_bytes;
    int pattern_order;
    size_t count;
    struct step steps[MOST_STEPS];
};

static unsigned mask_of(uint32_t x)
{
    unsigned mask = 1u << x % TOPICS;
    if (x >> 8 & 1)
        mask |= 1u << (x >> 9) % TOPICS;
    if ((x >> 16 & 3) == 0)
        mask |= 1u << (x >> 18) % TOPICS;
    return mask;
}

/* splitmix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static enum op draw_op(uint64_t *random)
{
    unsigned total = 0;
    for (int i = 0; i < OPS; i++)
        total += weights[i];
    unsigned at = (unsigned)(next_random(random) % total);
    int op = 0;
    for (; at >= weights[op]; op++)
        at -= weights[op];
    return (enum op)op;
}

static void sequence_draw(struct sequence *q, uint64_t seed)
{
    static const uint64_t lanes[] = {UINT64_MAX, 200, 60};
    uint64_t random = seed;
    q->seed = seed;
    q->lane_bytes = lanes[next_random(&random) % 3];
    q->pattern_order = (int)(next_random(&random) % TOPICS);
    q->count = 20 + next_random(&random) % (MOST_STEPS - 20);
    q->steps[0] = (struct step){.op = OP_CONNECT};
    for (size_t i = 1; i < q->count; i++) {
        q->steps[i].op = draw_op(&random);
        q->steps[i].x = (uint32_t)next_random(&random);
    }
}

/* Leaves out runs of steps, shorter and shorter, as long as something is still wrong. */
static void sequence_shrink(struct sequence *q, bool (*run)(const struct sequence *q))
{
    for (size_t len = q->count / 2; len > 0; len /= 2) {
        for (size_t at = 0; at + len <= q->count;) {
            struct sequence shorter = *q;
            memmove(&shorter.steps[at], &shorter.steps[at + len],
                    (q->count - at - len) * sizeof(q->steps[0]));
            shorter.count -= len;
            if (run(&shorter))
                at += len;
            else
                *q = shorter;
        }
    }
}

static void print_join(uint32_t x)
{
    printf("stream %u joins worker %u%s:", x % STREAMS, x / STREAMS % WORKERS,
           x >> 31 ? ", wrapped" : "");
    for (int i = 0; i < TOPICS; i++)
        if (mask_of(x >> 4) >> i & 1)
            printf(" %s", topics[i].name);
    printf("\n");
}

static void step_print(const struct step *s)
{
    static const char *const texts[OPS] = {
        [OP_LEAVE] = "stream %u leaves\n",
        [OP_PUBLISH] = "publish on channel number %u\n",
        [OP_POST] = "worker %u publishes by HTTP\n",
        [OP_SEND] = "the broker sends its commands\n",
        [OP_REDIS] = "redis takes %u commands\n",
        [OP_READ] = "the broker reads %u replies\n",
        [OP_ANSWER] = "a publish is answered\n",
        [OP_CORE] = "the core takes its messages\n",
        [OP_WORKER] = "worker %u has a turn\n",
        [OP_TIME] = "%u us pass\n",
        [OP_CUT] = "the connection is cut\n",
        [OP_CONNECT] = "the broker connects\n",
        [OP_DENY] = "the rights to topic %u change\n",
    };
    static const uint32_t ranges[OPS] = {
        [OP_LEAVE] = STREAMS,  [OP_PUBLISH] = CHANNELS,   [OP_POST] = WORKERS,
        [OP_WORKER] = WORKERS, [OP_TIME] = 2 * LINGER_US, [OP_DENY] = TOPICS,
    };
    printf("    ");
    if (s->op == OP_JOIN)
        print_join(s->x);
    else if (s->op == OP_REDIS || s->op == OP_READ)
        printf(texts[s->op], s->x % 8 + 1);
    else
        printf(texts[s->op], ranges[s->op] ? s->x % ranges[s->op] : 0);
}

#endif
