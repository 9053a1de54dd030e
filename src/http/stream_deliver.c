/*
 * What becomes of a message that is for a stream: it is written or queued, waits as the newest of
 * its channel, is read again later from the history, is told as a gap, or ends the stream.
 *
 * A replaying stream takes what the shard gives until REPLAY_BYTES wait for the client. From then
 * on, as whenever something is kept for later, its connection is `hungry`: conn_flush calls
 * stream_room when it has written.
 */
#include "http/stream.h"

enum { REPLAY_BYTES = 64 * 1024 }; /* of a replay that may wait for one client */

static bool has_room(const struct conn *c)
{
    return outq_waiting(&c->out) < REPLAY_BYTES;
}

static void too_slow(struct stream *s)
{
    struct worker *w = s->conn->worker;
    metrics_add(&w->metrics->slow_disconnects, 1);
    conn_kill(s->conn);
}

static bool keep_latest(struct stream *s, const struct lane_entry *e)
{
    struct worker *w = s->conn->worker;
    int r = e->latest ? latest_put(&s->kept, e->frame, e->channel, w->options->max_channels) : -1;
    if (r < 0)
        return false;
    metrics_add(&w->metrics->conflated, (uint64_t)r);
    s->conn->hungry = true;
    return true;
}

static bool take_replayed(struct stream *s, const struct lane_entry *e)
{
    struct conn *c = s->conn;
    if (!has_room(c) && !s->feeding && !c->blocked)
        conn_flush(c);
    if (!has_room(c)) { /* blocked or yielded, or conn_flush is at it: it will call */
        c->hungry = true;
        return false;
    }
    conn_queue(c, e->frame, UINT64_MAX);
    return true;
}

/* A durable message takes its place in the order of ids, so it never overtakes what is kept. */
static bool take_durable(struct stream *s, const struct lane_entry *e)
{
    struct conn *c = s->conn;
    struct worker *w = c->worker;
    if ((c->blocked || s->kept) && keep_latest(s, e))
        return true;
    if (!s->kept && !conn_queue(c, e->frame, w->options->queue_bytes))
        return true;
    if (keep_latest(s, e))
        return true;
    if (!s->sub.durable) { /* it was opened before its channel had history */
        too_slow(s);
        return true;
    }
    metrics_add(&w->metrics->slow_replays, 1);
    s->sub.replaying = true;
    c->hungry = true;
    return false;
}

static void take_ephemeral(struct stream *s, const struct lane_entry *e)
{
    struct conn *c = s->conn;
    if ((c->blocked || s->kept) && keep_latest(s, e))
        return;
    if (shard_owes_gap(&s->sub, e->topic))
        return;
    if (!conn_queue(c, e->frame, c->worker->options->queue_bytes) || keep_latest(s, e))
        return;
    /* A gap that finds no room is told when there is some. */
    if (s->sub.durable || !e->frame->born_us) {
        shard_owe_gap(&s->sub, e->topic);
        c->hungry = true;
        return;
    }
    too_slow(s);
}

static bool take(struct stream *s, const struct lane_entry *e)
{
    if (e->id && s->sub.replaying)
        return take_replayed(s, e);
    if (e->id)
        return take_durable(s, e);
    take_ephemeral(s, e);
    return true;
}

/* Other topics' frames may follow in this batch: then it is written once, at its end. */
static void write_soon(struct stream *s)
{
    struct conn *c = s->conn;
    if (s->feeding)
        return;
    if (!c->worker->batching)
        conn_flush(c);
    else if (!c->blocked && c->state == CONN_STREAM && !list_linked(&c->mark))
        list_append(&c->worker->dirty, &c->mark);
}

static bool is_run(const struct worker *w, const struct lane_entry *entries, uint32_t n)
{
    return n > 1 && entries + n == w->run->entries + w->run->count;
}

/* Where one message may fare otherwise than the next. */
static uint32_t deliver_each(struct stream *s, const struct lane_entry *entries, uint32_t n)
{
    struct conn *c = s->conn;
    struct worker *w = c->worker;
    if (outq_empty(&c->out) && !s->kept && !s->sub.owed && is_run(w, entries, n)) {
        conn_send_run(c, (uint32_t)(entries - w->run->entries), UINT64_MAX);
        return n;
    }
    if (outq_empty(&c->out) && !s->kept && !s->sub.owed && n == 1 && !w->batching && !s->feeding) {
        conn_send(c, entries->frame, UINT64_MAX);
        return n;
    }
    uint32_t i = 0;
    while (i < n && take(s, &entries[i]))
        i++;
    write_soon(s);
    return i;
}

static bool any_latest(const struct lane_entry *entries, uint32_t n)
{
    bool any = false;
    for (uint32_t i = 0; i < n; i++)
        any |= entries[i].latest;
    return any;
}

/* What promises nothing: a client that is too slow for it goes. */
static void deliver_all(struct stream *s, const struct lane_entry *entries, uint32_t n)
{
    struct conn *c = s->conn;
    struct worker *w = c->worker;
    uint64_t limit = w->options->queue_bytes;
    int err = 0;
    if (is_run(w, entries, n))
        err = conn_send_run(c, (uint32_t)(entries - w->run->entries), limit);
    else
        for (uint32_t i = 0; !err && i < n; i++)
            err = w->batching ? conn_queue(c, entries[i].frame, limit)
                              : conn_send(c, entries[i].frame, limit);
    if (err)
        too_slow(s);
    else if (!outq_empty(&c->out))
        write_soon(s);
}

/* What a feed is given in the dialect of its own; some it is not given, and yet has had. */
static uint32_t deliver_feed(struct stream *s, const struct lane_entry *entries, uint32_t n)
{
    uint32_t i = 0;
    for (bool taken = true; i < n && taken; i += taken) {
        struct lane_entry e = entries[i];
        e.frame = feed_frame(s, &entries[i]);
        taken = !e.frame || take(s, &e);
        if (taken && e.frame)
            feed_gave(s, &e);
        frame_unref(e.frame);
    }
    write_soon(s);
    return i;
}

uint32_t stream_deliver(void *ctx, struct subscriber *sub, const struct lane_entry *entries,
                        uint32_t n)
{
    struct worker *w = ctx;
    struct stream *s = stream_of(sub);
    struct conn *c = s->conn;
    if (c->state != CONN_STREAM || c->goodbye)
        return n;
    if (!s->feeding)
        s->written_s = w->now_s;
    if (s->feed)
        return deliver_feed(s, entries, n);
    if (sub->durable || s->kept || sub->owed || !entries->frame->born_us || any_latest(entries, n))
        return deliver_each(s, entries, n);
    deliver_all(s, entries, n);
    return n;
}

static void give_kept(struct stream *s)
{
    struct conn *c = s->conn;
    while (s->kept && !c->blocked && has_room(c)) {
        struct frame *f = latest_take(&s->kept);
        conn_queue(c, f, UINT64_MAX);
        frame_unref(f);
    }
}

bool stream_room(struct stream *s)
{
    struct conn *c = s->conn;
    struct worker *w = c->worker;
    if (c->state != CONN_STREAM || c->goodbye || outq_waiting(&c->out) >= REPLAY_BYTES / 2)
        return false;
    c->hungry = false;
    s->feeding = true;
    shard_tell_owed(w->shard, &s->sub);
    give_kept(s);
    if (s->kept)
        c->hungry = true;
    else
        shard_pull(w->shard, &s->sub);
    s->feeding = false;
    return !outq_empty(&c->out) && !c->blocked && !c->yielded;
}
