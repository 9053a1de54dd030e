#include "broker/broker_redis.h"

#include "base/cast.h"
#include "base/err.h"
#include "base/mem.h"
#include "broker/broker_redis/eviction.h"
#include "broker/broker_redis/redis_broker.h"
#include "broker/broker_redis/sweep.h"

#include <stdio.h>

static struct redis_broker *redis_of(const struct broker *b)
{
    struct redis_broker *r = CAST_CHECKED(struct redis_broker, (void *)b, REDIS_BROKER_MAGIC);
    return r;
}

static void redis_subscribe(struct broker *b, enum topic_kind kind, struct span name)
{
    struct redis_broker *r = redis_of(b);
    if (r->state != SESSION_ENDED)
        subscriptions_want(r->subscriptions, kind, name);
}

static void redis_unsubscribe(struct broker *b, enum topic_kind kind, struct span name)
{
    struct redis_broker *r = redis_of(b);
    guard_enter(&r->guard);
    if (r->state != SESSION_ENDED)
        subscriptions_unwant(r->subscriptions, kind, name);
    guard_leave(&r->guard);
}

static void redis_publish(struct broker *b, struct span channel, struct span payload,
                          broker_publish_cb *cb, void *arg)
{
    struct redis_broker *r = redis_of(b);
    guard_enter(&r->guard);
    if (r->state == SESSION_READY)
        commands_publish(r->commands, channel, payload, cb, arg);
    else
        cb(arg, ERR_UNAVAILABLE, r->why, 0);
    guard_leave(&r->guard);
}

static void redis_publish_durable(struct broker *b, const struct broker_publication *publication,
                                  broker_durable_cb *cb, void *arg)
{
    struct redis_broker *r = redis_of(b);
    guard_enter(&r->guard);
    if (r->state == SESSION_READY)
        publications_add(r->publications, publication, cb, arg);
    else
        cb(arg, ERR_UNAVAILABLE, r->why, 0);
    guard_leave(&r->guard);
}

static void redis_hello(struct broker *b, struct span epoch, struct span boot, uint64_t highest,
                        broker_hello_cb *cb, void *arg)
{
    struct redis_broker *r = redis_of(b);
    guard_enter(&r->guard);
    if (r->state == SESSION_READY)
        eviction_ask(r->commands, &r->may_evict);
    history_hello(r->history, epoch, boot, highest, cb, arg);
    guard_leave(&r->guard);
}

static void redis_fence(struct broker *b)
{
    struct redis_broker *r = redis_of(b);
    guard_enter(&r->guard);
    if (r->state == SESSION_READY) {
        r->fences++;
        history_fence(r->history, beat_channel(r->beat));
    }
    guard_leave(&r->guard);
}

static void redis_changed(struct broker *b, uint64_t after, uint32_t limit, broker_changes_cb *cb,
                          void *arg)
{
    struct redis_broker *r = redis_of(b);
    guard_enter(&r->guard);
    history_changed(r->history, after, limit, cb, arg);
    guard_leave(&r->guard);
}

static void redis_read(struct broker *b, struct span channel, uint64_t after, uint32_t limit,
                       uint64_t bytes, broker_slice_cb *cb, void *arg)
{
    struct redis_broker *r = redis_of(b);
    guard_enter(&r->guard);
    history_read(r->history, channel, after, limit, bytes, cb, arg);
    guard_leave(&r->guard);
}

static void redis_back(struct broker *b, struct span channel, uint32_t count, uint64_t bytes,
                       broker_back_cb *cb, void *arg)
{
    struct redis_broker *r = redis_of(b);
    guard_enter(&r->guard);
    history_last(r->history, channel, count, bytes, cb, arg);
    guard_leave(&r->guard);
}

static void redis_call(struct broker *b, const char *function, const struct span *args,
                       size_t count, broker_text_cb *cb, void *arg)
{
    struct redis_broker *r = redis_of(b);
    guard_enter(&r->guard);
    if (r->state == SESSION_READY)
        publications_call(r->publications, function, args, count, cb, arg);
    else
        cb(arg, ERR_UNAVAILABLE, r->why, span_make(NULL, 0));
    guard_leave(&r->guard);
}

static void redis_sweep(struct broker *b, struct span pattern, broker_count_cb *cb, void *arg)
{
    struct redis_broker *r = redis_of(b);
    guard_enter(&r->guard);
    if (r->state == SESSION_READY)
        sweep_begin(r->commands, pattern, cb, arg);
    else
        cb(arg, ERR_UNAVAILABLE, r->why, 0);
    guard_leave(&r->guard);
}

static void free_broker(void *owner)
{
    struct redis_broker *r = CAST_CHECKED(struct redis_broker, owner, REDIS_BROKER_MAGIC);
    session_free(r);
    redis_url_free(&r->url);
    r->magic = 0;
    mem_free(r);
}

static void silent(void *ctx)
{
}

static void silent_down(void *ctx, const char *why)
{
}

static void silent_topic(void *ctx, enum topic_kind kind, struct span name)
{
}

static void silent_refused(void *ctx, enum topic_kind kind, struct span name, const char *why)
{
}

static void silent_message(void *ctx, struct span channel, struct span pattern, struct span payload)
{
}

static void silent_oversize(void *ctx, struct span channel, struct span pattern, uint64_t bytes)
{
}

static void silent_fence(void *ctx, struct span epoch, uint64_t clock, uint64_t floor)
{
}

/* Where events go once the hub has ended the broker, though our own frames may still be running. */
static const struct broker_events silence = {
    .on_up = silent,
    .on_down = silent_down,
    .on_subscribed = silent_topic,
    .on_unsubscribed = silent_topic,
    .on_refused = silent_refused,
    .on_message = silent_message,
    .on_oversize = silent_oversize,
    .on_fence = silent_fence,
};

static void redis_destroy(struct broker *b)
{
    struct redis_broker *r = redis_of(b);
    if (r->guard.ended)
        return;
    guard_enter(&r->guard);
    session_end(r);
    r->base.events = &silence;
    r->guard.ended = true;
    guard_leave(&r->guard);
}

static const struct broker_ops redis_ops = {
    .subscribe = redis_subscribe,
    .unsubscribe = redis_unsubscribe,
    .publish = redis_publish,
    .publish_durable = redis_publish_durable,
    .hello = redis_hello,
    .fence = redis_fence,
    .changed = redis_changed,
    .read = redis_read,
    .back = redis_back,
    .call = redis_call,
    .sweep = redis_sweep,
    .destroy = redis_destroy,
};

int broker_redis_check_url(const char *url, char *why, size_t why_size)
{
    struct redis_url parsed;
    int err = redis_url_parse(span_of(url), &parsed, why, why_size);
    if (err)
        return err;
    if (parsed.transport == REDIS_TLS && !tls_available()) {
        snprintf(
            why, why_size,
            "rediss:// needs a hiredis with TLS, which Debian 12's 0.14 has not: use Debian 13, "
            "or redis:// to a TLS tunnel on this host");
        err = ERR_INVALID;
    }
    redis_url_free(&parsed);
    return err;
}

const char *broker_redis_describe_url(const char *url, char *out, size_t out_size)
{
    struct redis_url parsed;
    char why[WHY_TEXT];
    if (redis_url_parse(span_of(url), &parsed, why, sizeof(why))) {
        snprintf(out, out_size, "(no valid URL)");
        return out;
    }
    redis_url_describe(&parsed, out, out_size);
    redis_url_free(&parsed);
    return out;
}

static void fill_in(uint32_t *value, uint32_t usual)
{
    if (*value == 0)
        *value = usual;
}

struct broker *broker_redis_create(struct ev_loop *loop, const struct redis_options *options,
                                   const struct broker_events *events, void *ctx)
{
    struct redis_broker *r = mem_zalloc(sizeof(*r));
    r->base = (struct broker){.ops = &redis_ops, .events = events, .ctx = ctx};
    r->magic = REDIS_BROKER_MAGIC;
    r->guard = (struct guard){.release = free_broker, .owner = r};
    r->loop = loop;
    r->options = *options;
    r->options.url = NULL;
    fill_in(&r->options.connect_timeout_ms, 5000);
    fill_in(&r->options.command_timeout_ms, 5000);
    fill_in(&r->options.durable_timeout_ms, 10000);
    fill_in(&r->options.beat_interval_ms, 2000);
    fill_in(&r->options.beat_timeout_ms, 6000);
    /* A URL that was not checked leaves an address that no look-up finds. */
    char why[WHY_TEXT];
    if (redis_url_parse(span_of(options->url), &r->url, why, sizeof(why)))
        r->url.host = mem_strdup("invalid.");
    session_init(r);
    return &r->base;
}

void broker_redis_start(struct broker *b)
{
    struct redis_broker *r = redis_of(b);
    guard_enter(&r->guard);
    session_start(r);
    guard_leave(&r->guard);
}

void broker_redis_track(struct broker *b, const char *const *prefixes, size_t count,
                        const struct tracking_events *events, void *ctx)
{
    struct redis_broker *r = redis_of(b);
    const struct tracking_options options = {
        .guard = &r->guard,
        .url = &r->url,
        .connect_timeout_ms = r->options.connect_timeout_ms,
        .ping_interval_ms = r->options.beat_interval_ms,
        .unacked_ms = r->options.beat_timeout_ms,
        .prefixes = prefixes,
        .prefix_count = count,
        .events = events,
        .ctx = ctx,
    };
    if (!r->tracking)
        r->tracking = tracking_create(r->loop, &options);
}

void broker_redis_track_again(struct broker *b, const char *why)
{
    struct redis_broker *r = redis_of(b);
    guard_enter(&r->guard);
    if (r->tracking)
        tracking_restart(r->tracking, why);
    guard_leave(&r->guard);
}

bool broker_redis_may_evict(const struct broker *b)
{
    return redis_of(b)->may_evict;
}

void broker_redis_limit(struct broker *b, uint64_t message_bytes)
{
    redis_of(b)->options.message_bytes = message_bytes;
}
