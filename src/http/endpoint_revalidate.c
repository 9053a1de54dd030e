/*
 * POST /revalidate, as the recipes for Next.js have it: {"secret":…,"path":…,"tag":…}, each of the
 * three also in the query, the secret also in the header X-Revalidate-Secret, which comes first:
 * queries end up in other people's logs. The secret is its credential.
 */
#include "http/router.h"
#include "proto/invalidation.h"
#include "proto/json_read.h"

#include <inttypes.h>

struct ask {
    struct buf secret, path, tag; /* owned */
    bool has_secret;
};

static void ask_free(struct ask *a)
{
    buf_free(&a->secret);
    buf_free(&a->path);
    buf_free(&a->tag);
}

static bool read_member(struct json_reader *r, struct span name, struct ask *a)
{
    struct buf *into = span_is(name, "secret") && !a->has_secret ? &a->secret
                       : span_is(name, "path")                   ? &a->path
                       : span_is(name, "tag")                    ? &a->tag
                                                                 : NULL;
    if (!into || json_read_peek(r) == JSON_NULL) { /* recipes add members of their own */
        json_read_value(r, NULL);
        return true;
    }
    if (json_read_peek(r) != JSON_STRING)
        return false;
    buf_reset(into);
    json_read_string(r, into);
    return true;
}

/* NULL, or what is wrong; what was read before it stays. */
static const char *read_json(struct span body, struct ask *a)
{
    struct json_reader r;
    struct buf name = {0};
    const char *wrong = NULL;
    if (body.len == 0)
        return NULL;
    json_read_begin(&r, body);
    if (json_read_peek(&r) != JSON_OBJECT)
        return "body: expected an object";
    json_read_enter(&r);
    while (!wrong && json_read_member(&r, &name))
        if (!read_member(&r, buf_view(&name), a))
            wrong = "secret, path and tag: expected strings";
    json_read_end(&r);
    if (!wrong && r.error)
        wrong = "body is not JSON";
    buf_free(&name);
    return wrong;
}

static const char *read_ask(struct exchange *x, struct ask *a)
{
    struct span secret = http1_header(&x->req, "X-Revalidate-Secret");
    if (!secret.ptr)
        secret = query_get(&x->query, "secret");
    a->has_secret = secret.ptr != NULL;
    buf_span(&a->secret, secret);
    buf_span(&a->path, query_get(&x->query, "path"));
    buf_span(&a->tag, query_get(&x->query, "tag"));
    return read_json(buf_view(&x->body), a);
}

bool endpoint_revalidate_admit(struct exchange *x)
{
    const struct http_hooks *hooks = &exchange_worker(x)->options->hooks;
    if (hooks->has_secret(hooks->ctx))
        return bus_admit(x);
    exchange_error(x, 404, "revalidation is not configured: it needs invalidation.secret");
    return false;
}

static bool is_authentic(struct exchange *x, const struct ask *a)
{
    const struct http_hooks *hooks = &exchange_worker(x)->options->hooks;
    if (hooks->secret_is(hooks->ctx, buf_view(&a->secret)))
        return true;
    exchange_json(x, 401, span_of("{\"error\":\"Invalid secret\"}"));
    return false;
}

static bool add(struct exchange *x, struct invalidation *inv, enum invalidation_list list,
                const char *name, const struct buf *value)
{
    const char *wrong = value->len ? invalidation_add(inv, list, buf_view(value)) : NULL;
    if (wrong)
        exchange_error(x, 400, "%s: %s", name, wrong);
    return !wrong;
}

static void send_ask(struct exchange *x, const struct ask *a)
{
    struct invalidation inv = {0};
    bool ok = add(x, &inv, INVALIDATION_PATHS, "path", &a->path) &&
              add(x, &inv, INVALIDATION_TAGS, "tag", &a->tag);
    if (ok && inv.count == 0) {
        exchange_error(x, 400, "body: a path or a tag must be given");
    } else if (ok) {
        struct bus_request *r = bus_request_create(BUS_INVALIDATE);
        r->accepted_us = worker_now_us(exchange_worker(x));
        invalidation_write(&inv, "api", &r->body);
        bus_send(x, r);
    }
    invalidation_free(&inv);
}

void endpoint_revalidate(struct exchange *x)
{
    struct ask a = {0};
    const char *wrong = read_ask(x, &a);
    if (!is_authentic(x, &a)) {
        ask_free(&a);
        return;
    }
    if (wrong)
        exchange_error(x, 400, "%s", wrong);
    else
        send_ask(x, &a);
    ask_free(&a);
}

void endpoint_revalidate_done(struct exchange *x, const struct bus_request *answer)
{
    struct buf json = {0};
    if (answer->status != 200) {
        bus_pass_on(x, answer);
        return;
    }
    buf_printf(&json, "{\"revalidated\":true,\"now\":%" PRIu64 "}",
               clock_wall_us(exchange_worker(x)->options->clock) / 1000);
    exchange_json(x, 200, buf_view(&json));
    buf_free(&json);
}
