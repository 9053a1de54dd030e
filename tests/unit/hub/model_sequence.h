/*
 * For the model test: a sequence of steps, drawn from a seed, shrunk and printed. What a step means
 * depends on what there is when it is its turn, so that any steps may be left out.
 */
#ifndef TESTS_MODEL_SEQUENCE_H
#define TESTS_MODEL_SEQUENCE_H

#include "model_sink.h"

enum { MOST_STEPS = 140, LINGER_US = 1000000 };

enum op {
    OP_JOIN,
    OP_RESUME,
    OP_LEAVE,
    OP_ROOM,
    OP_PUBLISH,
    OP_POST,
    OP_SEND,
    OP_REDIS,
    OP_CARRY,
    OP_READ,
    OP_ANSWER,
    OP_CORE,
    OP_WORKER,
    OP_TIME,
    OP_CUT,
    OP_CONNECT,
    OP_DENY,
    OP_FAIL,
    OP_MUTE,
    OP_SAVE,
    OP_REWIND,
    OP_RESTART,
    OP_FLUSH,
    OPS
};

/* How often each step is drawn. */
static const uint8_t weights[OPS] = {
    [OP_JOIN] = 10,   [OP_RESUME] = 4,  [OP_LEAVE] = 6,   [OP_ROOM] = 6,   [OP_PUBLISH] = 28,
    [OP_POST] = 3,    [OP_SEND] = 9,    [OP_REDIS] = 10,  [OP_CARRY] = 14, [OP_READ] = 20,
    [OP_ANSWER] = 14, [OP_CORE] = 14,   [OP_WORKER] = 20, [OP_TIME] = 8,   [OP_CUT] = 2,
    [OP_CONNECT] = 5, [OP_DENY] = 1,    [OP_FAIL] = 1,    [OP_MUTE] = 3,   [OP_SAVE] = 3,
    [OP_REWIND] = 2,  [OP_RESTART] = 2, [OP_FLUSH] = 1,
};

struct step {
    enum op op;
    uint32_t x; /* what of it: read by the step as it needs */
};

struct sequence {
    uint64_t seed;
    uint64_t lane_bytes, replay_bytes;
    uint64_t messages, seconds; /* of history; 0: no channel has any */
    uint32_t read_most;         /* messages that Redis answers at once */
    bool loses;                 /* Redis may lose things */
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

static bool is_loss(enum op op)
{
    return op == OP_MUTE || op == OP_SAVE || op == OP_REWIND || op == OP_FLUSH;
}

static void draw_history(struct sequence *q, uint64_t *random)
{
    static const uint64_t messages[] = {2, 5, 1000, 1000}, seconds[] = {10, 3600, 3600};
    static const uint64_t bytes[] = {1 << 20, 1 << 20, 400, 1};
    static const uint32_t most[] = {1, 3, SLICE_MOST};
    q->messages = next_random(random) % 4 ? messages[next_random(random) % 4] : 0;
    q->seconds = seconds[next_random(random) % 3];
    q->replay_bytes = bytes[next_random(random) % 4];
    q->read_most = most[next_random(random) % 3];
    q->loses = q->messages && next_random(random) % 2;
}

static void sequence_draw(struct sequence *q, uint64_t seed)
{
    static const uint64_t lanes[] = {UINT64_MAX, 200, 60};
    uint64_t random = seed;
    q->seed = seed;
    q->lane_bytes = lanes[next_random(&random) % 3];
    q->pattern_order = (int)(next_random(&random) % TOPICS);
    draw_history(q, &random);
    q->count = 20 + next_random(&random) % (MOST_STEPS - 20);
    q->steps[0] = (struct step){.op = OP_CONNECT};
    for (size_t i = 1; i < q->count; i++) {
        q->steps[i].op = draw_op(&random);
        if (is_loss(q->steps[i].op) && !q->loses)
            q->steps[i].op = OP_READ;
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

/* Where a stream begins that joins with this; the newest id is known when it does. */
static struct shard_resume resume_of(uint32_t x, uint64_t newest)
{
    uint32_t r = x >> 24;
    switch (x >> 21 & 7) {
    case 0:
        return (struct shard_resume){.from = REPLAY_UNKNOWN, .value = 0};
    case 1:
        return (struct shard_resume){.from = REPLAY_SINCE, .value = r % 32};
    case 2:
        return (struct shard_resume){.from = REPLAY_LAST, .value = 1 + r % 4};
    case 3:
        return (struct shard_resume){.from = REPLAY_AFTER,
                                     .value = newest + r % 8 * r % 3000 + !newest};
    case 4:
    case 5:
        return (struct shard_resume){.from = REPLAY_AFTER,
                                     .value = newest > r / 4 ? newest - r / 4 : 1};
    default:
        return (struct shard_resume){.from = REPLAY_NOW, .value = 0};
    }
}

static void print_join(uint32_t x)
{
    static const char *const froms[] = {
        [REPLAY_NOW] = "",
        [REPLAY_AFTER] = " after an id",
        [REPLAY_UNKNOWN] = " after nonsense",
        [REPLAY_SINCE] = " since",
        [REPLAY_LAST] = " with the last",
    };
    printf("stream %u joins worker %u%s%s:", x % STREAMS, x / STREAMS % WORKERS,
           x >> 31 ? ", wrapped" : "", froms[resume_of(x, 0).from]);
    for (int i = 0; i < TOPICS; i++)
        if (mask_of(x >> 4) >> i & 1)
            printf(" %s", topics[i].name);
    printf("\n");
}

static void step_print(const struct step *s)
{
    static const struct {
        const char *text;
        uint32_t range, least; /* of the number in the text */
    } texts[OPS] = {
        [OP_RESUME] = {"stream %u breaks off and resumes", STREAMS, 0},
        [OP_LEAVE] = {"stream %u leaves", STREAMS, 0},
        [OP_ROOM] = {"stream %u has another room", STREAMS, 0},
        [OP_PUBLISH] = {"publish on channel number %u", CHANNELS, 0},
        [OP_POST] = {"worker %u publishes by HTTP", WORKERS, 0},
        [OP_SEND] = {"the broker sends its commands", 1, 0},
        [OP_REDIS] = {"redis takes %u commands", 8, 1},
        [OP_CARRY] = {"redis carries out %u calls", 8, 1},
        [OP_READ] = {"the broker reads %u replies", 8, 1},
        [OP_ANSWER] = {"%u calls are answered", 8, 1},
        [OP_CORE] = {"the core takes its messages", 1, 0},
        [OP_WORKER] = {"worker %u has a turn", WORKERS, 0},
        [OP_TIME] = {"%u us pass", 2 * LINGER_US, 0},
        [OP_CUT] = {"the connections are cut", 1, 0},
        [OP_CONNECT] = {"the broker connects", 1, 0},
        [OP_DENY] = {"the rights to topic %u change", TOPICS, 0},
        [OP_FAIL] = {"a call fails", 1, 0},
        [OP_MUTE] = {"the notices of channel number %u are refused, or no more", CHANNELS, 0},
        [OP_SAVE] = {"redis saves", 1, 0},
        [OP_REWIND] = {"redis comes back with what was saved", 1, 0},
        [OP_RESTART] = {"redis is restarted", 1, 0},
        [OP_FLUSH] = {"redis is emptied", 1, 0},
    };
    printf("    ");
    if (s->op == OP_JOIN) {
        print_join(s->x);
        return;
    }
    uint32_t range = texts[s->op].range ? texts[s->op].range : 1;
    printf(texts[s->op].text, s->x % range + texts[s->op].least);
    if (s->op == OP_PUBLISH && s->x >> 8 & 3)
        printf(", durably if it can");
    printf("\n");
}

#endif
