/* How a connection begins, and the limits that it counts for. */
#include "base/mem.h"
#include "http/conn.h"

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

void conn_count(struct conn *c)
{
    c->in_all = true;
    c->over_all =
        atomic_fetch_add(&c->worker->server->sockets, 1) >= c->worker->options->max_connections;
    if (!c->origin.is_unix && !c->origin.behind_proxy)
        count_address(c, &c->origin.peer);
}

static void leave_all(struct conn *c)
{
    if (c->in_all)
        atomic_fetch_sub(&c->worker->server->sockets, 1);
    c->in_all = false;
}

void conn_uncount(struct conn *c)
{
    leave_all(c);
    uncount_address(c);
}

void conn_inherit_limits(struct conn *part, const struct conn *root)
{
    part->over_all = root->over_all;
    part->over_address = root->over_address;
}

bool conn_inherit_place(struct conn *part)
{
    if (!part->in_all)
        return false;
    leave_all(part);
    if (!part->origin.behind_proxy)
        uncount_address(part);
    return true;
}

void conn_accept(struct worker *w, int fd, const struct conn_origin *origin)
{
    struct conn *c = mem_zalloc(sizeof(*c));
    if (!socket_open(&c->socket, &w->sockets, fd, origin->tls)) {
        mem_free(c);
        return;
    }
    c->magic = CONN_MAGIC;
    c->worker = w;
    c->origin = *origin;
    conn_count(c);
    list_append(&w->conns, &c->node);
    metrics_add(&w->metrics->accepted, 1);
    metrics_set(&w->metrics->sockets, metrics_get(&w->metrics->sockets) + 1);
    wheel_set(&w->wheel, &c->deadline, w->options->request_seconds);
}
