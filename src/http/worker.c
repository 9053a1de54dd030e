#include "http/worker.h"

#include "base/cast.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "http/conn.h"
#include "http/greeting.h"
#include "http/h2.h"
#include "http/listener.h"
#include "http/router.h"
#include "http/stream.h"
#include "http/tls.h"
#include <time.h>

enum {
    DRAIN_GRACE = 3,       /* seconds on top of drain_seconds for what is being written */
    BATCH = 64,            /* entries fanned out before the collected frames are written */
    RUN_BYTES = 32 * 1024, /* of one run: a stream's share of a turn */
    DRAIN_TURN = 1024,     /* entries taken before the loop looks at its sockets again */
};

uint64_t worker_now_us(const struct worker *w)
{
    return clock_mono_us(w->options->clock);
}

uint32_t worker_random(struct worker *w, uint32_t below)
{
    /* xorshift64: Marsaglia, "Xorshift RNGs" (2003). For jitter, not for secrets. */
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return below ? (uint32_t)(w->random % below) : 0;
}

const char *worker_date(struct worker *w)
{
    uint64_t second = clock_wall_us(w->options->clock) / 1000000;
    if (second != w->date_second) {
        struct tm tm;
        time_t t = (time_t)second;
        gmtime_r(&t, &tm);
        strftime(w->date, sizeof(w->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        w->date_second = second;
    }
    return w->date;
}

void worker_core(struct worker *w, struct msg *m)
{
    mailbox_post(&w->options->uplink->control, m);
}

/* From the core: messages and frames, in the order in which they were posted. */

static void take_mail(struct worker *w)
{
    struct msg *m = mailbox_take(&w->downlink->control);
    if (!m)
        return;
    if (w->control)
        w->control_tail->next = m;
    else
        w->control = m;
    while (m->next)
        m = m->next;
    w->control_tail = m;
}

static void stop(struct worker *w)
{
    w->stopping = true;
    listeners_stop(w);
    greeting_end_all(w);
    LIST_FOREACH (n, &w->conns) {
        conn_kill(LIST_ENTRY(n, struct conn, node));
    }
    ev_break(w->loop, EVBREAK_ALL);
}

/* What a running worker can change; the rest of struct http_options is as it was at the start. */
static void take_settings(struct worker *w, const struct http_options *o)
{
    struct http_options *s = &w->settings;
    s->access = o->access;
    s->hooks = o->hooks;
    s->trusted = o->trusted;
    s->trusted_count = o->trusted_count;
    s->namespaces = o->namespaces;
    s->cors_origins = o->cors_origins;
    s->cors_origin_count = o->cors_origin_count;
    s->retry_ms = o->retry_ms;
    s->heartbeat_seconds = o->heartbeat_seconds;
    s->request_seconds = o->request_seconds;
    s->max_channels = o->max_channels;
    s->name_bytes = o->name_bytes;
    s->body_bytes = o->body_bytes;
    s->message_bytes = o->message_bytes;
    s->queue_bytes = o->queue_bytes;
    struct buf why = {0};
    if (w->sockets.tls && o->tls_cert && tls_replace(w->sockets.tls, o->tls_cert, o->tls_key, &why))
        log_error("http", "%s", buf_cstr(&why));
    buf_free(&why);
    worker_core(w, msg_create(MSG_SETTINGS_TAKEN, w->index));
}

static void drain_conn(struct worker *w, struct conn *c, uint32_t seconds)
{
    c->close_next = true;
    if (c->state == CONN_STREAM)
        wheel_set(&w->wheel, &c->deadline, 1 + worker_random(w, seconds));
    else if (c->state == CONN_SESSION)
        h2_drain(c->h2);
    else if (c->state == CONN_HEAD && c->in.len == 0 && c->served)
        conn_end(c);
}

/*
 * Nobody new is let in but those whom the kernel has accepted already. Streams end one by one over
 * the given time, so that they do not all come to the next gateway at once; requests are answered
 * first.
 */
static void drain(struct worker *w, uint32_t seconds)
{
    if (w->draining)
        return;
    listeners_drain(w);
    w->draining = true;
    LIST_FOREACH_SAFE (n, &w->conns) {
        drain_conn(w, LIST_ENTRY(n, struct conn, node), seconds);
    }
    ev_timer_set(&w->drain_over, (double)seconds + DRAIN_GRACE, 0.);
    ev_timer_start(w->loop, &w->drain_over);
}

static void handle(struct worker *w, struct msg *m)
{
    if (shard_handle(w->shard, m))
        return;
    switch (m->type) {
    case MSG_PUBLISHED:
        endpoint_published(w, m);
        break;
    case MSG_CHANNELS_PAGE:
        endpoint_channels_page(w, m);
        break;
    case MSG_BUS_DONE:
        endpoint_bus_done(w, m);
        break;
    case MSG_SETTINGS:
        take_settings(w, m->settings);
        break;
    case MSG_DRAIN:
        drain(w, m->seconds);
        break;
    case MSG_STOP:
        stop(w);
        break;
    default:
        log_error("http", "message %d came to a worker, which is not for it", (int)m->type);
        break;
    }
}

static void handle_first(struct worker *w)
{
    struct msg *m = w->control;
    w->control = m->next;
    handle(w, m);
    msg_free(m);
}

static void flush_dirty(struct worker *w)
{
    for (struct list *n; (n = list_first(&w->dirty));) {
        struct conn *c = LIST_ENTRY(n, struct conn, mark);
        list_remove(n);
        conn_flush(c);
    }
}

/* Collects the next entries of one topic, up to `end` and to the next message that is due; how
 * many. */
static uint32_t take_run(struct worker *w, uint64_t end)
{
    struct run *run = w->run;
    run->count = 0;
    run->bytes = 0;
    while (run->count < RUN_ENTRIES && w->frames_taken + run->count < end) {
        if (w->control && w->control->position <= w->frames_taken + run->count)
            break;
        const struct lane_entry *e = frame_lane_at(&w->downlink->frames, run->count);
        if (run->count &&
            (e->topic != run->entries[0].topic || run->bytes + e->frame->len > RUN_BYTES))
            break;
        run->iov[run->count] = (struct iovec){e->frame->bytes, e->frame->len};
        run->entries[run->count++] = *e;
        run->bytes += e->frame->len;
    }
    return run->count;
}

static void end_run(struct worker *w, uint64_t born[], uint32_t n)
{
    for (uint32_t i = 0; i < w->run->count; i++) {
        born[n + i] = w->run->entries[i].frame->born_us;
        frame_lane_done(&w->downlink->frames);
    }
    w->frames_taken += w->run->count;
}

/* Fans out what lies in the lane up to `end`, at least BATCH entries if there are; returns how
 * many. */
static uint32_t fan_out(struct worker *w, uint64_t end)
{
    uint64_t born[BATCH + RUN_ENTRIES];
    uint32_t n = 0;
    w->batching = end - w->frames_taken > 1;
    while (n < BATCH && take_run(w, end)) {
        shard_fan_out(w->shard, w->run->entries, w->run->count);
        end_run(w, born, n);
        n += w->run->count;
    }
    flush_dirty(w);
    w->batching = false;
    uint64_t now = n ? worker_now_us(w) : 0;
    for (uint32_t i = 0; i < n; i++)
        metrics_observe(&w->metrics->latency, now > born[i] ? now - born[i] : 0);
    return n;
}

static void say_drained(struct worker *w)
{
    struct frame_lane *lane = &w->downlink->frames;
    if (!atomic_load(&lane->starved) || !frame_lane_has_room(lane))
        return;
    if (atomic_exchange(&lane->starved, false))
        worker_core(w, msg_create(MSG_DRAINED, w->index));
}

static void on_wake(struct ev_loop *loop, ev_async *async, int revents)
{
    struct worker *w = CAST_CHECKED(struct worker, async->data, WORKER_MAGIC);
    uint32_t taken = 0;
    bool more = true;
    w->now_s = worker_now_us(w) / 1000000;
    while (more && taken < DRAIN_TURN && !w->stopping) {
        /* The lane's end first: then every message posted before one of its frames is in the mail.
         */
        uint64_t end = frame_lane_posted(&w->downlink->frames);
        take_mail(w);
        more = false;
        while (w->control && w->control->position <= w->frames_taken && !w->stopping) {
            handle_first(w);
            more = true;
        }
        uint32_t n = w->stopping ? 0 : fan_out(w, end);
        taken += n;
        more = more || n > 0;
        say_drained(w);
    }
    if (more && !w->stopping)
        ev_async_send(loop, async);
}

/* What it is active for is done in on_turn. */
static void on_awake(struct ev_loop *loop, ev_idle *idle, int revents)
{
}

static void on_turn(struct ev_loop *loop, ev_prepare *prepare, int revents)
{
    struct worker *w = CAST_CHECKED(struct worker, prepare->data, WORKER_MAGIC);
    conn_write_bulk(w);
    bool any = list_first(&w->reap) != NULL;
    /* Each may have something for the other: who is reaped resets its stream, and a stream that is
     * written to its end is reaped. */
    do
        conn_reap_all(w);
    while (h2_flush_all(w));
    if (any)
        listeners_room(w);
    if (w->draining && !w->stopping && list_empty(&w->conns) && list_empty(&w->greetings))
        stop(w);
    if (list_empty(&w->bulk)) /* asked only now: whoever is reaped may have its last answer there */
        ev_idle_stop(loop, &w->awake);
    else
        ev_idle_start(loop, &w->awake);
    mailbox_flush(&w->options->uplink->control);
}

static void on_drain_over(struct ev_loop *loop, ev_timer *timer, int revents)
{
    stop(CAST_CHECKED(struct worker, timer->data, WORKER_MAGIC));
}

static void on_accept_retry(struct ev_loop *loop, ev_timer *timer, int revents)
{
    listeners_retry(CAST_CHECKED(struct worker, timer->data, WORKER_MAGIC));
}

static void on_due(void *ctx, struct wheel_entry *e)
{
    conn_due(LIST_ENTRY(e, struct conn, deadline));
}

int worker_init(struct worker *w, struct http_server *server, uint32_t index, struct buf *why)
{
    w->magic = WORKER_MAGIC;
    w->index = index;
    w->server = server;
    w->settings = server->options;
    w->options = &w->settings;
    w->metrics = server->options.metrics[index];
    w->downlink = &server->downlinks[index];
    w->random = random_u64() | 1; /* xorshift stays at 0 for ever */
    list_init(&w->conns);
    list_init(&w->greetings);
    list_init(&w->reap);
    list_init(&w->dirty);
    list_init(&w->bulk);
    w->exchanges = map_create();
    w->feeds = map_create();
    w->run = mem_alloc(sizeof(*w->run));
    w->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
    if (!w->loop) {
        buf_str(why, "libev would not make a loop");
        return ERR_SYS;
    }
    w->h2 = h2_common_create();
    w->shard = shard_create(index, server->options.uplink, &stream_sink, w);
    wheel_init(&w->wheel, w->loop, server->options.clock, on_due, NULL);
    ev_async_init(&w->wake, on_wake);
    w->wake.data = w;
    ev_async_start(w->loop, &w->wake);
    ev_idle_init(&w->awake, on_awake);
    ev_prepare_init(&w->turn, on_turn);
    w->turn.data = w;
    ev_set_priority(&w->turn, EV_MINPRI); /* what else comes before a sleep may post, too */
    ev_prepare_start(w->loop, &w->turn);
    ev_timer_init(&w->accept_retry, on_accept_retry, 1., 0.);
    w->accept_retry.data = w;
    ev_timer_init(&w->drain_over, on_drain_over, 1., 0.);
    w->drain_over.data = w;
    return sockets_init(&w->sockets, w->loop, &conn_socket_events, w->options->tls_cert,
                        w->options->tls_key, why);
}

void worker_fini(struct worker *w)
{
    sockets_fini(&w->sockets);
    h2_common_destroy(&w->h2);
    for (struct msg *m = w->control, *next; m; m = next) {
        next = m->next;
        msg_free(m);
    }
    if (w->exchanges)
        map_destroy(&w->exchanges);
    if (w->feeds)
        map_destroy(&w->feeds);
    shard_destroy(&w->shard);
    mem_free(w->run);
    if (!w->loop)
        return;
    wheel_fini(&w->wheel);
    ev_prepare_stop(w->loop, &w->turn);
    ev_async_stop(w->loop, &w->wake);
    ev_loop_destroy(w->loop);
}

void *worker_run(void *arg)
{
    struct worker *w = CAST_CHECKED(struct worker, arg, WORKER_MAGIC);
    listeners_start(w);
    ev_run(w->loop, 0);
    conn_reap_all(w);
    worker_core(w, msg_create(MSG_STOPPED, w->index));
    mailbox_flush(&w->options->uplink->control);
    return NULL;
}
