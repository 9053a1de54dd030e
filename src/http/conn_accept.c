/* How a connection begins: the socket's options, the limits, and over to libwebsockets. */
#include "base/mem.h"
#include "http/conn.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

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

void conn_uncount(struct conn *c)
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
