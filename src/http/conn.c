#include "http/conn.h"

#include "base/cast.h"
#include "base/mem.h"
#include "http/exchange.h"
#include "http/stream.h"

#include <sys/socket.h>

enum {
    INPUT_LIMIT = 64 * 1024,       /* bytes kept while a request waits for its answer */
    IDLE_SECONDS = 75,             /* between two requests */
    LINGER_SECONDS = 2,            /* for the client to close after us */
    ENDING_SECONDS = 30,           /* to write what is queued */
    BODY_BYTES_PER_SECOND = 16384, /* a body may take this long on top of request_seconds */
};

static const struct http1_limits head_limits = {.target_bytes = 8192, .head_bytes = 16384};

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
    conn_uncount(c);
    metrics_set(&w->metrics->sockets, metrics_get(&w->metrics->sockets) - 1);
    c->magic = 0;
    mem_free(c);
}

void conn_kill(struct conn *c)
{
    if (c->state == CONN_DEAD)
        return;
    c->state = CONN_DEAD;
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
        if (c->state != CONN_DEAD) {
            list_remove(n);
            c->goodbye = false;
            conn_end(c);
            continue;
        }
        /* What the client sent and nobody read would turn our close into a reset, which eats the
         * goodbye. */
        char sink[4096];
        for (int i = 0; i < 64 && recv(c->fd, sink, sizeof(sink), MSG_DONTWAIT) > 0; i++)
            ;
        list_remove(&c->mark);
        lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
    }
}

/* All is written: shut our side and let the client close, so that it reads the last answer in full.
 */
void conn_linger(struct conn *c)
{
    c->state = CONN_LINGER;
    if (c->ssl)
        SSL_shutdown(
            c->ssl); /* says close_notify: a cut-off answer could not be told from a whole one */
    shutdown(c->fd, SHUT_WR);
    wheel_set(&c->worker->wheel, &c->deadline, LINGER_SECONDS);
}

void conn_resume(struct conn *c)
{
    if (!c->paused)
        return;
    c->paused = false;
    c->resumed = true;
    lws_rx_flow_control(c->wsi, 1);
}

void conn_end(struct conn *c)
{
    if (c->state >= CONN_ENDING)
        return;
    stream_close(&c->stream);
    exchange_destroy(&c->exchange);
    c->state = CONN_ENDING;
    wheel_set(&c->worker->wheel, &c->deadline, ENDING_SECONDS);
    conn_resume(c);
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
    case CONN_HEAD:
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

/* False when more bytes are needed. */
static bool read_head(struct conn *c)
{
    struct http1_request req;
    struct http1_error error;
    size_t used = 0;
    int r = http1_parse_head(buf_view(&c->in), &head_limits, &req, &used, &error);
    if (r == 1)
        return false;
    if (r < 0) {
        metrics_add(&c->worker->metrics->malformed, 1);
        c->close_next = true;
        c->exchange = exchange_create(c, span_make("", 0), NULL);
        exchange_error(c->exchange, error.status, "%s", error.text);
        return false;
    }
    c->exchange = exchange_create(c, span_make(c->in.data, used), &req);
    buf_consume(&c->in, used);
    c->state = CONN_BODY;
    uint64_t body = req.chunked ? c->worker->options->body_bytes : req.content_length;
    if (body > c->worker->options->body_bytes)
        body = c->worker->options->body_bytes;
    wheel_set(&c->worker->wheel, &c->deadline,
              c->worker->options->request_seconds + (uint32_t)(body / BODY_BYTES_PER_SECOND));
    exchange_begin(c->exchange); /* answered already: the next request may stand behind it */
    return true;
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
    wheel_clear(&c->worker->wheel, &c->deadline);
    c->state = CONN_WAITING;
    exchange_run(c->exchange);
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
}

static void conn_input(struct conn *c, struct span bytes)
{
    if (c->state >= CONN_STREAM)
        return; /* pipelined behind a stream, or behind the end: nobody will read it */
    if (c->state == CONN_HEAD && c->in.len == 0)
        wheel_set(&c->worker->wheel, &c->deadline, c->worker->options->request_seconds);
    buf_span(&c->in, bytes);
    conn_process(c);
    if (c->state == CONN_WAITING && c->in.len > INPUT_LIMIT && !c->paused) {
        c->paused = true;
        lws_rx_flow_control(c->wsi, 0);
    }
    /* Behind unread answers nothing can be paused: a paused socket reports no room to write. */
    if (c->state == CONN_HEAD && c->in.len > INPUT_LIMIT)
        conn_kill(c);
}

/*
 * What OpenSSL had decrypted before reading was switched off lies in no socket, so no event will
 * tell of it, and the library does not look by itself.
 */
static void read_pending(struct conn *c)
{
    char bytes[4096];
    while (c->ssl && c->state <= CONN_WAITING && !c->paused && SSL_pending(c->ssl) > 0) {
        int n = SSL_read(c->ssl, bytes, sizeof(bytes));
        if (n <= 0)
            return;
        conn_input(c, span_make(bytes, (size_t)n));
    }
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
    if (!c->resumed)
        return;
    c->resumed = false;
    read_pending(c);
}

static void conn_writable(struct conn *c)
{
    c->blocked = c->yielded = false;
    conn_flush(c);
    conn_process(c);
}

int conn_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                  size_t len)
{
    if (reason != LWS_CALLBACK_RAW_RX && reason != LWS_CALLBACK_RAW_WRITEABLE &&
        reason != LWS_CALLBACK_RAW_CLOSE)
        return 0;
    void *opaque = lws_get_opaque_user_data(wsi);
    if (!opaque)
        return 0; /* it ended within its own adoption */
    struct conn *c = CAST_CHECKED(struct conn, opaque, CONN_MAGIC);
    switch (reason) {
    case LWS_CALLBACK_RAW_RX:
        if (c->origin.tls &&
            !c->ssl) { /* the library makes it with the first packet of the handshake */
            c->ssl = lws_get_ssl(wsi);
            tls_adopt(c->ssl);
        }
        conn_input(c, span_make(in, len));
        break;
    case LWS_CALLBACK_RAW_WRITEABLE:
        conn_writable(c);
        break;
    default:
        lws_set_opaque_user_data(wsi, NULL);
        c->ssl = NULL;
        conn_free(c);
    }
    return 0;
}
