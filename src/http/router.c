#include "http/router.h"

/* A secret, a path and a tag with all their bytes escaped, of somebody who is not known yet. */
enum { REVALIDATE_BYTES = 32 * 1024 };

#define READS (METHOD(HTTP1_GET) | METHOD(HTTP1_HEAD))

static const struct route routes[] = {
    {"", false, false, READS, NULL, endpoint_base, NULL, 0}, /* the base path without its slash */
    {"/events", false, true, READS, NULL, endpoint_events, NULL, 0},
    {"/api/events", false, true, READS, NULL, endpoint_events, NULL, 0},
    {"/publish", false, false, METHOD(HTTP1_POST), endpoint_publish_admit, endpoint_publish, NULL,
     0},
    {"/publish/", true, false, METHOD(HTTP1_POST), endpoint_publish_channel_admit,
     endpoint_publish_channel, NULL, 0},
    {"/invalidate", false, false, METHOD(HTTP1_POST), endpoint_invalidate_admit,
     endpoint_invalidate, NULL, 0},
    {"/invalidations", false, true, METHOD(HTTP1_GET), endpoint_feed_admit, endpoint_feed, NULL, 0},
    {"/invalidations/ack", false, true, METHOD(HTTP1_POST), endpoint_ack_admit, endpoint_ack, NULL,
     0},
    {"/api/peers", false, true, READS, NULL, endpoint_peers, NULL, 0},
    {"/revalidate", false, false, METHOD(HTTP1_POST), endpoint_revalidate_admit,
     endpoint_revalidate, endpoint_revalidate_done, REVALIDATE_BYTES},
    {"/webhooks/", true, false, METHOD(HTTP1_POST), endpoint_webhook_admit, endpoint_webhook, NULL,
     0},
    {"/healthz", false, true, READS, NULL, endpoint_healthz, NULL, 0},
    {"/readyz", false, true, READS, NULL, endpoint_readyz, NULL, 0},
    {"/metrics", false, true, READS, NULL, endpoint_metrics, NULL, 0},
    {"/api/stats", false, true, READS, NULL, endpoint_stats, NULL, 0},
    {"/api/channels", false, true, READS, NULL, endpoint_channels, NULL, 0},
};

/* The files of the page have no lines of their own: they are looked up among the assets. */
static const struct route asset_route = {"", true, false, READS, NULL, endpoint_asset, NULL, 0};

const struct route *router_find(struct span path)
{
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        const struct route *r = &routes[i];
        if (r->prefix ? span_starts(path, r->path) : span_is(path, r->path))
            return r;
    }
    return asset_find(path) ? &asset_route : NULL;
}

void router_allow(const struct route *route, struct buf *out)
{
    static const struct {
        enum http1_method method;
        const char *name;
    } names[] = {{HTTP1_GET, "GET"}, {HTTP1_HEAD, "HEAD"}, {HTTP1_POST, "POST"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (route->methods & METHOD(names[i].method))
            buf_printf(out, "%s, ", names[i].name);
    buf_str(out, "OPTIONS");
}
