/*
 * POST /invalidate, POST /invalidations/ack, GET /api/peers: the invalidation bus. Each is a
 * request to the core, whose bus answers with the status and JSON that are sent as they come.
 */
#include "base/err.h"
#include "base/mem.h"
#include "http/feed.h"
#include "http/router.h"
#include "proto/ack_body.h"
#include "proto/invalidation.h"
#include "proto/publish_body.h"

#include <stdio.h>

enum { WHY_BYTES = 256, TIMEOUT_MS = 500, TIMEOUT_MOST_MS = 30000 };

bool bus_admit(struct exchange *x)
{
    if (!exchange_worker(x)->options->memory)
        return true;
    exchange_error(x, 501, "the memory broker has no keys to invalidate: the bus needs Redis");
    return false;
}

void bus_send(struct exchange *x, struct bus_request *r)
{
    struct worker *w = exchange_worker(x);
    struct msg *m = msg_create(MSG_BUS, w->index);
    r->exchange = x->number;
    m->bus = r;
    exchange_wait(x);
    worker_core(w, m);
}

void bus_pass_on(struct exchange *x, const struct bus_request *answer)
{
    exchange_reply(x,
                   &(struct reply){.status = answer->status,
                                   .type = "application/json",
                                   .body = buf_view(&answer->json),
                                   .headers = answer->status == 503 ? "Retry-After: 1\r\n" : NULL});
}

void endpoint_bus_done(struct worker *w, struct msg *m)
{
    const struct bus_request *r = m->bus;
    if (r->kind == BUS_OPEN_FEED || r->kind == BUS_END_FEED) {
        feed_answered(w, r);
        return;
    }
    struct exchange *x = worker_exchange(w, r->exchange);
    if (!x)
        return; /* the client has gone meanwhile */
    if (x->route->done)
        x->route->done(x, r);
    else
        bus_pass_on(x, r);
}

/* POST /invalidate */

static bool read_timeout(struct exchange *x, struct bus_request *r)
{
    struct span text = query_get(&x->query, "timeout_ms");
    uint32_t ms = 0;
    r->timeout_ms = TIMEOUT_MS;
    if (!text.ptr)
        return true;
    size_t i = 0;
    while (i < text.len && i < 5 && text.ptr[i] >= '0' && text.ptr[i] <= '9')
        ms = ms * 10 + (uint32_t)(text.ptr[i++] - '0');
    if (i < text.len || ms < 1 || ms > TIMEOUT_MOST_MS) {
        exchange_error(x, 400, "timeout_ms: expected 1 to %d", TIMEOUT_MOST_MS);
        return false;
    }
    r->timeout_ms = ms;
    return true;
}

static bool read_wait(struct exchange *x, struct bus_request *r)
{
    struct span wait = query_get(&x->query, "wait");
    r->wait = span_is(wait, "all");
    if (!wait.ptr || r->wait)
        return read_timeout(x, r);
    exchange_error(x, 400, "wait: expected \"all\"");
    return false;
}

static bool read_key(struct exchange *x, struct bus_request *r)
{
    struct span key = http1_header(&x->req, "Idempotency-Key");
    const char *wrong = key.ptr ? publish_key_error(key) : NULL;
    if (wrong) {
        exchange_error(x, 400, "Idempotency-Key: %s", wrong);
        return false;
    }
    if (key.ptr)
        r->key = mem_dup(key.ptr, key.len);
    return true;
}

static bool read_body(struct exchange *x, struct bus_request *r)
{
    struct invalidation inv = {0};
    char why[WHY_BYTES];
    int err = invalidation_parse(buf_view(&x->body), &inv, why, sizeof(why));
    if (err) {
        exchange_error(x, err == ERR_TOO_LARGE ? 413 : 400, "%s", why);
        return false;
    }
    invalidation_write(&inv, "api", &r->body);
    invalidation_free(&inv);
    return true;
}

bool endpoint_invalidate_admit(struct exchange *x)
{
    return exchange_may(x, ACCESS_INVALIDATE, span_make("", 0)) && bus_admit(x);
}

void endpoint_invalidate(struct exchange *x)
{
    if (!endpoint_invalidate_admit(x)) /* the keys may have changed while the body came */
        return;
    struct bus_request *r = bus_request_create(BUS_INVALIDATE);
    r->accepted_us = worker_now_us(exchange_worker(x));
    if (read_wait(x, r) && read_key(x, r) && read_body(x, r))
        bus_send(x, r);
    else
        bus_request_free(r);
}

/* POST /invalidations/ack */

bool endpoint_ack_admit(struct exchange *x)
{
    return exchange_may(x, ACCESS_PEER, span_make("", 0)) && bus_admit(x);
}

/*
 * What a feed of this worker was given is known exactly. Of others, on another worker or gateway,
 * it is not: then the library refuses what was never announced to anybody.
 */
static bool ack_fits(struct exchange *x, const struct ack_body *ack)
{
    const struct feed *f = feed_find(exchange_worker(x), ack->session);
#ifdef SLUICE_MUTANT_ack_anything
    f = NULL;
#endif
    if (!f || ack->id <= f->delivered)
        return true;
    exchange_error(x, 409, "id: the feed of this session was not given anything so late");
    return false;
}

void endpoint_ack(struct exchange *x)
{
    struct ack_body ack;
    char why[WHY_BYTES];
    if (!endpoint_ack_admit(x))
        return;
    if (ack_body_parse(buf_view(&x->body), &ack, why, sizeof(why))) {
        exchange_error(x, 400, "%s", why);
        return;
    }
    if (!ack_fits(x, &ack))
        return;
    struct bus_request *r = bus_request_create(BUS_ACK);
    snprintf(r->session, sizeof(r->session), "%s", ack.session);
    snprintf(r->peer, sizeof(r->peer), "%s", ack.peer);
    r->id = ack.id;
    r->closing = ack.close;
    bus_send(x, r);
}

/* GET /api/peers */

void endpoint_peers(struct exchange *x)
{
    if (exchange_may(x, ACCESS_STATS, span_make("", 0)) && bus_admit(x))
        bus_send(x, bus_request_create(BUS_PEERS));
}
