#include "http/cors.h"

#include "http/router.h"

enum { PREFLIGHT_SECONDS = 3600 };

/* "*", the origin itself, or nothing. */
static bool origin_allowed(const struct exchange *x, struct span origin, bool *any)
{
    const struct http_options *o = exchange_worker(x)->options;
    for (size_t i = 0; i < o->cors_origin_count; i++) {
        *any = strcmp(o->cors_origins[i], "*") == 0;
        if (*any || span_is(origin, o->cors_origins[i]))
            return true;
    }
    return false;
}

void cors_headers(const struct exchange *x, struct buf *out)
{
    if (exchange_worker(x)->options->cors_origin_count == 0)
        return;
    struct span origin = http1_header(&x->req, "origin");
    bool any = false, allowed = origin.ptr && origin_allowed(x, origin, &any);
    if (allowed && any) {
        buf_str(out, "Access-Control-Allow-Origin: *\r\n");
        return;
    }
    /* Caches must know that the answer depends on who asks, also where the answer is no. */
    buf_str(out, "Vary: Origin\r\n");
    if (allowed)
        buf_printf(
            out, "Access-Control-Allow-Origin: %.*s\r\nAccess-Control-Allow-Credentials: true\r\n",
            (int)origin.len, origin.ptr);
}

void cors_options(struct exchange *x)
{
    struct buf headers = {0};
    bool any = false;
    struct span origin = http1_header(&x->req, "origin");
    struct span wanted = http1_header(&x->req, "access-control-request-method");
    buf_str(&headers, "Allow: ");
    if (x->route)
        router_allow(x->route, &headers);
    else
        buf_str(&headers, "OPTIONS");
    buf_str(&headers, "\r\n");
    if (x->route && wanted.ptr && origin.ptr && origin_allowed(x, origin, &any)) {
        buf_str(&headers, "Access-Control-Allow-Methods: ");
        router_allow(x->route, &headers);
        buf_printf(&headers,
                   "\r\nAccess-Control-Allow-Headers: Authorization, Cache-Control, Last-Event-ID, "
                   "Content-Type, Idempotency-Key\r\nAccess-Control-Max-Age: %d\r\n",
                   PREFLIGHT_SECONDS);
    }
    exchange_reply(x, &(struct reply){.status = 204, .headers = buf_cstr(&headers)});
    buf_free(&headers);
}
