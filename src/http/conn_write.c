/* The writing side of a connection: shared frames straight from the queue to the socket. */
#include "http/conn.h"
#include "http/h2.h"
#include "http/stream.h"

#include <errno.h>
#include <sched.h>

enum {
    WRITE_VECTOR = 64,       /* frames in one sendmsg */
    TURN_BYTES = 256 * 1024, /* of bulk, of all connections together */
    PATIENCE = 4,            /* so many times as long as others had the processor it is kept */
};

/* As writev, in clear or by TLS; counts what it wrote. */
static ssize_t write_parts(struct conn *c, struct iovec *iov, int n)
{
    ssize_t sent = socket_write(&c->socket, iov, n);
    if (sent > 0)
        metrics_add(&c->worker->metrics->sent_bytes, (uint64_t)sent);
    return sent;
}

/* What to write next, cut down to `most` bytes; *bytes says how many those are. */
static int next_vector(const struct conn *c, struct iovec *iov, size_t most, size_t *bytes)
{
    int n = outq_vector(&c->out, iov, WRITE_VECTOR);
    *bytes = 0;
    for (int i = 0; i < n; i++) {
        if (*bytes + iov[i].iov_len >= most) {
            iov[i].iov_len = most - *bytes;
            n = i + 1;
        }
        *bytes += iov[i].iov_len;
    }
    return n;
}

static bool would_block(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

static void wait_for_room(struct conn *c)
{
    c->blocked = true;
    socket_want_write(&c->socket);
}

/* Writes until the queue is empty, the socket full, or *slice a whole one; bulk only within the
 * turn's budget, unless it must. */
static void write_queue(struct conn *c, size_t *slice, bool must)
{
    struct iovec iov[WRITE_VECTOR];
    size_t asked = 0;
    while (!outq_empty(&c->out) && !c->blocked && !c->yielded && c->state != CONN_DEAD) {
        int n = next_vector(c, iov, CONN_SLICE - *slice, &asked);
        bool bulk = *slice + asked > CONN_BULK_FROM;
        c->yielded = bulk && !must && c->worker->bulk_left <= 0;
        if (c->yielded)
            return;
        ssize_t sent = write_parts(c, iov, n);
        if (sent < 0 && !would_block()) {
            conn_kill(c);
            return;
        }
        if (sent > 0) {
            metrics_add(&c->worker->metrics->deliveries, outq_written(&c->out, (size_t)sent));
            *slice += (size_t)sent;
            c->worker->bulk_left -= sent;
        }
        if (outq_empty(&c->out) && !c->hungry)
            return;
        if (sent < (ssize_t)asked)
            wait_for_room(c);
        else
            c->yielded = *slice >= CONN_SLICE;
    }
}

/* It is written with the others of its connection; what it is hungry for is fed from there. */
static void flush_part(struct conn *c)
{
    if (c->hungry && !c->stream->feeding)
        stream_room(c->stream);
    h2_touch(c);
}

void conn_flush(struct conn *c)
{
    size_t slice = 0;
    if (c->stream_id) {
        flush_part(c);
        return;
    }
    do
        write_queue(c, &slice, false);
    while (c->hungry && stream_room(c->stream));
    if (c->yielded)
        conn_yield(c);
    if (c->state == CONN_ENDING && outq_empty(&c->out))
        conn_linger(c);
}

void conn_yield(struct conn *c)
{
    if (c->state != CONN_DEAD && !list_linked(&c->mark))
        list_append(&c->worker->bulk, &c->mark);
}

/*
 * A worker with much to write does not sleep, and the core's thread may have to share its
 * processor. The kernel lets who is woken have it at once, as a rule; else only at its next tick,
 * which may be 4 ms away, and what the core was woken for is late by so much. Giving way between
 * two turns costs nothing where nobody waits. Who does not sleep either may keep the processor for
 * long, however: then bulk must not become a matter of one turn in each of the other's.
 */
static void give_way(struct worker *w)
{
    uint64_t before = worker_now_us(w);
    if (before < w->keep_until_us)
        return;
    sched_yield();
    uint64_t after = worker_now_us(w);
    w->keep_until_us = after + PATIENCE * (after - before);
}

void conn_write_bulk(struct worker *w)
{
    bool any = !list_empty(&w->bulk);
    /* While some still wait nothing is left of it: whoever comes then waits behind them. */
    w->bulk_left = TURN_BYTES;
#ifdef SLUICE_MUTANT_no_bulk_budget
    w->bulk_left = INT64_MAX;
#endif
    for (struct list *n; w->bulk_left > 0 && (n = list_first(&w->bulk));) {
        struct conn *c = LIST_ENTRY(n, struct conn, mark);
        list_remove(n);
        c->yielded = false;
        conn_go_on(c);
    }
#ifdef SLUICE_MUTANT_no_way_given
    any = false;
#endif
    if (any)
        give_way(w);
}

/*
 * All that the socket takes, whosever turn it is: a burst may be larger than the limit of a queue,
 * and only a blocked client is slow, not one that waits for its turn.
 */
static void write_now(struct conn *c)
{
    if (c->stream_id) {
        conn_flush(c);
        if (c->h2)
            h2_write_now(c->h2);
        return;
    }
    while (!outq_empty(&c->out) && !c->blocked && c->state != CONN_DEAD) {
        size_t slice = 0;
        c->yielded = false;
        write_queue(c, &slice, true);
    }
}

int conn_queue(struct conn *c, struct frame *f, uint64_t limit)
{
    if (c->state == CONN_DEAD)
        return 0;
    int err = outq_push(&c->out, f, limit);
    if (err && !c->blocked) {
        write_now(c);
        err = outq_push(&c->out, f, limit);
    }
    return err;
}

int conn_send(struct conn *c, struct frame *f, uint64_t limit)
{
    if (c->state == CONN_DEAD)
        return 0;
    if (c->stream_id || !outq_empty(&c->out)) {
        int err = conn_queue(c, f, limit);
        conn_flush(c);
        return err;
    }
    if (f->len > CONN_BULK_FROM) {
        outq_push_part(&c->out, f, 0);
        conn_flush(c);
        return 0;
    }
    /* The usual case of all: one small frame to a socket that has room. */
    ssize_t sent = socket_send(&c->socket, f->bytes, f->len);
    if (sent > 0)
        metrics_add(&c->worker->metrics->sent_bytes, (uint64_t)sent);
    if (sent == (ssize_t)f->len) {
        if (f->born_us)
            metrics_add(&c->worker->metrics->deliveries, 1);
        return 0;
    }
    if (sent < 0 && !would_block()) {
        conn_kill(c);
        return 0;
    }
    outq_push_part(&c->out, f, sent > 0 ? (uint32_t)sent : 0);
    wait_for_room(c);
    return 0;
}

void conn_answer(struct conn *c, struct span text, size_t head_len, bool whole)
{
    if (c->stream_id) {
        h2_answer(c, span_make(text.ptr, head_len), whole && text.len == head_len);
        text = span_make(text.ptr + head_len, text.len - head_len);
    }
    if (text.len == 0)
        return;
    struct frame *f = frame_create(text, 0);
    conn_send(c, f, UINT64_MAX);
    frame_unref(f);
}

/* Queues entries from `from` on. */
static int queue_run(struct conn *c, uint32_t from, uint64_t limit)
{
    const struct run *run = c->worker->run;
    int err = 0;
    for (uint32_t i = from; !err && i < run->count; i++)
        err = conn_queue(c, run->entries[i].frame, limit);
    return err;
}

int conn_send_run(struct conn *c, uint32_t from, uint64_t limit)
{
    struct run *run = c->worker->run;
    if (c->stream_id || !outq_empty(&c->out)) {
        int err = queue_run(c, from, limit);
        conn_flush(c);
        return err;
    }
    ssize_t sent = write_parts(c, run->iov + from, (int)(run->count - from));
    if (sent < 0 && !would_block()) {
        conn_kill(c);
        return 0;
    }
    size_t left = sent > 0 ? (size_t)sent : 0;
    uint32_t i = from;
    for (; i < run->count && left >= run->iov[i].iov_len; i++)
        left -= run->iov[i].iov_len;
    metrics_add(&c->worker->metrics->deliveries, i - from);
    if (i == run->count)
        return 0;
    outq_push_part(&c->out, run->entries[i].frame, (uint32_t)left);
    wait_for_room(c);
    return queue_run(c, i + 1, limit);
}
