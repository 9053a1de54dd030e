/* The bus meets the core and the broker here, and nowhere else. */
#include "base/cast.h"
#include "broker/broker_redis.h"
#include "gateway.h"

static void on_bus_call(void *ctx, const char *function, const struct span *args, size_t count,
                        bus_text_cb *cb, void *arg)
{
    struct gateway *g = CAST_CHECKED(struct gateway, ctx, GATEWAY_MAGIC);
    g->broker->ops->call(g->broker, function, args, count, cb, arg);
}

static void on_bus_sweep(void *ctx, struct span pattern, bus_count_cb *cb, void *arg)
{
    struct gateway *g = CAST_CHECKED(struct gateway, ctx, GATEWAY_MAGIC);
    g->broker->ops->sweep(g->broker, pattern, cb, arg);
}

static void on_bus_listen(void *ctx, const char *channel)
{
    core_listen(CAST_CHECKED(struct gateway, ctx, GATEWAY_MAGIC)->core, channel);
}

static void on_bus_answer(void *ctx, uint32_t worker, struct bus_request *answer)
{
    core_answer_bus(CAST_CHECKED(struct gateway, ctx, GATEWAY_MAGIC)->core, worker, answer);
}

static struct bus_store bus_store(struct gateway *g)
{
    return (struct bus_store){.call = on_bus_call,
                              .sweep = on_bus_sweep,
                              .listen = on_bus_listen,
                              .answer = on_bus_answer,
                              .ctx = g};
}

static void on_core_bus(void *ctx, uint32_t worker, struct bus_request *request)
{
    bus_take(CAST_CHECKED(struct gateway, ctx, GATEWAY_MAGIC)->bus, worker, request);
}

static void on_core_internal(void *ctx, struct span channel, struct span payload)
{
    bus_heard(CAST_CHECKED(struct gateway, ctx, GATEWAY_MAGIC)->bus, channel, payload);
}

static void on_core_broker(void *ctx, bool up)
{
    bus_broker(CAST_CHECKED(struct gateway, ctx, GATEWAY_MAGIC)->bus, up);
}

struct core_hooks joints_core_hooks(struct gateway *g)
{
    return (struct core_hooks){
        .bus = on_core_bus, .internal = on_core_internal, .broker = on_core_broker, .ctx = g};
}

/* Client tracking goes by the same way, and beside it from the broker to the tracker. */

static struct tracker *tracker_of(void *ctx)
{
    struct gateway *g = CAST_CHECKED(struct gateway, ctx, GATEWAY_MAGIC);
    return g->tracker;
}

static void on_tracking_up(void *ctx)
{
    tracker_up(tracker_of(ctx));
}

static void on_tracking_down(void *ctx, const char *why)
{
    tracker_down(tracker_of(ctx));
}

static void on_tracking_key(void *ctx, struct span key)
{
    tracker_key(tracker_of(ctx), key);
}

static void on_tracking_flush(void *ctx)
{
    tracker_flush(tracker_of(ctx));
}

static void on_tracking_spoof(void *ctx)
{
    tracker_spoof(tracker_of(ctx));
}

static const struct tracking_events tracking_events = {
    .on_up = on_tracking_up,
    .on_down = on_tracking_down,
    .on_key = on_tracking_key,
    .on_flush = on_tracking_flush,
    .on_spoof = on_tracking_spoof,
};

static void on_track_again(void *ctx, const char *why)
{
    broker_redis_track_again(CAST_CHECKED(struct gateway, ctx, GATEWAY_MAGIC)->broker, why);
}

void joints_create_bus(struct gateway *g)
{
    struct bus_options options = {
        .store = bus_store(g),
        .clock = &clock_system,
        .metrics = g->metrics[g->workers],
        .tag_prefix = g->policy->config->invalidation.tag_prefix,
    };
    g->bus = bus_create(&options);
}

void joints_start_tracking(struct gateway *g)
{
    const struct config *c = g->policy->config;
    const struct bus_store store = bus_store(g);
    const char *const *prefixes = (const char *const *)c->invalidation.tracking_prefixes;
    struct tracker_options options = {
        .store = &store,
        .restart = on_track_again,
        .ctx = g,
        .clock = &clock_system,
        .metrics = g->metrics[g->workers],
        .prefixes = prefixes,
        .prefix_count = c->invalidation.tracking_prefix_count,
    };
    if (options.prefix_count == 0)
        return;
    g->tracker = tracker_create(&options);
    broker_redis_track(g->broker, prefixes, options.prefix_count, &tracking_events, g);
}
