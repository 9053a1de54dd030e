#include "http/greeting.h"

#include "base/cast.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/conn.h"
#include "proto/proxy.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define GREETING_MAGIC 0x93ee71a6u

struct greeting {
    uint32_t magic;
    struct list node; /* in worker->greetings */
    struct worker *worker;
    struct net_address peer;
    bool tls;
    ev_io io;
    ev_timer deadline;
    size_t len; /* of bytes: what of the header has been read */
    char bytes[PROXY_MAX_BYTES];
};

static void greeting_free(struct greeting *g)
{
    ev_io_stop(g->worker->loop, &g->io);
    ev_timer_stop(g->worker->loop, &g->deadline);
    list_remove(&g->node);
    g->magic = 0;
    mem_free(g);
}

static void refuse(struct greeting *g, const char *why)
{
    metrics_add(&g->worker->metrics->malformed, 1);
    log_debug("http", "a connection is closed: %s", why);
    close(g->io.fd);
    greeting_free(g);
}

static void hand_over(struct greeting *g, const struct proxy_header *header)
{
    struct conn_origin origin = {.tls = g->tls};
    origin.peer = header->has_client ? header->source : g->peer;
    int fd = g->io.fd;
    struct worker *w = g->worker;
    greeting_free(g);
    conn_accept(w, fd, &origin);
}

/*
 * Bytes are looked at first and then taken as far as they are the header's: all of them until it is
 * whole. What is behind it belongs to TLS or HTTP. (To leave them all until then and to wait by
 * SO_RCVLOWAT would not do: the kernel does not heed it under memory pressure nor at the end, and
 * the loop would spin.)
 */
static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    struct greeting *g = CAST_CHECKED(struct greeting, io->data, GREETING_MAGIC);
    struct proxy_header header;
    size_t used = 0;
    const char *why = NULL;
    ssize_t n = recv(io->fd, g->bytes + g->len, sizeof(g->bytes) - g->len, MSG_PEEK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        refuse(g, "it ended before its PROXY header did");
        return;
    }
    int r = proxy_parse(span_make(g->bytes, g->len + (size_t)n), &header, &used, &why);
    if (r < 0) {
        refuse(g, why);
        return;
    }
    size_t part = r == 0 ? used - g->len : (size_t)n;
    if (recv(io->fd, g->bytes + g->len, part, 0) != (ssize_t)part) {
        refuse(g, "its PROXY header could not be read twice");
        return;
    }
    g->len += part;
    if (r == 0)
        hand_over(g, &header);
}

static void on_deadline(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct greeting *g = CAST_CHECKED(struct greeting, timer->data, GREETING_MAGIC);
    metrics_add(&g->worker->metrics->timeouts, 1);
    refuse(g, "no PROXY header came in time");
}

static bool is_trusted(const struct worker *w, const struct net_address *peer)
{
    return cidrs_contain(w->options->trusted, w->options->trusted_count, peer);
}

void greeting_accept(struct worker *w, int fd, const struct sockaddr_storage *from, bool tls)
{
    struct net_address peer = address_of(from);
    bool trusted = is_trusted(w, &peer);
    if (!w->options->proxy_protocol) {
        conn_accept(w, fd,
                    &(struct conn_origin){.tls = tls, .peer = peer, .behind_proxy = trusted});
        return;
    }
    struct greeting *g = mem_zalloc(sizeof(*g));
    g->magic = GREETING_MAGIC;
    g->worker = w;
    g->peer = peer;
    g->tls = tls;
    list_append(&w->greetings, &g->node);
    ev_io_init(&g->io, on_readable, fd, EV_READ);
    ev_timer_init(&g->deadline, on_deadline, (double)w->options->request_seconds, 0.);
    g->io.data = g->deadline.data = g;
    if (!trusted) {
        refuse(g, "its address is none of trusted_proxies, and proxy_protocol is set");
        return;
    }
    ev_io_start(w->loop, &g->io);
    ev_timer_start(w->loop, &g->deadline);
}

void greeting_end_all(struct worker *w)
{
    for (struct list *n; (n = list_first(&w->greetings));) {
        struct greeting *g = LIST_ENTRY(n, struct greeting, node);
        close(g->io.fd);
        greeting_free(g);
    }
}
