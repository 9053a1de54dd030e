#include "broker/broker_redis/redis_broker.h"
#include "broker/broker_redis/reply.h"
#include "proto/notice.h"

#include <hiredis/hiredis.h>
#include <stdio.h>

void pubsub_subscribe_beat(struct redis_broker *r)
{
    const struct span argv[] = {span_of("SUBSCRIBE"), beat_channel(r->beat)};
    link_command(r->pubsub, 2, argv);
}

/* What a gateway says of a message is as large as the message and a little more. */
static bool is_oversize(const struct redis_broker *r, struct span channel, struct span payload)
{
    struct notice notice;
    if (payload.len <= r->options.message_bytes)
        return false;
    return !span_starts(channel, NOTICE_PREFIX) || notice_parse(payload, &notice) != NULL ||
           notice.data.len > r->options.message_bytes;
}

static void deliver(struct redis_broker *r, struct span channel, struct span pattern,
                    struct span payload)
{
    const struct broker_events *to = r->base.events;
    if (is_oversize(r, channel, payload)) {
        to->on_oversize(r->base.ctx, channel, pattern, payload.len);
        return;
    }
    to->on_message(r->base.ctx, channel, pattern, payload);
}

/* One is ours if it was asked for: nobody else knows the channel. */
static bool is_fence(struct redis_broker *r, struct span payload)
{
    struct beat fence;
    if (r->state != SESSION_READY || r->fences == 0 || beat_parse(payload, &fence) != NULL)
        return false;
    r->fences--;
    r->base.events->on_fence(r->base.ctx, fence.epoch, fence.id, fence.floor);
    return true;
}

/* A payload that is no string is none of ours (client tracking sends arrays): left out. */
static void on_message(struct redis_broker *r, const redisReply *reply)
{
    struct span channel = reply_bytes(reply->element[1]);
    struct span payload = reply_bytes(reply->element[2]);
    if (!channel.ptr || !payload.ptr)
        return;
    if (span_eq(channel, beat_channel(r->beat))) {
        if (!is_fence(r, payload))
            beat_arrived(r->beat, payload);
    } else if (r->state == SESSION_READY)
        deliver(r, channel, span_make(NULL, 0), payload);
}

static void on_pmessage(struct redis_broker *r, const redisReply *reply)
{
    struct span pattern = reply_bytes(reply->element[1]);
    struct span channel = reply_bytes(reply->element[2]);
    struct span payload = reply_bytes(reply->element[3]);
    if (pattern.ptr && channel.ptr && payload.ptr && r->state == SESSION_READY)
        deliver(r, channel, pattern, payload);
}

static void confirm(struct redis_broker *r, bool subscribed, enum topic_kind kind,
                    const redisReply *reply)
{
    struct span name = reply_bytes(reply->element[1]);
    if (r->state == SESSION_PUBSUB && subscribed && span_eq(name, beat_channel(r->beat)))
        session_beat_subscribed(r);
    else if (!name.ptr || !subscriptions_confirm(r->subscriptions, subscribed, kind, name))
        session_lost(r, "Redis confirmed a subscription that was not asked for");
}

static void on_subscribe(struct redis_broker *r, const redisReply *reply)
{
    confirm(r, true, TOPIC_CHANNEL, reply);
}

static void on_unsubscribe(struct redis_broker *r, const redisReply *reply)
{
    confirm(r, false, TOPIC_CHANNEL, reply);
}

static void on_psubscribe(struct redis_broker *r, const redisReply *reply)
{
    confirm(r, true, TOPIC_PATTERN, reply);
}

static void on_punsubscribe(struct redis_broker *r, const redisReply *reply)
{
    confirm(r, false, TOPIC_PATTERN, reply);
}

static const struct kind {
    const char *name;
    size_t elements;
    void (*handle)(struct redis_broker *r, const redisReply *reply);
} kinds[] = {
    {"message", 3, on_message},       {"pmessage", 4, on_pmessage},
    {"subscribe", 3, on_subscribe},   {"unsubscribe", 3, on_unsubscribe},
    {"psubscribe", 3, on_psubscribe}, {"punsubscribe", 3, on_punsubscribe},
};

static const struct kind *kind_of(const redisReply *reply)
{
    struct span first = reply_bytes(reply_element(reply, 0));
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (span_is(first, kinds[i].name) && reply->elements == kinds[i].elements)
            return &kinds[i];
    return NULL;
}

static void on_error(struct redis_broker *r, const redisReply *reply)
{
    char text[160], why[WHY_TEXT];
    if (r->state == SESSION_READY && subscriptions_refuse(r->subscriptions, reply))
        return;
    reply_explain(reply, text, sizeof(text));
    if (r->state == SESSION_PUBSUB && reply_has_code(reply, "NOPERM"))
        snprintf(why, sizeof(why), "%s (the gateway must PUBLISH and SUBSCRIBE to sluice:beat:*)",
                 text);
    else
        snprintf(why, sizeof(why), "%s", text);
    session_lost(r, why);
}

void pubsub_reply(struct redis_broker *r, const struct redisReply *reply)
{
    const struct kind *kind = kind_of(reply);
    if (kind)
        kind->handle(r, reply);
    else if (reply_is_error(reply))
        on_error(r, reply);
    else
        session_lost(r, "an answer of an unexpected kind on the pub/sub connection");
}
