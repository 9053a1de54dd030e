/* Which endpoint a path belongs to. One table; an endpoint is one file and one line. */
#ifndef HTTP_ROUTER_H
#define HTTP_ROUTER_H

#include "http/exchange.h"

#define METHOD(m) (1u << (m))

struct route {
    const char *path; /* without the base path */
    bool prefix;      /* the path goes on: the rest is the endpoint's */
    bool
        always; /* also for a connection over the limits: the operator's, and what says so itself */
    unsigned methods; /* METHOD() bits; OPTIONS is answered for all */
    /* may refuse before the body is read: false when it has answered; NULL */
    bool (*admit)(struct exchange *x);
    void (*run)(struct exchange *x);
    /* answers with what the bus has answered; NULL: as it comes */
    void (*done)(struct exchange *x, const struct bus_request *answer);
    uint64_t body_bytes; /* what its body may have; 0: limits.body_bytes */
};

/* router_find: NULL when nothing is there. */
const struct route *router_find(struct span path);

/* router_allow: appends the methods of a route as an Allow header has them: "GET, HEAD, OPTIONS".
 */
void router_allow(const struct route *route, struct buf *out);

/* The endpoints. */
void endpoint_events(struct exchange *x);
bool endpoint_publish_admit(struct exchange *x);
bool endpoint_publish_channel_admit(struct exchange *x);
void endpoint_publish(struct exchange *x);
void endpoint_publish_channel(struct exchange *x);
void endpoint_healthz(struct exchange *x);
void endpoint_readyz(struct exchange *x);
void endpoint_metrics(struct exchange *x);
void endpoint_stats(struct exchange *x);
void endpoint_channels(struct exchange *x);
bool endpoint_invalidate_admit(struct exchange *x);
void endpoint_invalidate(struct exchange *x);
bool endpoint_feed_admit(struct exchange *x);
void endpoint_feed(struct exchange *x);
bool endpoint_ack_admit(struct exchange *x);
void endpoint_ack(struct exchange *x);
void endpoint_peers(struct exchange *x);
bool endpoint_revalidate_admit(struct exchange *x);
void endpoint_revalidate(struct exchange *x);
void endpoint_revalidate_done(struct exchange *x, const struct bus_request *answer);
bool endpoint_webhook_admit(struct exchange *x);
void endpoint_webhook(struct exchange *x);
void endpoint_asset(struct exchange *x);
void endpoint_base(struct exchange *x);

struct asset;
/* asset_find: the compiled-in file of that path; NULL when there is none. */
const struct asset *asset_find(struct span path);

/* What the core answered. */
void endpoint_published(struct worker *w, struct msg *m);
void endpoint_channels_page(struct worker *w, struct msg *m);
void endpoint_bus_done(struct worker *w, struct msg *m);

/* bus_admit: answers and returns false where there is no bus. bus_send: a request to it, which it
 * takes over; the exchange waits for its answer. */
bool bus_admit(struct exchange *x);
void bus_send(struct exchange *x, struct bus_request *r);
/* bus_pass_on: answers with what the bus has answered, as it is. */
void bus_pass_on(struct exchange *x, const struct bus_request *answer);

/* endpoint_last_id: the id that a stream's client has had last; empty: none. An EventSource sends
 * the header; those that cannot set one put it into the query. */
struct span endpoint_last_id(struct exchange *x);

#endif
