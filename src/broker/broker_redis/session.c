#include "base/cast.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "broker/broker_redis/redis_broker.h"
#include "broker/broker_redis/reply.h"

#include <stdio.h>
#include <string.h>

/*
 * A connection that lasted this long was a good one: the next failure is the first again. A reason
 * that changes while Redis is away is told too, but a few times a minute at most.
 */
enum { GOOD_AFTER_US = 5000000, ALLOWANCE = 4, ALLOWANCE_US = 10000000 };

static struct redis_broker *broker_of(void *ctx)
{
    struct redis_broker *r = CAST_CHECKED(struct redis_broker, ctx, REDIS_BROKER_MAGIC);
    return r;
}

static void set_timer(struct redis_broker *r, uint32_t ms)
{
    ev_timer_stop(r->loop, &r->timer);
    ev_now_update(r->loop);
    ev_timer_set(&r->timer, ms / 1e3, 0.);
    ev_timer_start(r->loop, &r->timer);
}

static bool may_tell_again(struct redis_broker *r)
{
    uint64_t now = clock_mono_us(&clock_system);
    uint64_t earned = (now - r->announced_at) / ALLOWANCE_US;
    r->allowance = earned >= ALLOWANCE - r->allowance ? ALLOWANCE : r->allowance + (unsigned)earned;
    if (r->allowance == 0)
        return false;
    r->allowance--;
    r->announced_at = now;
    return true;
}

/* Once per change, not per try. */
static void announce_down(struct redis_broker *r, bool was_ready)
{
    bool first = was_ready || !r->announced[0];
    if (r->state == SESSION_ENDED || (!first && strcmp(r->announced, r->why) == 0))
        return;
    if (!first && !may_tell_again(r))
        return;
    memcpy(r->announced, r->why, sizeof(r->announced));
    if (first)
        log_warn("broker", "redis unavailable: %s", r->why);
    else
        log_info("broker", "redis is still away: %s", r->why);
    r->base.events->on_down(r->base.ctx, r->why);
}

static void close_links(struct redis_broker *r)
{
    resolver_cancel(r->resolver);
    beat_stop(r->beat);
    if (r->tracking)
        tracking_end(r->tracking, r->why);
    link_close(&r->command);
    link_close(&r->pubsub);
    tls_trust_destroy(&r->trust);
}

/* What was sent and what waits to be; a durable publish is not answered but kept. */
static void answer_commands(struct redis_broker *r)
{
    publications_detach(r->publications);
    scripts_refuse(r->scripts, r->why);
    commands_detach(r->commands, r->why);
    scripts_detach(r->scripts);
}

void session_lost(struct redis_broker *r, const char *why)
{
    bool was_ready = r->state == SESSION_READY;
    if (r->state == SESSION_WAITING || r->state == SESSION_ENDED)
        return;
    snprintf(r->why, sizeof(r->why), "%s", redis_url_discreet(&r->url, why));
    r->state = SESSION_WAITING;
    close_links(r);
    if (was_ready && clock_mono_us(&clock_system) - r->ready_at > GOOD_AFTER_US)
        backoff_reset(&r->backoff);
    set_timer(r, backoff_next(&r->backoff, (uint32_t)random_u64()));
    subscriptions_detach(r->subscriptions);
    answer_commands(r);
    announce_down(r, was_ready);
}

static struct link *dial(struct redis_broker *r, const struct address *list, size_t count,
                         const struct link_events *events)
{
    const struct link_options options = {
        .url = &r->url,
        .trust = r->trust,
        .dial_seconds = r->options.connect_timeout_ms / 1.1e3, /* its reason is the better one */
        .unacked_ms = r->options.beat_timeout_ms,
    };
    return link_dial(r->loop, &options, list, count, events, r);
}

static void on_pubsub_open(void *ctx)
{
    struct redis_broker *r = broker_of(ctx);
    hello_begin(&r->pubsub_hello, r->pubsub, &r->url);
}

static void on_pubsub_reply(void *ctx, const struct redisReply *reply)
{
    struct redis_broker *r = broker_of(ctx);
    char why[WHY_TEXT];
    guard_enter(&r->guard);
    if (r->pubsub_hello.done) {
        pubsub_reply(r, reply);
    } else {
        enum hello_verdict verdict = hello_reply(&r->pubsub_hello, reply, why, sizeof(why));
        if (verdict == HELLO_DONE)
            pubsub_subscribe_beat(r);
        else if (verdict == HELLO_REFUSED)
            session_lost(r, why);
    }
    guard_leave(&r->guard);
}

static bool on_pubsub_writable(void *ctx)
{
    struct redis_broker *r = broker_of(ctx);
    return r->state == SESSION_READY && subscriptions_fill(r->subscriptions);
}

static void on_link_closed(void *ctx, const char *why)
{
    struct redis_broker *r = broker_of(ctx);
    guard_enter(&r->guard);
    session_lost(r, why);
    guard_leave(&r->guard);
}

static const struct link_events pubsub_events = {
    .on_open = on_pubsub_open,
    .on_reply = on_pubsub_reply,
    .on_writable = on_pubsub_writable,
    .on_closed = on_link_closed,
};

static void on_command_open(void *ctx)
{
    struct redis_broker *r = broker_of(ctx);
    hello_begin(&r->command_hello, r->command, &r->url);
}

/* The second connection goes to the very address of the first: a name may stand for several. */
static void command_ready(struct redis_broker *r)
{
    r->state = SESSION_PUBSUB;
    commands_attach(r->commands, r->command);
    r->pubsub_hello = (struct hello){0};
    r->pubsub = dial(r, link_address(r->command), 1, &pubsub_events);
}

static void on_command_reply(void *ctx, const struct redisReply *reply)
{
    struct redis_broker *r = broker_of(ctx);
    char why[WHY_TEXT];
    guard_enter(&r->guard);
    if (r->command_hello.done) {
        if (!commands_reply(r->commands, reply))
            session_lost(r, reply_explain(reply, why, sizeof(why)));
    } else {
        enum hello_verdict verdict = hello_reply(&r->command_hello, reply, why, sizeof(why));
        if (verdict == HELLO_DONE)
            command_ready(r);
        else if (verdict == HELLO_REFUSED)
            session_lost(r, why);
    }
    guard_leave(&r->guard);
}

static bool on_command_writable(void *ctx)
{
    return false;
}

static const struct link_events command_events = {
    .on_open = on_command_open,
    .on_reply = on_command_reply,
    .on_writable = on_command_writable,
    .on_closed = on_link_closed,
};

void session_beat_subscribed(struct redis_broker *r)
{
    r->state = SESSION_BEAT;
    beat_begin(r->beat, r->command, r->pubsub);
}

static void on_first_beat(void *ctx)
{
    struct redis_broker *r = broker_of(ctx);
    r->state = SESSION_READY;
    r->ready_at = clock_mono_us(&clock_system);
    r->announced[0] = '\0';
    r->allowance = ALLOWANCE;
    r->announced_at = r->ready_at;
    ev_timer_stop(r->loop, &r->timer);
    tls_trust_destroy(&r->trust); /* a megabyte of certificates, read anew at the next try */
    log_info("broker", "redis ready");
    r->fences = 0;
    scripts_attach(r->scripts);
    subscriptions_attach(r->subscriptions, r->pubsub);
    r->base.events->on_up(r->base.ctx);
    /* Behind the hub's hello, which looks at what Redis has before it is given more. */
    if (r->state == SESSION_READY)
        publications_attach(r->publications);
    /* At the same address: it is about the dataset that the session works on. */
    if (r->tracking && r->state == SESSION_READY)
        tracking_begin(r->tracking, link_address(r->command));
}

/* Called by the beat between guard_enter and guard_leave, its own or those of a reply. */
static void on_beat_lost(void *ctx, const char *why)
{
    session_lost(broker_of(ctx), why);
}

static const struct beat_events beat_events = {
    .on_first = on_first_beat,
    .on_lost = on_beat_lost,
};

static void on_addresses(void *ctx, const struct address *list, size_t count, const char *why)
{
    struct redis_broker *r = broker_of(ctx);
    guard_enter(&r->guard);
    if (count == 0) {
        session_lost(r, why);
    } else {
        r->state = SESSION_COMMAND;
        r->command_hello = (struct hello){0};
        r->command = dial(r, list, count, &command_events);
    }
    guard_leave(&r->guard);
}

static void begin_try(struct redis_broker *r)
{
    char why[WHY_TEXT] = "TLS is not available";
    r->state = SESSION_LOOK_UP;
    if (r->url.transport == REDIS_TLS) {
        r->trust = tls_trust_create(&r->url, why, sizeof(why));
        if (!r->trust) {
            session_lost(r, why);
            return;
        }
    }
    set_timer(r, r->options.connect_timeout_ms);
    resolver_start(r->resolver, &r->url);
}

static void try_took_too_long(struct redis_broker *r)
{
    static const char *const what[] = {
        [SESSION_LOOK_UP] = "the host name's address",
        [SESSION_COMMAND] = "an answer",
        [SESSION_PUBSUB] = "an answer on the pub/sub connection",
        [SESSION_BEAT] = "the first beat",
    };
    char why[WHY_TEXT];
    snprintf(why, sizeof(why), "waited %u ms in vain for %s",
             (unsigned)r->options.connect_timeout_ms, what[r->state]);
    session_lost(r, why);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct redis_broker *r = broker_of(w->data);
    guard_enter(&r->guard);
    if (r->state == SESSION_WAITING)
        begin_try(r);
    else
        try_took_too_long(r);
    guard_leave(&r->guard);
}

void session_init(struct redis_broker *r)
{
    const struct beat_options beat = {.interval_ms = r->options.beat_interval_ms,
                                      .timeout_ms = r->options.beat_timeout_ms};
    snprintf(r->why, sizeof(r->why), "still connecting");
    r->resolver = resolver_create(r->loop, on_addresses, r);
    r->commands = commands_create(r->loop, &r->guard, r->options.command_timeout_ms);
    r->scripts = scripts_create(r->commands);
    r->publications =
        publications_create(r->loop, &r->guard, r->scripts, r->options.durable_timeout_ms);
    r->history = history_create(r->scripts);
    r->subscriptions = subscriptions_create(&r->base);
    r->beat = beat_create(r->loop, &r->guard, r->commands, &beat, &beat_events, r);
    ev_init(&r->timer, on_timer);
    r->timer.data = r;
}

void session_start(struct redis_broker *r)
{
    if (r->state == SESSION_NEW)
        begin_try(r);
}

void session_end(struct redis_broker *r)
{
    r->state = SESSION_ENDED;
    snprintf(r->why, sizeof(r->why), "the gateway is stopping");
    ev_timer_stop(r->loop, &r->timer);
    close_links(r);
    publications_end(r->publications);
    answer_commands(r);
}

void session_free(struct redis_broker *r)
{
    subscriptions_detach(r->subscriptions);
    subscriptions_destroy(&r->subscriptions);
    tracking_destroy(&r->tracking);
    beat_destroy(&r->beat);
    history_destroy(&r->history);
    publications_destroy(&r->publications);
    scripts_destroy(&r->scripts);
    commands_destroy(&r->commands);
    resolver_destroy(&r->resolver);
}
