#include "http/conn.h"

#include "base/cast.h"
#include "base/mem.h"
#include "http/exchange.h"
#include "http/h2.h"
#include "http/stream.h"
#include "http/tls.h"

enum {
    INPUT_LIMIT = 64 * 1024,       /* bytes kept while a request waits for its answer */
    IDLE_SECONDS = 75,             /* between two requests */
    LINGER_SECONDS = 2,            /* for the client to close after us */
    ENDING_SECONDS = 30,           /* to write what is queued */
    BODY_BYTES_PER_SECOND = 16384, /* a body may take this long on top of request_seconds */
};

const struct http1_limits conn_head_limits = {.target_bytes = 8192, .head_bytes = CONN_HEAD_BYTES};

/* What a connection has beyond a part of one. */
static void let_go(struct conn *c)
{
    struct metrics *m = c->worker->metrics;
    h2_destroy(&c->h2);
    socket_close(&c->socket);
    metrics_set(&m->sockets, metrics_get(&m->sockets) - 1);
}

static void conn_free(struct conn *c)
{
    struct worker *w = c->worker;
    stream_close(&c->stream);
    exchange_destroy(&c->exchange);
    wheel_clear(&w->wheel, &c->deadline);
    list_remove(&c->mark);
    list_remove(&c->node);
    buf_free(&c->in);
    outq_clear(&c->out);
    if (c->stream_id)
        h2_leave(c);
    else
        let_go(c);
    conn_uncount(c);
    c->magic = 0;
    mem_free(c);
}

void conn_kill(struct conn *c)
{
    if (c->state == CONN_DEAD)
        return;
    c->state = CONN_DEAD;
    if (!c->stream_id)
        socket_stop(&c->socket);
    list_remove(&c->mark);
    list_append(&c->worker->reap, &c->mark);
}

void conn_goodbye(struct conn *c)
{
    if (c->state == CONN_DEAD || c->goodbye)
        return;
    c->goodbye = true;
    list_remove(&c->mark);
    list_append(&c->worker->reap, &c->mark);
}

void conn_reap_all(struct worker *w)
{
    for (struct list *n; (n = list_first(&w->reap));) {
        struct conn *c = LIST_ENTRY(n, struct conn, mark);
        list_remove(n);
        if (c->state == CONN_DEAD) {
            conn_free(c);
            continue;
        }
        c->goodbye = false;
        conn_end(c);
    }
}

/* All is written: shut our side and let the client close, so that it reads the last answer in full.
 */
void conn_linger(struct conn *c)
{
    c->state = CONN_LINGER;
    socket_shutdown(&c->socket);
    if (c->socket.ended)
        conn_kill(c); /* the client has ended its side before us */
    else
        wheel_set(&c->worker->wheel, &c->deadline, LINGER_SECONDS);
}

void conn_end(struct conn *c)
{
    if (c->state >= CONN_ENDING)
        return;
    if (c->state == CONN_SESSION) {
        h2_end(c->h2);
        return;
    }
    stream_close(&c->stream);
    exchange_destroy(&c->exchange);
    c->state = CONN_ENDING;
    wheel_set(&c->worker->wheel, &c->deadline, ENDING_SECONDS);
    if (!c->stream_id)
        socket_resume(&c->socket); /* to see the client's end; what it still sends is dropped */
    conn_flush(c);
}

void conn_due(struct conn *c)
{
    switch (c->state) {
    case CONN_STREAM:
        if (c->worker->draining)
            stream_drain(c->stream);
        else
            stream_heartbeat(c->stream);
        return;
    case CONN_SESSION:
        h2_due(c->h2);
        return;
    case CONN_HEAD:
        if (c->stream_id) {
            h2_stalled(c);
            return;
        }
        if (c->socket.handshaking) {
            conn_kill(c);
            return;
        }
        /* Nothing was begun, or it waits behind answers that the client does not read. */
        if (c->in.len == 0 || !outq_empty(&c->out)) {
            conn_end(c);
            return;
        }
        /* fall through */
    case CONN_BODY:
        metrics_add(&c->worker->metrics->timeouts, 1);
        c->close_next = true;
        if (!c->exchange)
            c->exchange = exchange_create(c, span_make("", 0), NULL);
        exchange_error(c->exchange, 408, "the request did not arrive within request_seconds");
        return;
    case CONN_WAITING: /* the core answers every request in its own time */
        return;
    default:
        conn_kill(c);
    }
}

/* Reading */

void conn_malformed(struct conn *c, const struct http1_error *error)
{
    metrics_add(&c->worker->metrics->malformed, 1);
    c->close_next = true;
    c->exchange = exchange_create(c, span_make("", 0), NULL);
    exchange_error(c->exchange, error->status, "%s", error->text);
}

void conn_begin(struct conn *c, struct span head, const struct http1_request *req)
{
    const struct http_options *o = c->worker->options;
    c->exchange = exchange_create(c, head, req);
    buf_consume(&c->in, c->stream_id ? 0 : head.len);
    c->state = CONN_BODY;
    uint64_t body = req->chunked ? o->body_bytes : req->content_length;
    if (body > o->body_bytes)
        body = o->body_bytes;
    wheel_set(&c->worker->wheel, &c->deadline,
              o->request_seconds + (uint32_t)(body / BODY_BYTES_PER_SECOND));
    exchange_begin(c->exchange); /* answered already: the next request may stand behind it */
}

void conn_body_done(struct conn *c)
{
    if (c->state != CONN_BODY)
        return;
    wheel_clear(&c->worker->wheel, &c->deadline);
    c->state = CONN_WAITING;
    exchange_run(c->exchange);
}

/* False when more bytes are needed. */
static bool read_head(struct conn *c)
{
    struct http1_request req;
    struct http1_error error;
    size_t used = 0;
    int r = http1_parse_head(buf_view(&c->in), &conn_head_limits, &req, &used, &error);
    if (r == 0)
        conn_begin(c, span_make(c->in.data, used), &req);
    else if (r < 0)
        conn_malformed(c, &error);
    return r == 0;
}

static bool read_body(struct conn *c)
{
    bool done = false;
    ssize_t used = exchange_body(c->exchange, buf_view(&c->in), &done);
    if (used < 0)
        return false;
    buf_consume(&c->in, (size_t)used);
    if (!done)
        return false;
    conn_body_done(c);
    return true;
}

/*
 * Understands as much of `in` as can be now; not re-entered when an answer is given from within. A
 * client that does not read its answers is not read either: pipelined requests would fill the
 * queue.
 */
static void conn_process(struct conn *c)
{
    if (c->in_input)
        return;
    c->in_input = true;
    bool more = true;
    while (more) {
        if (c->state == CONN_HEAD)
            more = c->in.len > 0 && outq_empty(&c->out) && read_head(c);
        else if (c->state == CONN_BODY)
            more = read_body(c);
        else
            more = false;
    }
    c->in_input = false;
    if (c->state >= CONN_STREAM || c->in.len == 0)
        buf_free(&c->in);
    /* Half-closed: all that the client has asked is answered, and it will not ask for more. */
    if (c->socket.ended && c->state <= CONN_BODY && outq_empty(&c->out))
        conn_end(c);
}

/* While a request waits for its answer, what is pipelined behind it may wait in the kernel. */
static void pace(struct conn *c)
{
    if (c->state == CONN_WAITING && c->in.len > INPUT_LIMIT)
        socket_pause(&c->socket);
    else if (c->state != CONN_DEAD)
        socket_resume(&c->socket);
}

static struct conn *conn_of(struct socket *s)
{
    return CAST_CHECKED(struct conn, (void *)LIST_ENTRY(s, struct conn, socket), CONN_MAGIC);
}

/* The preface is what HTTP/1.1 would refuse: a client that begins with it in clear knows. */
static bool becomes_session(struct conn *c)
{
    int preface = c->served || c->socket.ssl || c->state != CONN_HEAD || c->in.len == 0
                      ? 0
                      : h2_preface(buf_view(&c->in));
    if (preface <= 0)
        return preface < 0;
    struct buf begun = c->in;
    c->in = (struct buf){0};
    if (h2_start(c))
        h2_input(c->h2, buf_view(&begun));
    buf_free(&begun);
    return true;
}

static void on_secured(struct socket *s)
{
    if (tls_speaks_h2(s->ssl))
        h2_start(conn_of(s));
}

static void on_input(struct socket *s, struct span bytes)
{
    struct conn *c = conn_of(s);
    if (c->state == CONN_SESSION)
        h2_input(c->h2, bytes);
    if (c->state >= CONN_STREAM)
        return; /* pipelined behind a stream, or behind the end: nobody will read it */
    if (c->state == CONN_HEAD && c->in.len == 0)
        wheel_set(&c->worker->wheel, &c->deadline, c->worker->options->request_seconds);
    buf_span(&c->in, bytes);
    if (becomes_session(c))
        return;
    conn_process(c);
    /* Behind answers that it does not read: whoever asks for so much more is not honest. */
    if (c->state == CONN_HEAD && c->in.len > INPUT_LIMIT)
        conn_kill(c);
    pace(c);
}

/* A client that has ended its side may still wait for answers; for a stream it does not: browsers
 * end both at once. */
static void on_end(struct socket *s, bool clean)
{
    struct conn *c = conn_of(s);
    if (!clean || c->state == CONN_STREAM || c->state == CONN_SESSION || c->state == CONN_LINGER)
        conn_kill(c);
    else
        conn_process(c);
}

void conn_answered(struct conn *c)
{
    exchange_destroy(&c->exchange);
    c->served = true;
    if (c->state == CONN_DEAD)
        return;
    if (c->close_next) {
        conn_end(c);
        return;
    }
    c->state = CONN_HEAD;
    wheel_set(&c->worker->wheel, &c->deadline,
              c->in.len ? c->worker->options->request_seconds : IDLE_SECONDS);
    conn_process(c);
    pace(c);
}

void conn_go_on(struct conn *c)
{
    if (c->state == CONN_SESSION) {
        h2_flush(c->h2);
        return;
    }
    conn_flush(c);
    conn_process(c);
}

static void on_writable(struct socket *s)
{
    struct conn *c = conn_of(s);
    c->blocked = false;
    conn_go_on(c);
}

const struct socket_events conn_socket_events = {
    .secured = on_secured,
    .input = on_input,
    .writable = on_writable,
    .end = on_end,
};
