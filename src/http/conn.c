#include "http/conn.h"

#include "base/cast.h"
#include "base/err.h"
#include "base/mem.h"
#include "http/exchange.h"
#include "http/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    WRITE_VECTOR = 64, /* frames in one sendmsg */
    WRITE_TURN =
        256 * 1024, /* bytes to one connection in one turn: a huge frame must not hold up others */
    INPUT_LIMIT = 64 * 1024,       /* bytes kept while a request waits for its answer */
    IDLE_SECONDS = 75,             /* between two requests */
    LINGER_SECONDS = 2,            /* for the client to close after us */
    ENDING_SECONDS = 30,           /* to write what is queued */
    BODY_BYTES_PER_SECOND = 16384, /* a body may take this long on top of request_seconds */
};

static const struct http1_limits head_limits = {.target_bytes = 8192, .head_bytes = 16384};

static void tune_socket(int fd, bool is_unix)
{
    int on = 1, idle = 60, interval = 15, probes = 3, user_timeout_ms = 110000;
    if (is_unix)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    /* A peer that vanished without a FIN is found within two minutes, idle or written to. */
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof(user_timeout_ms));
}

/* What is over a limit is let in far enough to be told so: a refused connect says nothing to
 * anybody. */
static void count_in(struct conn *c)
{
    const struct http_options *o = c->worker->options;
    struct http_server *server = c->worker->server;
    if (atomic_fetch_add(&server->sockets, 1) >= o->max_connections)
        c->too_many = "the gateway has all the connections it may have";
    if (server->addresses && !c->is_unix &&
        addresses_enter(server->addresses, &c->address) > o->max_per_address)
        c->too_many = "this address has all the connections it may have";
}

static void count_out(struct conn *c)
{
    struct http_server *server = c->worker->server;
    atomic_fetch_sub(&server->sockets, 1);
    if (server->addresses && !c->is_unix)
        addresses_leave(server->addresses, &c->address);
}

void conn_accept(struct worker *w, int fd, const struct sockaddr_storage *from, bool tls)
{
    bool is_unix = !from;
    tune_socket(fd, is_unix);
    lws_sock_file_fd_type desc = {.sockfd = fd};
    struct lws *wsi = lws_adopt_descriptor_vhost(
        tls ? w->tls_vhost : w->vhost,
        tls ? LWS_ADOPT_SOCKET | LWS_ADOPT_ALLOW_SSL : LWS_ADOPT_SOCKET, desc, NULL, NULL);
    if (!wsi)
        return; /* the library has closed it */
    struct conn *c = mem_zalloc(sizeof(*c));
    c->magic = CONN_MAGIC;
    c->worker = w;
    c->wsi = wsi;
    c->fd = fd;
    c->is_unix = is_unix;
    c->tls = tls;
    if (from)
        c->address = address_of(from);
    count_in(c);
    lws_set_opaque_user_data(wsi, c);
    list_append(&w->conns, &c->node);
    metrics_add(&w->metrics->accepted, 1);
    metrics_set(&w->metrics->sockets, metrics_get(&w->metrics->sockets) + 1);
    wheel_set(&w->wheel, &c->deadline, w->options->request_seconds);
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
    count_out(c);
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
static void conn_linger(struct conn *c)
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

static void want_writable(struct conn *c)
{
    c->blocked = true;
    lws_callback_on_writable(c->wsi);
}

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
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)n};
    ssize_t sent = c->ssl ? tls_write(c->ssl, c->worker->scratch, iov, n)
                          : sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0)
        metrics_add(&c->worker->metrics->sent_bytes, (uint64_t)sent);
    return sent;
}

static bool would_block(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

void conn_flush(struct conn *c)
{
    struct iovec iov[WRITE_VECTOR];
    size_t turn = 0;
    while (!outq_empty(&c->out) && !c->blocked && c->state != CONN_DEAD) {
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
        if (!outq_empty(&c->out) && (sent <= 0 || turn >= WRITE_TURN))
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
        conn_flush(c);
        err = outq_push(&c->out, f, limit);
    }
    return err;
}

int conn_send(struct conn *c, struct frame *f, uint64_t limit)
{
    if (c->state == CONN_DEAD)
        return 0;
    if (!outq_empty(&c->out) || c->blocked) {
        int err = conn_queue(c, f, limit);
        conn_flush(c);
        return err;
    }
    struct iovec iov = {.iov_base = f->bytes, .iov_len = f->len};
    ssize_t sent = write_vector(c, &iov, 1);
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
    want_writable(c);
    return 0;
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
}

static void conn_writable(struct conn *c)
{
    c->blocked = false;
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
        if (c->tls && !c->ssl) { /* the library makes it with the first packet of the handshake */
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
