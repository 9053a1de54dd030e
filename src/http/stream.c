#include "http/stream.h"

#include "base/mem.h"
#include "proto/event_id.h"
#include "proto/json_text.h"
#include "proto/sse.h"

static uint64_t now_seconds(const struct conn *c)
{
    return worker_now_us(c->worker) / 1000000;
}

/* The response head, whose length it returns, and the retry line. Each stream has a retry of its
 * own, so that the clients of a gateway that was killed do not all come back at once. */
static size_t write_opening(struct exchange *x, struct buf *out)
{
    struct worker *w = exchange_worker(x);
    uint32_t retry = w->options->retry_ms;
    exchange_head(x, out, 200);
    buf_str(out, "Content-Type: text/event-stream\r\n"
                 "Cache-Control: no-cache, no-transform\r\n"
                 "X-Accel-Buffering: no\r\n"
                 "Connection: close\r\n\r\n");
    size_t head_len = out->len;
    sse_retry(out, retry + worker_random(w, retry / 2 + 1));
    return head_len;
}

static void send_bytes(struct conn *c, struct span bytes)
{
    struct frame *f = frame_create(bytes, 0);
    conn_send(c, f, UINT64_MAX);
    frame_unref(f);
}

void stream_comment(struct stream *s, const char *text)
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
    size_t head_len = write_opening(x, &out);
    struct stream *s = mem_zalloc(sizeof(*s));
    s->magic = STREAM_MAGIC;
    s->conn = c;
    s->ping = options->ping;
    s->replay_only = options->replay_only;
    s->sub.wrapped = options->wrapped;
    s->sub.durable = options->durable;
    s->begins_now = options->durable && options->resume.from == REPLAY_NOW;
    s->written_s = now_seconds(c);
    c->stream = s;
    c->state = CONN_STREAM;
    conn_answer(c, buf_view(&out), head_len, false);
    buf_free(&out);
    metrics_add(&w->metrics->streams, 1);
    metrics_set(&w->metrics->connections, metrics_get(&w->metrics->connections) + 1);
    wheel_set(&w->wheel, &c->deadline, w->options->heartbeat_seconds);
    if (options->durable && options->resume.from != REPLAY_NOW)
        metrics_add(&w->metrics->resumes, 1);
    if (options->feed)
        feed_begin(s, options->feed);
    else
        shard_join(w->shard, &s->sub, options->wants, options->count, &options->resume);
    exchange_destroy(&c->exchange); /* the names in `wants` are its own */
}

static void write_busy(struct buf *out, struct span json)
{
    struct sse_event event = {.event = span_of("sluice.busy"), .data = json};
    sse_encode(out, &event);
}

void stream_busy(struct exchange *x, const char *why)
{
    struct conn *c = x->conn;
    struct buf out = {0}, json = {0};
    metrics_add(&c->worker->metrics->refused, 1);
    size_t head_len = write_opening(x, &out);
    json_text_error(&json, span_of(why));
    write_busy(&out, buf_view(&json));
    conn_answer(c, buf_view(&out), head_len, true);
    buf_free(&out);
    buf_free(&json);
    conn_end(c);
}

void stream_close(struct stream **ps)
{
    struct stream *s = *ps;
    if (!s)
        return;
    struct worker *w = s->conn->worker;
    feed_close(&s->feed);
    shard_leave(w->shard, &s->sub);
    latest_destroy(&s->kept);
    s->conn->hungry = false;
    metrics_set(&w->metrics->connections, metrics_get(&w->metrics->connections) - 1);
    s->magic = 0;
    mem_free(s);
    *ps = NULL;
}

/* So that a client that has had nothing yet resumes from here, and an idle one does not age. */
static void send_head(struct stream *s)
{
    struct worker *w = s->conn->worker;
    uint64_t frontier = shard_frontier(w->shard);
    char id[EVENT_ID_TEXT];
    struct buf out = {0};
    size_t len = event_id_format(id, s->sub.cursor > frontier ? s->sub.cursor : frontier);
    struct sse_event event = {
        .event = span_of("sluice.head"), .id = span_make(id, len), .data = span_of("{}")};
    sse_encode(&out, &event);
    send_bytes(s->conn, buf_view(&out));
    buf_free(&out);
    metrics_add(&w->metrics->heads, 1);
}

/* Has it been given all durable messages up to its cursor and the frontier? */
static bool is_up_to_date(const struct stream *s)
{
    return s->sub.durable && !s->sub.replaying && !s->kept;
}

void stream_heartbeat(struct stream *s)
{
    struct worker *w = s->conn->worker;
    uint64_t due = s->written_s + w->options->heartbeat_seconds, now = now_seconds(s->conn);
    if (s->feed) {
        feed_heartbeat(s);
        return;
    }
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
    else if (!is_up_to_date(s))
        send_bytes(s->conn, span_of(": heartbeat\n\n"));
    if (is_up_to_date(s))
        send_head(s);
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

static void on_prefetch(void *ctx, const struct subscriber *sub)
{
    const struct stream *s =
        (const struct stream *)(const void *)((const char *)sub - offsetof(struct stream, sub));
    __builtin_prefetch(s->conn, 1);
    __builtin_prefetch((const char *)s->conn + 64, 1);
}

/* What is published when a client has read this it will get. */
static void on_ready(void *ctx, struct subscriber *sub)
{
    struct stream *s = stream_of(sub);
    if (s->feed)
        return;
    s->confirmed = s->begins_now && !s->greeted;
    if (!s->confirmed)
        stream_comment(s, "subscribed");
}

static void on_waiting(void *ctx, struct subscriber *sub)
{
    struct stream *s = stream_of(sub);
    s->confirmed = false;
    stream_comment(s, "waiting for redis");
}

/* What the client wants will not come about: say so and let it come back when that may have
 * changed. */
void stream_end_busy(struct stream *s, struct span json)
{
    struct buf out = {0};
    if (s->conn->state != CONN_STREAM || s->conn->goodbye)
        return;
    write_busy(&out, json);
    send_bytes(s->conn, buf_view(&out));
    buf_free(&out);
    conn_goodbye(s->conn);
}

static void end_busy(struct stream *s, const char *why)
{
    struct buf json = {0};
    json_text_error(&json, span_of(why));
    stream_end_busy(s, buf_view(&json));
    buf_free(&json);
}

static void on_refused(void *ctx, struct subscriber *sub, struct span name, const char *why)
{
    struct buf text = {0};
    buf_printf(&text, "redis refuses \"%.*s\": %s", (int)name.len, name.ptr, why);
    end_busy(stream_of(sub), buf_cstr(&text));
    buf_free(&text);
}

static void on_no_history(void *ctx, struct subscriber *sub, const char *why)
{
    end_busy(stream_of(sub), why);
}

static void on_caught_up(void *ctx, struct subscriber *sub)
{
    struct stream *s = stream_of(sub);
    if (s->conn->state != CONN_STREAM || s->conn->goodbye)
        return;
    if (s->feed) {
        feed_caught_up(s);
        return;
    }
    if (s->confirmed)
        stream_comment(s, "subscribed");
    s->confirmed = false;
    if (!s->greeted)
        send_head(s);
    s->greeted = true;
    if (s->replay_only)
        conn_goodbye(s->conn);
}

/* Ephemeral messages found no room with a stream that stays for the sake of others. */
static void on_overflow(void *ctx, struct subscriber *sub, enum topic_kind kind, struct span name)
{
    struct stream *s = stream_of(sub);
    if (s->feed) {
        feed_overflow(s);
        return;
    }
    struct buf data = {0}, out = {0};
    buf_str(&data, kind == TOPIC_CHANNEL ? "{\"channel\":" : "{\"pattern\":");
    json_text_string(&data, name);
    buf_str(&data, ",\"reason\":\"overflow\",\"from\":null}");
    struct sse_event event = {.event = span_of("sluice.gap"), .data = buf_view(&data)};
    sse_encode(&out, &event);
    struct frame *f = frame_create(buf_view(&out), 0);
    conn_queue(s->conn, f, UINT64_MAX);
    frame_unref(f);
    metrics_add(&s->conn->worker->metrics->gaps_overflow, 1);
    buf_free(&data);
    buf_free(&out);
}

const struct shard_sink stream_sink = {
    .deliver = stream_deliver,
    .caught_up = on_caught_up,
    .no_history = on_no_history,
    .overflow = on_overflow,
    .prefetch = on_prefetch,
    .ready = on_ready,
    .waiting = on_waiting,
    .refused = on_refused,
};
