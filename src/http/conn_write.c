/* The writing side of a connection: shared frames straight from the queue to the socket. */
#include "http/conn.h"

#include <errno.h>
#include <sys/socket.h>

enum {
    WRITE_VECTOR = 64, /* frames in one sendmsg */
    /* bytes to one connection in one turn: a huge frame must not hold up others */
    WRITE_TURN = 256 * 1024,
};

static void want_writable(struct conn *c)
{
    lws_callback_on_writable(c->wsi);
}

/* As writev, in clear or by TLS; counts what it wrote. */
static ssize_t write_parts(struct conn *c, struct iovec *iov, int n)
{
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)n};
    ssize_t sent = c->ssl ? tls_write(c->ssl, c->worker->scratch, iov, n)
                          : sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0)
        metrics_add(&c->worker->metrics->sent_bytes, (uint64_t)sent);
    return sent;
}

/* The same, but no more than a turn's share; cuts iov down to it. */
static ssize_t write_vector(struct conn *c, struct iovec *iov, int n)
{
    size_t total = 0;
    for (int i = 0; i < n; i++) {
        if (total + iov[i].iov_len > WRITE_TURN) {
            iov[i].iov_len = WRITE_TURN - total;
            n = i + 1;
        }
        total += iov[i].iov_len;
    }
    return write_parts(c, iov, n);
}

static bool would_block(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

void conn_flush(struct conn *c)
{
    struct iovec iov[WRITE_VECTOR];
    size_t turn = 0;
    while (!outq_empty(&c->out) && !c->blocked && !c->yielded && c->state != CONN_DEAD) {
        int n = outq_vector(&c->out, iov, WRITE_VECTOR);
        ssize_t sent = write_vector(c, iov, n);
        if (sent < 0 && !would_block()) {
            conn_kill(c);
            return;
        }
        if (sent > 0) {
            metrics_add(&c->worker->metrics->deliveries, outq_written(&c->out, (size_t)sent));
            turn += (size_t)sent;
        }
        if (outq_empty(&c->out))
            break;
        c->blocked = sent <= 0;
        c->yielded = turn >= WRITE_TURN;
        if (c->blocked || c->yielded)
            want_writable(c);
    }
    if (c->state == CONN_ENDING && outq_empty(&c->out))
        conn_linger(c);
}

int conn_queue(struct conn *c, struct frame *f, uint64_t limit)
{
    if (c->state == CONN_DEAD)
        return 0;
    int err = outq_push(&c->out, f, limit);
    /* A burst may be larger than the limit while the socket would take it: only a blocked client is
     * slow. */
    if (err && !c->blocked) {
        c->yielded = false;
        conn_flush(c);
        err = outq_push(&c->out, f, limit);
    }
    return err;
}

/* The usual case of all: one frame to a socket that has room. */
static ssize_t write_one(struct conn *c, struct frame *f)
{
    struct iovec iov = {.iov_base = f->bytes, .iov_len = f->len};
    if (c->ssl || f->len > WRITE_TURN)
        return write_vector(c, &iov, 1);
    ssize_t sent = send(c->fd, f->bytes, f->len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0)
        metrics_add(&c->worker->metrics->sent_bytes, (uint64_t)sent);
    return sent;
}

int conn_send(struct conn *c, struct frame *f, uint64_t limit)
{
    if (c->state == CONN_DEAD)
        return 0;
    if (!outq_empty(&c->out)) {
        int err = conn_queue(c, f, limit);
        conn_flush(c);
        return err;
    }
    ssize_t sent = write_one(c, f);
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
    c->blocked = sent <= 0;
    c->yielded = !c->blocked;
    want_writable(c);
    return 0;
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
    if (!outq_empty(&c->out)) {
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
    c->blocked = true;
    want_writable(c);
    return queue_run(c, i + 1, limit);
}
