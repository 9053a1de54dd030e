#include "http/feed.h"

#include "base/mem.h"
#include "base/random.h"
#include "http/stream.h"
#include "proto/channel.h"
#include "proto/event_id.h"
#include "proto/json_text.h"
#include "proto/sse.h"

#include <stdio.h>
#include <string.h>

enum { HEAD_SECONDS = 4 }; /* the wheel adds less than one: a third of a peer's lease at most */

static struct span session_key(const struct feed *f)
{
    return span_of(f->session);
}

static void tell_core(const struct feed *f, enum bus_kind kind)
{
    struct worker *w = f->stream->conn->worker;
    struct msg *m = msg_create(MSG_BUS, w->index);
    m->bus = bus_request_create(kind);
    snprintf(m->bus->peer, sizeof(m->bus->peer), "%s", f->peer);
    snprintf(m->bus->session, sizeof(m->bus->session), "%s", f->session);
    worker_core(w, m);
}

void feed_open(struct exchange *x, const struct feed_options *options)
{
    struct feed *f = mem_zalloc(sizeof(*f));
    f->own = map_hash(options->peer);
    f->echo = options->echo;
    f->resume = options->resume;
    snprintf(f->peer, sizeof(f->peer), "%.*s", (int)options->peer.len, options->peer.ptr);
    random_hex(f->session, SESSION_TEXT);
    stream_open(x, &(struct stream_options){.durable = true, .feed = f});
}

void feed_begin(struct stream *s, struct feed *feed)
{
    struct worker *w = s->conn->worker;
    s->feed = feed;
    feed->stream = s;
    map_put(w->feeds, session_key(feed), feed);
    wheel_set(&w->wheel, &s->conn->deadline, HEAD_SECONDS);
    if (feed->resume.from == REPLAY_AFTER)
        metrics_add(&w->metrics->resumes, 1);
    tell_core(feed, BUS_OPEN_FEED);
    if (!shard_broker_up(w->shard))
        stream_comment(s, "waiting for redis");
}

void feed_close(struct feed **feed)
{
    struct feed *f = *feed;
    if (!f)
        return;
    tell_core(f, BUS_CLOSE_FEED);
    map_del(f->stream->conn->worker->feeds, session_key(f));
    mem_free(f);
    *feed = NULL;
}

/* Up to where a stream that is not replaying has had everything. */
static uint64_t head_of(const struct stream *s)
{
    uint64_t frontier = shard_frontier(s->conn->worker->shard);
    return s->sub.replaying || s->sub.cursor > frontier ? s->sub.cursor : frontier;
}

static struct frame *event_frame(const char *name, uint64_t id, struct span data)
{
    char text[EVENT_ID_TEXT];
    struct buf out = {0};
    struct sse_event event = {.event = span_of(name), .data = data};
    if (id)
        event.id = span_make(text, event_id_format(text, id));
    sse_encode(&out, &event);
    struct frame *f = frame_create(buf_view(&out), 0);
    buf_free(&out);
    return f;
}

static void send_frame(struct stream *s, struct frame *f)
{
    conn_send(s->conn, f, UINT64_MAX);
    frame_unref(f);
}

static struct frame *flush_frame(struct span reason, uint64_t id)
{
    struct buf data = {0};
    buf_str(&data, "{\"reason\":");
    json_text_string(&data, reason);
    buf_byte(&data, '}');
    struct frame *f = event_frame("flush", id, buf_view(&data));
    buf_free(&data);
    return f;
}

/* The head that a peer is told at first: whoever resumes is not there yet, so it is no cursor. */
static void send_hello(struct stream *s, uint64_t head, bool resumed)
{
    struct buf data = {0};
    char id[EVENT_ID_TEXT];
    (void)event_id_format(id, head);
    buf_printf(&data, "{\"session\":\"%s\",\"id\":\"%s\",\"resumed\":%s}", s->feed->session, id,
               resumed ? "true" : "false");
    s->feed->greeted = true;
    s->feed->delivered = resumed ? s->feed->resume.value : head;
    send_frame(s, event_frame("hello", resumed ? 0 : head, buf_view(&data)));
    buf_free(&data);
}

static void send_head(struct stream *s)
{
    struct worker *w = s->conn->worker;
    struct buf data = {0};
    char id[EVENT_ID_TEXT];
    uint64_t head = head_of(s);
    (void)event_id_format(id, head);
    buf_printf(&data, "{\"id\":\"%s\"}", id);
    s->feed->delivered = head;
    send_frame(s, event_frame("head", head, buf_view(&data)));
    buf_free(&data);
    metrics_add(&w->metrics->heads, 1);
}

void feed_heartbeat(struct stream *s)
{
    struct conn *c = s->conn;
    wheel_set(&c->worker->wheel, &c->deadline, HEAD_SECONDS);
    if (c->blocked) /* it has not read what is queued */
        return;
    metrics_add(&c->worker->metrics->heartbeats, 1);
    if (s->feed->greeted && !s->sub.replaying)
        send_head(s);
    else
        stream_comment(s, "heartbeat");
}

void feed_caught_up(struct stream *s)
{
    uint64_t head = head_of(s);
    if (s->feed->greeted) {
        send_head(s);
        return;
    }
    send_hello(s, head, false);
    send_frame(s, flush_frame(span_of("start"), head));
}

/* The reason that a frame of sluice.gap tells, which the core has written. */
static struct span gap_reason(const struct frame *f)
{
    static const char before[] = "\"reason\":\"";
    const char *at = memmem(f->bytes, f->len, before, sizeof(before) - 1);
    if (!at)
        return span_of("gap");
    at += sizeof(before) - 1;
    const char *end = memchr(at, '"', (size_t)(f->bytes + f->len - at));
    return end ? span_make(at, (size_t)(end - at)) : span_of("gap");
}

struct frame *feed_frame(struct stream *s, const struct lane_entry *e)
{
    const struct feed *f = s->feed;
    bool gap = e->frame->born_us == 0;
    if (!f->greeted) /* `flush` comes behind hello */
        return NULL;
#ifdef SLUICE_MUTANT_no_flush
    if (gap)
        return NULL;
#endif
    if (gap)
        return flush_frame(gap_reason(e->frame), e->id ? e->id : head_of(s));
    if (e->frame->tag == f->own && !f->echo)
        return NULL;
    return frame_ref(e->frame);
}

void feed_gave(struct stream *s, const struct lane_entry *e)
{
    s->feed->delivered = e->id ? e->id : head_of(s);
}

void feed_overflow(struct stream *s)
{
    struct frame *f = flush_frame(span_of("overflow"), head_of(s));
    conn_queue(s->conn, f, UINT64_MAX);
    frame_unref(f);
    s->feed->delivered = head_of(s);
    metrics_add(&s->conn->worker->metrics->gaps_overflow, 1);
}

struct feed *feed_find(const struct worker *w, const char *session)
{
    return map_get(w->feeds, span_of(session));
}

/* Announced: from here on invalidations wait for the peer, and from here on it gets them all. */
static void opened(struct feed *f)
{
    struct stream *s = f->stream;
    struct shard *shard = s->conn->worker->shard;
    const struct shard_want want = {TOPIC_CHANNEL, span_of(FEED_CHANNEL)};
    uint64_t frontier = shard_frontier(shard);
    f->opened = true;
    if (f->resume.from == REPLAY_AFTER)
        send_hello(s, frontier > f->resume.value ? frontier : f->resume.value, true);
    shard_join(shard, &s->sub, &want, 1, &f->resume);
}

void feed_answered(struct worker *w, const struct bus_request *r)
{
    struct feed *f = feed_find(w, r->session);
    if (!f || f->stream->conn->state != CONN_STREAM || f->stream->conn->goodbye)
        return; /* it has gone meanwhile */
    if (r->kind == BUS_END_FEED) {
        stream_comment(f->stream, "another feed has this peer's name, or the peer has closed it");
        conn_end(f->stream->conn);
    } else if (r->status != 200) {
        stream_end_busy(f->stream, buf_view(&r->json));
    } else if (!f->opened) {
        opened(f);
    }
}
