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
void endpoint_asset(struct exchange *x);
void endpoint_base(struct exchange *x);

struct asset;
/* asset_find: the compiled-in file of that path; NULL when there is none. */
const struct asset *asset_find(struct span path);

/* What the core answered. */
void endpoint_published(struct worker *w, struct msg *m);
void endpoint_channels_page(struct worker *w, struct msg *m);

#endif
