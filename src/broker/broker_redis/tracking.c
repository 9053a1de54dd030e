#include "broker/broker_redis/tracking.h"

#include "base/cast.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "broker/broker_redis/backoff.h"
#include "broker/broker_redis/hello.h"
#include "broker/broker_redis/reply.h"

#include <ev.h>
#include <hiredis/hiredis.h>
#include <stdio.h>

/* A pair that lasted this long was a good one: the next failure is the first again. */
enum { TRACKING_MAGIC = 0x7472636b, REASON_TEXT = 256, WORDS_MOST = 8, GOOD_AFTER_US = 5000000 };

#define INVALIDATE_CHANNEL "__redis__:invalidate"

enum pair_state {
    PAIR_ENDED,    /* there is no session */
    PAIR_WAITING,  /* for the next try */
    PAIR_LISTENER, /* the first connection is being made */
    PAIR_TRACKER,  /* and the second */
    PAIR_UP,
};

struct tracking {
    uint32_t magic;
    enum pair_state state;
    struct ev_loop *loop; /* borrowed */
    struct tracking_options options;
    char **prefixes; /* owned, each */
    size_t prefix_count;
    struct address address;
    struct tls_trust *trust;         /* owned; of the present try */
    struct link *listener, *tracker; /* owned */
    struct hello listener_hello, tracker_hello;
    char listener_id[24]; /* as CLIENT ID gives it; empty: not known yet */
    struct backoff backoff;
    uint64_t up_at; /* by clock_mono_us */
    ev_timer timer; /* the end of the present try, or the beginning of the next; then PINGs */
    char said[REASON_TEXT]; /* the last reason that was logged; empty: "up" was, or nothing */
};

static struct tracking *tracking_of(void *ctx)
{
    struct tracking *t = CAST_CHECKED(struct tracking, ctx, TRACKING_MAGIC);
    return t;
}

static void set_timer(struct tracking *t, double after_ms, double again_ms)
{
    ev_timer_stop(t->loop, &t->timer);
    ev_now_update(t->loop);
    ev_timer_set(&t->timer, after_ms / 1e3, again_ms / 1e3);
    ev_timer_start(t->loop, &t->timer);
}

static void say(struct tracking *t, const char *why)
{
    if (strcmp(t->said, why) != 0)
        log_warn("broker", "tracking is lost: %s", why);
    snprintf(t->said, sizeof(t->said), "%s", why);
}

static void close_pair(struct tracking *t, enum pair_state next, const char *why)
{
    bool was_up = t->state == PAIR_UP;
    t->state = next;
    ev_timer_stop(t->loop, &t->timer);
    link_close(&t->listener);
    link_close(&t->tracker);
    tls_trust_destroy(&t->trust);
    if (was_up && clock_mono_us(&clock_system) - t->up_at > GOOD_AFTER_US)
        backoff_reset(&t->backoff);
    if (was_up)
        t->options.events->on_down(t->options.ctx, why);
}

static void lost(struct tracking *t, const char *why)
{
    char text[REASON_TEXT];
    if (t->state == PAIR_ENDED || t->state == PAIR_WAITING)
        return;
    snprintf(text, sizeof(text), "%s", redis_url_discreet(t->options.url, why));
    say(t, text);
    close_pair(t, PAIR_WAITING, text);
    if (t->state == PAIR_WAITING)
        set_timer(t, backoff_next(&t->backoff, (uint32_t)random_u64()), 0.);
}

static void lost_by(struct tracking *t, const struct redisReply *reply, const char *permissions)
{
    char text[160], why[REASON_TEXT];
    reply_explain(reply, text, sizeof(text));
    snprintf(why, sizeof(why), "%s%s", text, reply_has_code(reply, "NOPERM") ? permissions : "");
    lost(t, why);
}

static struct link *dial(struct tracking *t, const struct link_events *events)
{
    const struct link_options options = {
        .url = t->options.url,
        .trust = t->trust,
        .dial_seconds = t->options.connect_timeout_ms / 1.1e3,
        .unacked_ms = t->options.unacked_ms,
    };
    return link_dial(t->loop, &options, &t->address, 1, events, t);
}

static bool on_writable(void *ctx)
{
    return false;
}

static void on_closed(void *ctx, const char *why)
{
    struct tracking *t = tracking_of(ctx);
    guard_enter(t->options.guard);
    lost(t, why);
    guard_leave(t->options.guard);
}

/* The second connection */

/* A prefix that covers the beacons has them tracked; Redis refuses one that covers another. */
static bool covers_beacons(const struct tracking *t)
{
    for (size_t i = 0; i < t->prefix_count; i++)
        if (span_starts(span_of(TRACKING_BEACONS), t->prefixes[i]))
            return true;
    return false;
}

static void ask_to_track(struct tracking *t)
{
    struct span words[WORDS_MOST + 2 * TRACKING_PREFIXES];
    size_t n = 0;
    words[n++] = span_of("CLIENT");
    words[n++] = span_of("TRACKING");
    words[n++] = span_of("ON");
    words[n++] = span_of("REDIRECT");
    words[n++] = span_of(t->listener_id);
    words[n++] = span_of("BCAST");
    for (size_t i = 0; i < t->prefix_count; i++) {
        words[n++] = span_of("PREFIX");
        words[n++] = span_of(t->prefixes[i]);
    }
    if (!covers_beacons(t)) {
        words[n++] = span_of("PREFIX");
        words[n++] = span_of(TRACKING_BEACONS);
    }
    link_command(t->tracker, n, words);
}

static void on_tracking(struct tracking *t, const struct redisReply *reply)
{
    if (reply->type != REDIS_REPLY_STATUS) {
        lost_by(t, reply, " (the gateway must be allowed CLIENT TRACKING)");
        return;
    }
    t->state = PAIR_UP;
    t->up_at = clock_mono_us(&clock_system);
    t->said[0] = '\0';
    tls_trust_destroy(&t->trust);
    set_timer(t, t->options.ping_interval_ms, t->options.ping_interval_ms);
    log_info("broker", "tracking %zu prefixes", t->prefix_count);
    t->options.events->on_up(t->options.ctx);
}

/* Behind that, PONGs, or that it may not PING: an answer all the same. */
static void tracker_reply(struct tracking *t, const struct redisReply *reply)
{
    if (t->state == PAIR_TRACKER)
        on_tracking(t, reply);
}

/* The first connection */

static const struct link_events tracker_events;

static void on_client_id(struct tracking *t, const struct redisReply *reply)
{
    const struct span words[] = {span_of("SUBSCRIBE"), span_of(INVALIDATE_CHANNEL)};
    if (reply->type != REDIS_REPLY_INTEGER) {
        lost_by(t, reply, " (the gateway must be allowed CLIENT ID)");
        return;
    }
    snprintf(t->listener_id, sizeof(t->listener_id), "%lld", reply->integer);
    link_command(t->listener, 2, words);
}

static void on_subscribed(struct tracking *t)
{
    t->state = PAIR_TRACKER;
    t->tracker_hello = (struct hello){0};
    t->tracker = dial(t, &tracker_events);
}

static void tell_keys(struct tracking *t, const redisReply *keys)
{
    const struct tracking_events *to = t->options.events;
    for (size_t i = 0; i < keys->elements && t->state == PAIR_UP; i++) {
        struct span key = reply_bytes(keys->element[i]);
        if (key.ptr)
            to->on_key(t->options.ctx, key);
    }
}

/* Keys come as an array, FLUSHALL as a null, and what anybody PUBLISHes as a string. */
static void on_message(struct tracking *t, const redisReply *told)
{
    const struct tracking_events *to = t->options.events;
    if (told->type == REDIS_REPLY_STRING)
        to->on_spoof(t->options.ctx);
    else if (t->state != PAIR_UP)
        return; /* what comes before on_up is not promised */
    else if (told->type == REDIS_REPLY_ARRAY)
        tell_keys(t, told);
    else if (told->type == REDIS_REPLY_NIL)
        to->on_flush(t->options.ctx);
}

static void listener_reply(struct tracking *t, const struct redisReply *reply)
{
    struct span first = reply_bytes(reply_element(reply, 0));
    if (!t->listener_id[0])
        on_client_id(t, reply);
    else if (span_is(first, "message") && reply->elements == 3)
        on_message(t, reply->element[2]);
    else if (span_is(first, "subscribe") && t->state == PAIR_LISTENER)
        on_subscribed(t);
    else
        lost_by(t, reply, " (the gateway must be allowed to SUBSCRIBE to " INVALIDATE_CHANNEL ")");
}

/* Both */

static void on_reply(struct tracking *t, struct hello *hello, const struct redisReply *reply,
                     void (*ready)(struct tracking *t),
                     void (*handle)(struct tracking *t, const struct redisReply *reply))
{
    char why[REASON_TEXT];
    guard_enter(t->options.guard);
    if (hello->done) {
        handle(t, reply);
    } else {
        enum hello_verdict verdict = hello_reply(hello, reply, why, sizeof(why));
        if (verdict == HELLO_DONE)
            ready(t);
        else if (verdict == HELLO_REFUSED)
            lost(t, why);
    }
    guard_leave(t->options.guard);
}

static void ask_id(struct tracking *t)
{
    const struct span words[] = {span_of("CLIENT"), span_of("ID")};
    link_command(t->listener, 2, words);
}

static void on_listener_open(void *ctx)
{
    struct tracking *t = tracking_of(ctx);
    hello_begin(&t->listener_hello, t->listener, t->options.url);
}

static void on_listener_reply(void *ctx, const struct redisReply *reply)
{
    struct tracking *t = tracking_of(ctx);
    on_reply(t, &t->listener_hello, reply, ask_id, listener_reply);
}

static void on_tracker_open(void *ctx)
{
    struct tracking *t = tracking_of(ctx);
    hello_begin(&t->tracker_hello, t->tracker, t->options.url);
}

static void on_tracker_reply(void *ctx, const struct redisReply *reply)
{
    struct tracking *t = tracking_of(ctx);
    on_reply(t, &t->tracker_hello, reply, ask_to_track, tracker_reply);
}

static const struct link_events listener_events = {
    .on_open = on_listener_open,
    .on_reply = on_listener_reply,
    .on_writable = on_writable,
    .on_closed = on_closed,
};

static const struct link_events tracker_events = {
    .on_open = on_tracker_open,
    .on_reply = on_tracker_reply,
    .on_writable = on_writable,
    .on_closed = on_closed,
};

static void begin_try(struct tracking *t)
{
    char why[REASON_TEXT] = "TLS is not available";
    t->state = PAIR_LISTENER;
    t->listener_id[0] = '\0';
    t->listener_hello = (struct hello){0};
    if (t->options.url->transport == REDIS_TLS) {
        t->trust = tls_trust_create(t->options.url, why, sizeof(why));
        if (!t->trust) {
            lost(t, why);
            return;
        }
    }
    set_timer(t, t->options.connect_timeout_ms, 0.);
    t->listener = dial(t, &listener_events);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct tracking *t = tracking_of(w->data);
    const struct span ping = span_of("PING");
    guard_enter(t->options.guard);
    if (t->state == PAIR_WAITING)
        begin_try(t);
    else if (t->state == PAIR_UP)
        link_command(t->tracker, 1, &ping);
    else
        lost(t, "Redis did not set up tracking in time");
    guard_leave(t->options.guard);
}

/* Life */

struct tracking *tracking_create(struct ev_loop *loop, const struct tracking_options *options)
{
    struct tracking *t = mem_zalloc(sizeof(*t));
    t->magic = TRACKING_MAGIC;
    t->loop = loop;
    t->options = *options;
    t->options.prefixes = NULL;
    t->prefix_count =
        options->prefix_count < TRACKING_PREFIXES ? options->prefix_count : TRACKING_PREFIXES;
    t->prefixes = mem_zalloc((t->prefix_count + 1) * sizeof(*t->prefixes));
    for (size_t i = 0; i < t->prefix_count; i++)
        t->prefixes[i] = mem_strdup(options->prefixes[i]);
    ev_init(&t->timer, on_timer);
    t->timer.data = t;
    return t;
}

void tracking_destroy(struct tracking **t)
{
    if (!*t)
        return;
    (*t)->state = PAIR_ENDED; /* nothing is told any more */
    close_pair(*t, PAIR_ENDED, "");
    for (size_t i = 0; i < (*t)->prefix_count; i++)
        mem_free((*t)->prefixes[i]);
    mem_free((*t)->prefixes);
    (*t)->magic = 0;
    mem_free(*t);
    *t = NULL;
}

void tracking_begin(struct tracking *t, const struct address *address)
{
    t->address = *address;
    if (t->state == PAIR_ENDED)
        begin_try(t);
}

void tracking_end(struct tracking *t, const char *why)
{
    close_pair(t, PAIR_ENDED, why);
}

void tracking_restart(struct tracking *t, const char *why)
{
    lost(t, why);
}
