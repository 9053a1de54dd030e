/* How a connection begins: the socket's options, the limits, and over to libwebsockets. */
#include "base/mem.h"
#include "http/conn.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

enum { UNSENT_BYTES = 128 * 1024 };

static void tune_socket(int fd, bool is_unix)
{
    int on = 1, idle = 60, interval = 15, probes = 3, user_timeout_ms = 110000,
        unsent = UNSENT_BYTES;
    if (is_unix)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on,
               sizeof(on)); /* A client that does not read holds the kernel's memory too: this much
                               unsent, not megabytes. */
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
    /* A peer that vanished without a FIN is found within two minutes, idle or written to. */
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof(user_timeout_ms));
}

/* What is over a limit is let in far enough to be told so: a refused connect tells nobody anything.
 */
static void count_address(struct conn *c, const struct net_address *client)
{
    struct addresses *addresses = c->worker->server->addresses;
    if (!addresses)
        return;
    c->client = *client;
    c->counted = true;
    c->over_address = addresses_enter(addresses, client) > c->worker->options->max_per_address;
}

static void uncount_address(struct conn *c)
{
    if (c->counted)
        addresses_leave(c->worker->server->addresses, &c->client);
    c->counted = false;
    c->over_address = false;
}

void conn_set_client(struct conn *c, const struct net_address *client)
{
    if (c->counted && net_address_eq(&c->client, client))
        return;
    uncount_address(c);
    count_address(c, client);
}

const char *conn_too_many(const struct conn *c)
{
    if (c->over_all)
        return "the gateway has all the connections it may have";
    return c->over_address ? "this address has all the connections it may have" : NULL;
}

void conn_uncount(struct conn *c)
{
    atomic_fetch_sub(&c->worker->server->sockets, 1);
    uncount_address(c);
}

static struct lws *adopt(struct worker *w, int fd, bool tls)
{
    lws_sock_file_fd_type desc = {.sockfd = fd};
    return lws_adopt_descriptor_vhost(
        tls ? w->tls_vhost : w->vhost,
        tls ? LWS_ADOPT_SOCKET | LWS_ADOPT_ALLOW_SSL : LWS_ADOPT_SOCKET, desc, NULL, NULL);
}

void conn_accept(struct worker *w, int fd, const struct conn_origin *origin)
{
    tune_socket(fd, origin->is_unix);
    struct lws *wsi = adopt(w, fd, origin->tls);
    if (!wsi)
        return; /* the library has closed it */
    struct conn *c = mem_zalloc(sizeof(*c));
    c->magic = CONN_MAGIC;
    c->worker = w;
    c->wsi = wsi;
    c->fd = fd;
    c->origin = *origin;
    c->over_all = atomic_fetch_add(&w->server->sockets, 1) >= w->options->max_connections;
    if (!origin->is_unix && !origin->behind_proxy)
        count_address(c, &origin->peer);
    lws_set_opaque_user_data(wsi, c);
    list_append(&w->conns, &c->node);
    metrics_add(&w->metrics->accepted, 1);
    metrics_set(&w->metrics->sockets, metrics_get(&w->metrics->sockets) + 1);
    wheel_set(&w->wheel, &c->deadline, w->options->request_seconds);
}
