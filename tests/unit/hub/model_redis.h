/*
 * For the model test: a Redis with one pub/sub connection, and a broker on it that keeps to
 * broker/broker.h as broker_redis/subscriptions.c does: one command under way for each name, and
 * the hub hears of a confirmation only when it agrees with the last thing it asked for. Each part
 * of the way (the command to Redis, the answer and the copies back) is a step of its own, so that
 * the test may let any time pass between them.
 */
#ifndef TESTS_MODEL_REDIS_H
#define TESTS_MODEL_REDIS_H

#include "base/err.h"
#include "broker/broker.h"
#include "proto/glob.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { TOPICS = 6, CHANNELS = 4, QUEUE = 8192 };

static const struct {
    enum topic_kind kind;
    const char *name;
} topics[TOPICS] = {{TOPIC_CHANNEL, "a"},  {TOPIC_CHANNEL, "ab"}, {TOPIC_CHANNEL, "b"},
                    {TOPIC_PATTERN, "a*"}, {TOPIC_PATTERN, "*b"}, {TOPIC_PATTERN, "*"}};

static const char *const channels[CHANNELS] = {"a", "ab", "b", "c"};

enum sub_state { SUB_IDLE, SUB_ASKED, SUB_ON, SUB_ENDING, SUB_REFUSED };

enum reply_type { REPLY_ON, REPLY_OFF, REPLY_REFUSED, REPLY_COPY };

struct reply {
    enum reply_type type;
    int topic;    /* whose confirmation, or through which it came */
    uint32_t pub; /* copies */
    int channel;  /* copies */
};

struct command {
    bool subscribe;
    int topic;
};

struct redis_model {
    struct broker broker; /* first */
    bool up;
    enum sub_state state[TOPICS];
    bool wanted[TOPICS], known[TOPICS];
    bool at_redis[TOPICS]; /* Redis's own set */
    bool denied[TOPICS];   /* by the ACL */
    int pattern_order;     /* with which pattern Redis begins */
    int todo[TOPICS];
    size_t todo_count;
    struct command commands[QUEUE];
    size_t commands_in, commands_out;
    struct reply replies[QUEUE];
    size_t replies_in, replies_out;
    struct {
        broker_publish_cb *cb;
        void *arg;
    } publishes[QUEUE];
    size_t publishes_in, publishes_out;
    uint32_t pubs;              /* publications so far */
    uint8_t pub_channel[QUEUE]; /* of each, from 1 */
    const char *wrong;          /* what the hub may not do, and did */
};

static struct redis_model redis;

static bool topic_covers(int topic, int channel)
{
    struct span name = span_of(channels[channel]), of = span_of(topics[topic].name);
    return topics[topic].kind == TOPIC_CHANNEL ? span_eq(of, name) : glob_match(of, name);
}

static int topic_index(enum topic_kind kind, struct span name)
{
    for (int i = 0; i < TOPICS; i++)
        if (topics[i].kind == kind && span_is(name, topics[i].name))
            return i;
    redis.wrong = "the hub asked for a name that no stream wants";
    return 0;
}

/* Redis */

static void redis_reply(struct reply r)
{
    redis.replies[redis.replies_in++ % QUEUE] = r;
}

static void redis_copy(int topic, int channel)
{
    if (redis.at_redis[topic] && topic_covers(topic, channel))
        redis_reply((struct reply){
            .type = REPLY_COPY, .topic = topic, .pub = redis.pubs, .channel = channel});
}

/* The channel's own copy first, then the patterns' in an order of Redis's own. */
static void redis_publish(int channel)
{
    redis.pub_channel[++redis.pubs] = (uint8_t)channel;
    for (int i = 0; i < TOPICS; i++)
        if (topics[i].kind == TOPIC_CHANNEL)
            redis_copy(i, channel);
    for (int i = 0; i < TOPICS; i++) {
        int topic = (i + redis.pattern_order) % TOPICS;
        if (topics[topic].kind == TOPIC_PATTERN)
            redis_copy(topic, channel);
    }
}

/* Redis takes one command; false when there is none. */
static bool redis_step(void)
{
    if (redis.commands_out == redis.commands_in)
        return false;
    struct command c = redis.commands[redis.commands_out++ % QUEUE];
    bool refused = c.subscribe && redis.denied[c.topic];
    if (!refused)
        redis.at_redis[c.topic] = c.subscribe;
    redis_reply((struct reply){.type = refused       ? REPLY_REFUSED
                                       : c.subscribe ? REPLY_ON
                                                     : REPLY_OFF,
                               .topic = c.topic});
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
    redis.broker.events->on_unsubscribed(redis.broker.ctx, topics[i].kind, span_of(topics[i].name));
}

static void model_subscribe(struct broker *b, enum topic_kind kind, struct span name)
{
    int i = topic_index(kind, name);
    if (redis.wanted[i])
        redis.wrong = "the hub asked twice for one subscription";
    if (!redis.known[i])
        redis.state[i] = SUB_IDLE;
    redis.known[i] = redis.wanted[i] = true;
    if (redis.state[i] == SUB_IDLE || redis.state[i] == SUB_ON)
        sub_queue(i);
}

static void model_unsubscribe(struct broker *b, enum topic_kind kind, struct span name)
{
    int i = topic_index(kind, name);
    if (!redis.wanted[i])
        redis.wrong = "the hub asked twice for the end of one subscription";
    redis.wanted[i] = false;
    if (redis.state[i] == SUB_IDLE || redis.state[i] == SUB_REFUSED)
        sub_forget(i);
    else if (redis.state[i] == SUB_ON)
        sub_queue(i);
}

static void model_publish(struct broker *b, struct span channel, struct span payload,
                          broker_publish_cb *cb, void *arg)
{
    if (!redis.up) {
        cb(arg, ERR_UNAVAILABLE, "away", 0);
        return;
    }
    for (int i = 0; i < CHANNELS; i++)
        if (span_is(channel, channels[i]))
            redis_publish(i);
    redis.publishes[redis.publishes_in % QUEUE].cb = cb;
    redis.publishes[redis.publishes_in++ % QUEUE].arg = arg;
}

static void model_destroy(struct broker *b)
{
}

static const struct broker_ops model_ops = {.subscribe = model_subscribe,
                                            .unsubscribe = model_unsubscribe,
                                            .publish = model_publish,
                                            .destroy = model_destroy};

/* Sends what is to be sent; false when that is nothing. */
static bool broker_send(void)
{
    size_t n = redis.todo_count;
    for (size_t k = 0; k < n; k++) {
        int i = redis.todo[k];
        redis.state[i] = redis.wanted[i] ? SUB_ASKED : SUB_ENDING;
        redis.commands[redis.commands_in++ % QUEUE] =
            (struct command){.subscribe = redis.wanted[i], .topic = i};
    }
    redis.todo_count = 0;
    return n > 0;
}

static void broker_confirmed(int i)
{
    redis.state[i] = SUB_ON;
    if (redis.wanted[i])
        redis.broker.events->on_subscribed(redis.broker.ctx, topics[i].kind,
                                           span_of(topics[i].name));
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
        redis.broker.events->on_refused(redis.broker.ctx, topics[i].kind, span_of(topics[i].name),
                                        "NOPERM");
    else
        sub_forget(i);
}

static void broker_copy(const struct reply *r)
{
    char payload[16];
    bool pattern = topics[r->topic].kind == TOPIC_PATTERN;
    snprintf(payload, sizeof(payload), "%u", r->pub);
    redis.broker.events->on_message(redis.broker.ctx, span_of(channels[r->channel]),
                                    pattern ? span_of(topics[r->topic].name) : span_make(NULL, 0),
                                    span_of(payload));
}

/* The broker reads one reply; false when there is none. */
static bool broker_read(void)
{
    if (redis.replies_out == redis.replies_in)
        return false;
    struct reply r = redis.replies[redis.replies_out++ % QUEUE];
    switch (r.type) {
    case REPLY_ON:
        broker_confirmed(r.topic);
        break;
    case REPLY_OFF:
        broker_ended(r.topic);
        break;
    case REPLY_REFUSED:
        broker_refused(r.topic);
        break;
    case REPLY_COPY:
        broker_copy(&r);
        break;
    }
    return true;
}

/* The answer to the publish that has waited longest; false when there is none. */
static bool broker_answer(int err)
{
    if (redis.publishes_out == redis.publishes_in)
        return false;
    size_t at = redis.publishes_out++ % QUEUE;
    redis.publishes[at].cb(redis.publishes[at].arg, err, err ? "away" : NULL, 1);
    return true;
}

/* The connection is lost with all that is under way on it. */
static void broker_cut(void)
{
    bool unwanted[TOPICS];
    if (!redis.up)
        return;
    redis.up = false;
    redis.todo_count = 0;
    redis.commands_out = redis.commands_in;
    redis.replies_out = redis.replies_in;
    memset(redis.at_redis, 0, sizeof(redis.at_redis));
    for (int i = 0; i < TOPICS; i++) {
        redis.state[i] = SUB_IDLE;
        unwanted[i] = redis.known[i] && !redis.wanted[i];
    }
    for (int i = 0; i < TOPICS; i++)
        if (unwanted[i])
            sub_forget(i);
    while (broker_answer(ERR_UNAVAILABLE))
        ;
    redis.broker.events->on_down(redis.broker.ctx, "cut");
}

static void broker_connect(void)
{
    if (redis.up)
        return;
    redis.up = true;
    redis.broker.events->on_up(redis.broker.ctx);
    for (int i = 0; i < TOPICS; i++)
        if (redis.known[i])
            sub_queue(i);
}

#endif
