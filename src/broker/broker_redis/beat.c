#include "broker/broker_redis/beat.h"

#include "base/cast.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "broker/broker_redis/hello.h"
#include "broker/broker_redis/reply.h"

#include <ev.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { BEAT_MAGIC = 0x62656174, CHANNEL_TEXT = 64, PATIENCE = 4 };

struct heartbeat {
    uint32_t magic;
    struct ev_loop *loop;                /* borrowed */
    struct guard *guard;                 /* borrowed */
    struct commands *commands;           /* borrowed */
    const struct link *command, *pubsub; /* borrowed; NULL: stopped */
    const struct beat_events *events;    /* borrowed, static */
    void *ctx;                           /* borrowed */
    uint64_t interval_us, timeout_us;
    char channel[CHANNEL_TEXT];
    char silence[64]; /* the reason when nothing comes back */
    uint64_t sent;    /* the last counter given out, over all connections */
    uint64_t first;   /* the first one of this connection */
    bool back;        /* one of this connection has come back */
    uint64_t ticked;  /* when the last was sent, by clock_mono_us */
    unsigned patience;
    ev_timer tick, overdue;
};

static void lost(struct heartbeat *b, const char *why)
{
    if (!b->pubsub)
        return;
    beat_stop(b);
    b->events->on_lost(b->ctx, why);
}

static void on_published(void *arg, const struct redisReply *reply)
{
    struct heartbeat *b = CAST_CHECKED(struct heartbeat, arg, BEAT_MAGIC);
    char text[160], why[256];
    if (!reply || (reply->type == REDIS_REPLY_INTEGER && reply->integer > 0))
        return;
    if (reply->type == REDIS_REPLY_INTEGER) {
        lost(b, "a beat reached nobody: the pub/sub connection is not known at this Redis");
        return;
    }
    reply_explain(reply, text, sizeof(text));
    if (reply_has_code(reply, "NOPERM"))
        snprintf(why, sizeof(why), "%s (the gateway must PUBLISH and SUBSCRIBE to sluice:beat:*)",
                 text);
    else
        snprintf(why, sizeof(why), "%s", text);
    lost(b, why);
}

static void on_role(void *arg, const struct redisReply *reply)
{
    struct heartbeat *b = CAST_CHECKED(struct heartbeat, arg, BEAT_MAGIC);
    const char *why = hello_role(reply);
    if (why)
        lost(b, why);
}

static void send_beat(struct heartbeat *b)
{
    char counter[24];
    const struct span role = span_of("ROLE");
    size_t len = (size_t)snprintf(counter, sizeof(counter), "%" PRIu64, ++b->sent);
    const struct span publish[] = {span_of("PUBLISH"), beat_channel(b), span_make(counter, len)};
    b->ticked = clock_mono_us(&clock_system);
    commands_call(b->commands, 3, publish, on_published, b);
    commands_call(b->commands, 1, &role, on_role, b);
}

static void on_tick(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct heartbeat *b = CAST_CHECKED(struct heartbeat, w->data, BEAT_MAGIC);
    uint64_t late = clock_mono_us(&clock_system) - b->ticked;
    /* This process itself stood still (stopped, suspended): Redis cannot be blamed for that time.
     */
    if (late > 2 * b->interval_us)
        ev_timer_again(loop, &b->overdue);
    send_beat(b);
}

/*
 * A beat waits behind the messages before it. While those keep coming and commands are answered,
 * Redis is not dead but we are behind, and a reconnect would only lose messages.
 */
static bool is_only_behind(const struct heartbeat *b)
{
    uint64_t now = clock_mono_us(&clock_system);
    return b->patience < PATIENCE && now - link_last_read(b->pubsub) < b->timeout_us / 2 &&
           now - link_last_read(b->command) < b->timeout_us / 2;
}

/* Of the lowest priority, so that what has come in by now is read first. */
static void on_overdue(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct heartbeat *b = CAST_CHECKED(struct heartbeat, w->data, BEAT_MAGIC);
    if (is_only_behind(b)) {
        b->patience++;
        ev_timer_again(loop, w);
        return;
    }
    struct guard *guard = b->guard;
    guard_enter(guard);
    lost(b, b->silence);
    guard_leave(guard);
}

static void name_channel(struct heartbeat *b)
{
    int len = snprintf(b->channel, sizeof(b->channel), "sluice:beat:");
    random_hex(b->channel + len, 32);
}

struct heartbeat *beat_create(struct ev_loop *loop, struct guard *guard, struct commands *commands,
                              const struct beat_options *options, const struct beat_events *events,
                              void *ctx)
{
    struct heartbeat *b = mem_zalloc(sizeof(*b));
    b->magic = BEAT_MAGIC;
    b->loop = loop;
    b->guard = guard;
    b->commands = commands;
    b->events = events;
    b->ctx = ctx;
    b->interval_us = options->interval_ms * UINT64_C(1000);
    b->timeout_us = options->timeout_ms * UINT64_C(1000);
    snprintf(b->silence, sizeof(b->silence), "no answer for %u ms", (unsigned)options->timeout_ms);
    name_channel(b);
    ev_timer_init(&b->tick, on_tick, options->interval_ms / 1e3, options->interval_ms / 1e3);
    ev_timer_init(&b->overdue, on_overdue, 0., options->timeout_ms / 1e3);
    ev_set_priority(&b->overdue, EV_MINPRI);
    b->tick.data = b->overdue.data = b;
    return b;
}

void beat_destroy(struct heartbeat **b)
{
    beat_stop(*b);
    (*b)->magic = 0;
    mem_free(*b);
    *b = NULL;
}

struct span beat_channel(const struct heartbeat *b)
{
    return span_of(b->channel);
}

void beat_begin(struct heartbeat *b, const struct link *command, const struct link *pubsub)
{
    b->command = command;
    b->pubsub = pubsub;
    b->back = false;
    b->patience = 0;
    b->first = b->sent + 1;
    ev_timer_again(b->loop, &b->tick);
    ev_timer_again(b->loop, &b->overdue);
    send_beat(b);
}

void beat_stop(struct heartbeat *b)
{
    b->command = b->pubsub = NULL;
    ev_timer_stop(b->loop, &b->tick);
    ev_timer_stop(b->loop, &b->overdue);
}

/* 0: it is no counter. */
static uint64_t parse_counter(struct span s)
{
    uint64_t n = 0;
    if (s.len == 0 || s.len > 19)
        return 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return 0;
        n = n * 10 + (uint64_t)(s.ptr[i] - '0');
    }
    return n;
}

void beat_arrived(struct heartbeat *b, struct span payload)
{
    uint64_t n = parse_counter(payload);
    if (!b->pubsub || n < b->first || n > b->sent)
        return;
    b->patience = 0;
    ev_timer_again(b->loop, &b->overdue);
    if (!b->back) {
        b->back = true;
        b->events->on_first(b->ctx);
    }
}
