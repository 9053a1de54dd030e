/* POST /webhooks/{name}: a sender's own word becomes an invalidation. Its signature is its
 * credential. */
#include "base/mem.h"
#include "http/router.h"

#include <string.h>

/* The name in the path, decoded into `name`; answers when there is no such webhook. */
static bool find(struct exchange *x, struct buf *name)
{
    const struct http_hooks *hooks = &exchange_worker(x)->options->hooks;
    struct span raw =
        span_make(x->path.ptr + strlen(x->route->path), x->path.len - strlen(x->route->path));
    if (percent_decode(name, raw) == 0 && hooks->has_webhook(hooks->ctx, buf_view(name)))
        return true;
    exchange_error(x, 404, "no webhook of that name is configured");
    return false;
}

bool endpoint_webhook_admit(struct exchange *x)
{
    struct buf name = {0};
    bool ok = find(x, &name) && bus_admit(x);
    buf_free(&name);
    return ok;
}

static struct span header(const void *ctx, const char *name)
{
    const struct exchange *x = ctx;
    return http1_header(&x->req, name);
}

static void judge(struct exchange *x, struct span name, struct hook_verdict *verdict)
{
    const struct http_options *o = exchange_worker(x)->options;
    const struct hook_delivery delivery = {
        .name = name,
        .method = x->req.method_name,
        .path = x->req.target,
        .body = buf_view(&x->body),
        .header = header,
        .ctx = x,
        .now_seconds = clock_wall_us(o->clock) / 1000000,
    };
    o->hooks.judge(o->hooks.ctx, &delivery, verdict);
}

static void send_invalidation(struct exchange *x, struct hook_verdict *verdict)
{
    struct bus_request *r = bus_request_create(BUS_INVALIDATE);
    r->accepted_us = worker_now_us(exchange_worker(x));
    buf_span(&r->body, buf_view(&verdict->body));
    if (verdict->key.len)
        r->key = mem_dup(verdict->key.data, verdict->key.len);
    bus_send(x, r);
}

void endpoint_webhook(struct exchange *x)
{
    struct hook_verdict verdict = {0};
    struct buf name = {0};
    if (find(x, &name)) {
        judge(x, buf_view(&name), &verdict);
        if (verdict.status != 200)
            exchange_error(x, verdict.status, "%s", verdict.why);
        else if (verdict.body.len == 0)
            exchange_json(x, 200, span_of("{\"id\":null,\"deleted\":0,\"tags\":{}}"));
        else
            send_invalidation(x, &verdict);
    }
    buf_free(&name);
    buf_free(&verdict.body);
    buf_free(&verdict.key);
}
