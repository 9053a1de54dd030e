/* GET /healthz, /readyz, /metrics, /api/stats: what an operator and a load balancer ask. */
#include "http/router.h"
#include "proto/json_text.h"

#include <inttypes.h>

void endpoint_healthz(struct exchange *x)
{
    exchange_json(x, 200, span_of("{\"status\":\"ok\"}"));
}

/*
 * Degraded is still 200: the streams that are open live on without Redis, and a load balancer that
 * took this gateway out would tear them down. ?strict=1 is for those who ask for new work only.
 */
void endpoint_readyz(struct exchange *x)
{
    const struct shard *shard = exchange_worker(x)->shard;
    bool up = shard_broker_up(shard), draining = exchange_worker(x)->draining;
    struct span strict = query_get(&x->query, "strict");
    struct buf json = {0};
    buf_printf(&json, "{\"status\":\"%s\",\"redis\":",
               draining ? "draining"
               : up     ? "ready"
                        : "degraded");
    if (exchange_worker(x)->options->memory)
        json_text_string(&json, span_of("none: memory broker"));
    else
        json_text_string(&json, span_of(up ? "ready" : shard_broker_reason(shard)));
    const struct http_options *o = exchange_worker(x)->options;
    if (metrics_get(&o->metrics[o->workers]->redis_may_evict))
        buf_str(&json, ",\"warning\":\"Redis may evict history: its maxmemory-policy should be "
                       "noeviction\"");
    buf_byte(&json, '}');
    bool refused = draining || (!up && span_is(strict, "1"));
    exchange_json(x, refused ? 503 : 200, buf_view(&json));
    buf_free(&json);
}

void endpoint_metrics(struct exchange *x)
{
    if (!exchange_may(x, ACCESS_STATS, span_make("", 0)))
        return;
    const struct http_options *o = exchange_worker(x)->options;
    struct buf out = {0};
    metrics_render(&out, (const struct metrics *const *)o->metrics, o->workers + 1);
    exchange_reply(x, &(struct reply){.status = 200,
                                      .type = "text/plain; version=0.0.4; charset=utf-8",
                                      .body = buf_view(&out)});
    buf_free(&out);
}

/* How soon peers confirmed what was accepted here: which share of it within which time. Only the
 * core counts it. */
static void write_nines(struct buf *out, const struct metrics *core)
{
    const struct {
        const char *within;
        const atomic_uint_fast64_t *count;
    } rows[] = {{"10ms", &core->applied_10ms},
                {"100ms", &core->applied_100ms},
                {"1s", &core->applied_1s},
                {"10s", &core->applied_10s}};
    uint64_t all = metrics_get(&core->applied);
    buf_printf(out, "{\"applied\":%" PRIu64 ",\"within\":{", all);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        buf_printf(out, "%s\"%s\":", i ? "," : "", rows[i].within);
        if (all)
            buf_printf(out, "%.6f", (double)metrics_get(rows[i].count) / (double)all);
        else
            buf_str(out, "null");
    }
    buf_str(out, "}}");
}

void endpoint_stats(struct exchange *x)
{
    if (!exchange_may(x, ACCESS_STATS, span_make("", 0)))
        return;
    struct worker *w = exchange_worker(x);
    const struct http_options *o = w->options;
    struct buf out = {0};
    buf_printf(&out, "{\"uptime_seconds\":%" PRIu64 ",\"workers\":%u,\"broker\":\"%s\",\"redis\":",
               (worker_now_us(w) - w->server->started_us) / 1000000, o->workers,
               o->memory ? "memory" : "redis");
    json_text_string(&out,
                     span_of(shard_broker_up(w->shard) ? "ready" : shard_broker_reason(w->shard)));
    buf_str(&out, ",\"invalidations\":");
    write_nines(&out, o->metrics[o->workers]);
    buf_str(&out, ",\"counters\":");
    metrics_render_json(&out, (const struct metrics *const *)o->metrics, o->workers + 1);
    buf_byte(&out, '}');
    exchange_json(x, 200, buf_view(&out));
    buf_free(&out);
}
