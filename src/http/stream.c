#include "http/stream.h"

#include "base/cast.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "proto/json_text.h"
#include "proto/sse.h"

static struct stream *stream_of(struct subscriber *s)
{
    return CAST_CHECKED(struct stream, (void *)((char *)s - offsetof(struct stream, sub)),
                        STREAM_MAGIC);
}

static uint64_t now_seconds(const struct conn *c)
{
    return worker_now_us(c->worker) / 1000000;
}

/* The response head and the retry line. Each stream has a retry of its own, so that the clients of
 * a gateway that was killed do not all come back at once. */
static void write_opening(struct exchange *x, struct buf *out)
{
    struct worker *w = exchange_worker(x);
    uint32_t retry = w->options->retry_ms;
    exchange_head(x, out, 200);
    buf_str(out, "Content-Type: text/event-stream\r\n"
                 "Cache-Control: no-cache, no-transform\r\n"
                 "X-Accel-Buffering: no\r\n"
                 "Connection: close\r\n\r\n");
    sse_retry(out, retry + worker_random(w, retry / 2 + 1));
}

static void send_bytes(struct conn *c, struct span bytes)
{
    struct frame *f = frame_create(bytes, 0);
    conn_send(c, f, UINT64_MAX);
    frame_unref(f);
}

static void send_comment(struct stream *s, const char *text)
{
    struct buf out = {0};
    sse_comment(&out, text);
    send_bytes(s->conn, buf_view(&out));
    buf_free(&out);
    s->written_s = now_seconds(s->conn);
}

void stream_open(struct exchange *x, const struct stream_options *options)
{
    struct conn *c = x->conn;
    struct worker *w = c->worker;
    struct buf out = {0};
    write_opening(x, &out);
    struct stream *s = mem_zalloc(sizeof(*s));
    s->magic = STREAM_MAGIC;
    s->conn = c;
    s->ping = options->ping;
    s->sub.wrapped = options->wrapped;
    s->written_s = now_seconds(c);
    c->stream = s;
    c->state = CONN_STREAM;
    send_bytes(c, buf_view(&out));
    buf_free(&out);
    metrics_add(&w->metrics->streams, 1);
    metrics_set(&w->metrics->connections, metrics_get(&w->metrics->connections) + 1);
    wheel_set(&w->wheel, &c->deadline, w->options->heartbeat_seconds);
    shard_join(w->shard, &s->sub, options->wants, options->count);
    exchange_destroy(&c->exchange); /* the names in `wants` are its own */
}

static void write_busy(struct buf *out, const char *why)
{
    struct buf json = {0};
    json_text_error(&json, span_of(why));
    struct sse_event event = {.event = span_of("sluice.busy"), .data = buf_view(&json)};
    sse_encode(out, &event);
    buf_free(&json);
}

void stream_busy(struct exchange *x, const char *why)
{
    struct conn *c = x->conn;
    struct buf out = {0};
    metrics_add(&c->worker->metrics->refused, 1);
    write_opening(x, &out);
    write_busy(&out, why);
    send_bytes(c, buf_view(&out));
    buf_free(&out);
    conn_end(c);
}

void stream_close(struct stream **ps)
{
    struct stream *s = *ps;
    if (!s)
        return;
    struct worker *w = s->conn->worker;
    shard_leave(w->shard, &s->sub);
    metrics_set(&w->metrics->connections, metrics_get(&w->metrics->connections) - 1);
    s->magic = 0;
    mem_free(s);
    *ps = NULL;
}

void stream_heartbeat(struct stream *s)
{
    struct worker *w = s->conn->worker;
    uint64_t due = s->written_s + w->options->heartbeat_seconds, now = now_seconds(s->conn);
    if (now < due) { /* something was written meanwhile */
        wheel_set(&w->wheel, &s->conn->deadline, (uint32_t)(due - now));
        return;
    }
    wheel_set(&w->wheel, &s->conn->deadline, w->options->heartbeat_seconds);
    s->written_s = now;
    /* Whoever has not read what is queued already needs no more of it. */
    if (s->conn->blocked)
        return;
    metrics_add(&w->metrics->heartbeats, 1);
    if (s->ping)
        send_bytes(s->conn, span_of("event: sluice.ping\ndata: {}\n\n"));
    else
        send_bytes(s->conn, span_of(": heartbeat\n\n"));
}

void stream_drain(struct stream *s)
{
    struct conn *c = s->conn;
    struct buf out = {0};
    uint32_t retry = c->worker->options->retry_ms;
    sse_retry(&out, 1 + worker_random(c->worker, retry));
    send_bytes(c, buf_view(&out));
    buf_free(&out);
    conn_end(c);
}

static void too_slow(struct stream *s)
{
    struct worker *w = s->conn->worker;
    metrics_add(&w->metrics->slow_disconnects, 1);
    conn_kill(s->conn);
}

/* Other topics' frames may follow in this batch: collect, and write once at its end. */
static int collect(struct conn *c, struct frame *f, uint64_t limit)
{
    int err = conn_queue(c, f, limit);
    if (!err && !c->blocked && c->state == CONN_STREAM && !list_linked(&c->mark))
        list_append(&c->worker->dirty, &c->mark);
    return err;
}

static void on_deliver(void *ctx, struct subscriber *sub, const struct lane_entry *entries,
                       uint32_t n)
{
    struct worker *w = ctx;
    struct stream *s = stream_of(sub);
    struct conn *c = s->conn;
    uint64_t limit = w->options->queue_bytes;
    if (c->state != CONN_STREAM || c->goodbye)
        return;
    int err = 0;
    if (n > 1)
        err = conn_send_run(c, (uint32_t)(entries - w->run->entries), limit);
    else if (w->batching)
        err = collect(c, entries->frame, limit);
    else
        err = conn_send(c, entries->frame, limit);
    s->written_s = w->now_s;
    if (err)
        too_slow(s);
}

static void on_prefetch(void *ctx, const struct subscriber *sub)
{
    const struct stream *s =
        (const struct stream *)(const void *)((const char *)sub - offsetof(struct stream, sub));
    __builtin_prefetch(s->conn, 1);
    __builtin_prefetch((const char *)s->conn + 64, 1);
}

static void on_ready(void *ctx, struct subscriber *sub)
{
    send_comment(stream_of(sub), "subscribed");
}

static void on_waiting(void *ctx, struct subscriber *sub)
{
    send_comment(stream_of(sub), "waiting for redis");
}

/* The subscription will not come about: say so and let the client come back when it may have
 * changed. */
static void on_refused(void *ctx, struct subscriber *sub, struct span name, const char *why)
{
    struct stream *s = stream_of(sub);
    struct buf out = {0}, text = {0};
    if (s->conn->state != CONN_STREAM || s->conn->goodbye)
        return;
    buf_printf(&text, "redis refuses \"%.*s\": %s", (int)name.len, name.ptr, why);
    write_busy(&out, buf_cstr(&text));
    send_bytes(s->conn, buf_view(&out));
    buf_free(&out);
    buf_free(&text);
    conn_goodbye(s->conn);
}

const struct shard_sink stream_sink = {
    .deliver = on_deliver,
    .prefetch = on_prefetch,
    .ready = on_ready,
    .waiting = on_waiting,
    .refused = on_refused,
};
