/*
 * For the model test: a Redis with one pub/sub connection, and a broker on it that keeps to
 * broker/broker.h as broker_redis/subscriptions.c does: one command under way for each name, and
 * the hub hears of a confirmation only when it agrees with the last thing it asked for. Each part
 * of the way (the command to Redis, the answer and the copies back) is a step of its own, so that
 * the test may let any time pass between them. What goes over the other connection stands in
 * model_calls.h.
 */
#ifndef TESTS_MODEL_REDIS_H
#define TESTS_MODEL_REDIS_H

#include "base/buf.h"
#include "base/err.h"
#include "broker/broker.h"
#include "model_data.h"

/* A name that is subscribed to: a topic's own, or behind them that of its notices. */
enum { SUBS = 2 * TOPICS, QUEUE = 8192 };

enum sub_state { SUB_IDLE, SUB_ASKED, SUB_ON, SUB_ENDING, SUB_REFUSED };

enum reply_type { REPLY_ON, REPLY_OFF, REPLY_REFUSED, REPLY_COPY, REPLY_FENCE };

struct reply {
    enum reply_type type;
    int sub;            /* whose confirmation, or through which it came */
    uint32_t pub;       /* copies */
    unsigned epoch;     /* fences, */
    uint64_t id, floor; /* likewise */
};

struct command {
    bool subscribe;
    int sub;
};

struct redis_model {
    struct broker broker; /* first */
    bool up;
    enum sub_state state[SUBS];
    bool wanted[SUBS], known[SUBS];
    bool at_redis[SUBS]; /* Redis's own set */
    bool denied[TOPICS]; /* by the ACL */
    int pattern_order;   /* with which pattern Redis begins */
    int todo[SUBS];
    size_t todo_count;
    size_t commands_in, commands_out;
    size_t replies_in, replies_out;
    const char *wrong; /* what the hub may not do, and did */
    struct command commands[QUEUE];
    struct reply replies[QUEUE];
};

static struct redis_model redis;

static void fail_redis(const char *wrong)
{
    if (!redis.wrong)
        redis.wrong = wrong;
}

/* The broker's name of one. Borrowed until the next call but one. */
static struct span sub_name(int sub)
{
    static char texts[2][64];
    static int at;
    at = !at;
    snprintf(texts[at], sizeof(texts[at]), "%s%s", sub < TOPICS ? "" : NOTICE_PREFIX,
             topics[sub % TOPICS].name);
    return span_of(texts[at]);
}

static enum topic_kind sub_kind(int sub)
{
    return topics[sub % TOPICS].kind;
}

static int sub_index(enum topic_kind kind, struct span name)
{
    for (int i = 0; i < SUBS; i++)
        if (sub_kind(i) == kind && span_eq(name, sub_name(i)))
            return i;
    fail_redis("the hub asked for a name that no stream wants");
    return 0;
}

/* Redis */

static void redis_reply(struct reply r)
{
    redis.replies[redis.replies_in++ % QUEUE] = r;
}

/* The channel's own copy first, then the patterns' in an order of Redis's own. */
static void redis_copies(uint32_t pub, int part)
{
    for (int i = 0; i < 2 * TOPICS; i++) {
        int topic = (i + redis.pattern_order) % TOPICS, sub = topic + part * TOPICS;
        bool its_turn = topics[topic].kind == (i < TOPICS ? TOPIC_CHANNEL : TOPIC_PATTERN);
        if (its_turn && redis.at_redis[sub] && topic_covers(topic, store.pubs[pub].channel))
            redis_reply((struct reply){.type = REPLY_COPY, .sub = sub, .pub = pub});
    }
}

static void redis_publish(int channel)
{
    redis_copies(pub_create(channel), 0);
}

/* Returns the id. */
static uint64_t redis_publish_durable(int channel)
{
    uint32_t number = store_publish(channel);
    if (!store.pubs[number].muted)
        redis_copies(number, 1);
    return store.pubs[number].id;
}

static void redis_beat(void)
{
    uint64_t id = store_beat();
    redis_reply((struct reply){
        .type = REPLY_FENCE, .epoch = store.data.epoch, .id = id, .floor = store.data.floor});
}

/* Redis takes one command; false when there is none. */
static bool redis_step(void)
{
    if (redis.commands_out == redis.commands_in)
        return false;
    struct command c = redis.commands[redis.commands_out++ % QUEUE];
    bool refused = c.subscribe && redis.denied[c.sub % TOPICS];
    if (!refused)
        redis.at_redis[c.sub] = c.subscribe;
    redis_reply((struct reply){.type = refused       ? REPLY_REFUSED
                                       : c.subscribe ? REPLY_ON
                                                     : REPLY_OFF,
                               .sub = c.sub});
    return true;
}

/* The broker */

static void sub_queue(int i)
{
    for (size_t k = 0; k < redis.todo_count; k++)
        if (redis.todo[k] == i)
            return;
    if (redis.up)
        redis.todo[redis.todo_count++] = i;
}

static void sub_forget(int i)
{
    for (size_t k = 0; k < redis.todo_count; k++)
        if (redis.todo[k] == i) {
            redis.todo[k--] = redis.todo[--redis.todo_count];
        }
    redis.known[i] = false;
    redis.state[i] = SUB_IDLE;
    redis.broker.events->on_unsubscribed(redis.broker.ctx, sub_kind(i), sub_name(i));
}

static void model_subscribe(struct broker *b, enum topic_kind kind, struct span name)
{
    int i = sub_index(kind, name);
    if (redis.wanted[i])
        fail_redis("the hub asked twice for one subscription");
    if (!redis.known[i])
        redis.state[i] = SUB_IDLE;
    redis.known[i] = redis.wanted[i] = true;
    if (redis.state[i] == SUB_IDLE || redis.state[i] == SUB_ON)
        sub_queue(i);
}

static void model_unsubscribe(struct broker *b, enum topic_kind kind, struct span name)
{
    int i = sub_index(kind, name);
    if (!redis.wanted[i])
        fail_redis("the hub asked twice for the end of one subscription");
    redis.wanted[i] = false;
    if (redis.state[i] == SUB_IDLE || redis.state[i] == SUB_REFUSED)
        sub_forget(i);
    else if (redis.state[i] == SUB_ON)
        sub_queue(i);
}

/* Sends what is to be sent; false when that is nothing. */
static bool broker_send(void)
{
    size_t n = redis.todo_count;
    for (size_t k = 0; k < n; k++) {
        int i = redis.todo[k];
        redis.state[i] = redis.wanted[i] ? SUB_ASKED : SUB_ENDING;
        redis.commands[redis.commands_in++ % QUEUE] =
            (struct command){.subscribe = redis.wanted[i], .sub = i};
    }
    redis.todo_count = 0;
    return n > 0;
}

static void broker_confirmed(int i)
{
    redis.state[i] = SUB_ON;
    if (redis.wanted[i])
        redis.broker.events->on_subscribed(redis.broker.ctx, sub_kind(i), sub_name(i));
    else
        sub_queue(i);
}

static void broker_ended(int i)
{
    redis.state[i] = SUB_IDLE;
    if (redis.wanted[i])
        sub_queue(i);
    else
        sub_forget(i);
}

static void broker_refused(int i)
{
    redis.state[i] = SUB_REFUSED;
    if (redis.wanted[i])
        redis.broker.events->on_refused(redis.broker.ctx, sub_kind(i), sub_name(i), "NOPERM");
    else
        sub_forget(i);
}

/* An epoch, or a boot, as text. Borrowed until the next call but one; "" for 0. */
static struct span hex(unsigned value)
{
    static char texts[2][NOTICE_EPOCH_BYTES + 1];
    static int at;
    at = !at;
    snprintf(texts[at], sizeof(texts[at]), "%016x", value);
    return span_make(texts[at], value ? NOTICE_EPOCH_BYTES : 0);
}

static struct span pub_text(uint32_t number)
{
    static char text[16];
    snprintf(text, sizeof(text), "%u", number);
    return span_of(text);
}

static void write_payload(struct buf *out, const struct reply *r)
{
    const struct pub *p = &store.pubs[r->pub];
    if (r->sub < TOPICS) {
        buf_span(out, pub_text(r->pub));
        return;
    }
    store_heard(p->id);
    notice_write(out, &(struct notice){.epoch = hex(p->epoch),
                                       .id = p->id,
                                       .previous = p->previous,
                                       .data = pub_text(r->pub)});
}

static void broker_copy(const struct reply *r)
{
    char channel[64];
    struct buf payload = {0};
    bool pattern = sub_kind(r->sub) == TOPIC_PATTERN;
    snprintf(channel, sizeof(channel), "%s%s", r->sub < TOPICS ? "" : NOTICE_PREFIX,
             channels[store.pubs[r->pub].channel]);
    write_payload(&payload, r);
    redis.broker.events->on_message(redis.broker.ctx, span_of(channel),
                                    pattern ? sub_name(r->sub) : span_make(NULL, 0),
                                    buf_view(&payload));
    buf_free(&payload);
}

static void broker_fence(const struct reply *r)
{
    store_heard(r->id);
    redis.broker.events->on_fence(redis.broker.ctx, hex(r->epoch), r->id, r->floor);
}

/* The broker reads one reply; false when there is none. */
static bool broker_read(void)
{
    if (redis.replies_out == redis.replies_in)
        return false;
    struct reply r = redis.replies[redis.replies_out++ % QUEUE];
    switch (r.type) {
    case REPLY_ON:
        broker_confirmed(r.sub);
        break;
    case REPLY_OFF:
        broker_ended(r.sub);
        break;
    case REPLY_REFUSED:
        broker_refused(r.sub);
        break;
    case REPLY_COPY:
        broker_copy(&r);
        break;
    case REPLY_FENCE:
        broker_fence(&r);
        break;
    }
    return true;
}

/* The pub/sub connection is lost with all that is under way on it. */
static void broker_lose(void)
{
    bool unwanted[SUBS];
    redis.up = store.greeted = false;
    redis.todo_count = 0;
    redis.commands_out = redis.commands_in;
    redis.replies_out = redis.replies_in;
    memset(redis.at_redis, 0, sizeof(redis.at_redis));
    for (int i = 0; i < SUBS; i++) {
        redis.state[i] = SUB_IDLE;
        unwanted[i] = redis.known[i] && !redis.wanted[i];
    }
    for (int i = 0; i < SUBS; i++)
        if (unwanted[i])
            sub_forget(i);
}

static void broker_connect(void)
{
    if (redis.up)
        return;
    redis.up = true;
    redis.broker.events->on_up(redis.broker.ctx);
    for (int i = 0; i < SUBS; i++)
        if (redis.known[i])
            sub_queue(i);
}

#endif
