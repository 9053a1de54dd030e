/* Who reads the feed: the feeds of this gateway, and what peers have confirmed anywhere. */
#include "base/err.h"
#include "base/mem.h"
#include "bus/bus_private.h"
#include "proto/event_id.h"
#include "proto/json_text.h"

#include <stdio.h>

/* Longer than any lease; and to look through all of them is not done for each word. */
static const uint64_t heard_kept_us = 60 * UINT64_C(1000000), forget_again_us = UINT64_C(1000000);

struct asked {
    struct bus *bus;
    uint32_t worker;
    struct bus_request *request; /* owned */
};

struct opening {
    struct bus *bus;
    char session[SESSION_TEXT + 1];
};

static struct asked *asked_create(struct bus *bus, uint32_t worker, struct bus_request *request)
{
    struct asked *a = mem_alloc(sizeof(*a));
    *a = (struct asked){.bus = bus, .worker = worker, .request = request};
    return a;
}

static void refuse(struct bus *bus, uint32_t worker, struct bus_request *r, const char *why)
{
    struct buf json = {0};
    json_text_error(&json, span_of(why));
    bus_reply(bus, worker, r, 409, buf_view(&json));
    buf_free(&json);
}

void peers_answer(struct bus *bus, uint32_t worker, struct bus_request *r, struct span said)
{
    struct buf state = {0};
    (void)answer_field(said, "state", &state);
    if (span_is(buf_view(&state), "ahead"))
        refuse(bus, worker, r, "id: nothing so late was ever announced");
    else if (span_is(buf_view(&state), "unknown"))
        refuse(bus, worker, r, "session: it has ended, or another feed has taken its peer's name");
    else
        bus_reply(bus, worker, r, 200, said);
    buf_free(&state);
}

static void on_closed(void *arg, int err, const char *why, struct span text)
{
    struct asked *a = arg;
    if (err)
        bus_fail(a->bus, a->worker, a->request, err, why);
    else
        peers_answer(a->bus, a->worker, a->request, text);
    mem_free(a);
}

void peers_leave(struct bus *bus, uint32_t worker, struct bus_request *r)
{
    const struct bus_store *store = &bus->options.store;
    const struct span args[] = {span_of(r->peer), span_of(r->session)};
    store->call(store->ctx, "sluice_peer_close", args, 2, on_closed, asked_create(bus, worker, r));
}

struct listing {
    struct buf out;
    uint64_t clock, feed; /* ids: now, and of the last announcement */
    bool any;
};

/* How far a peer is behind the last announcement, and for how long at most: it has confirmed all
 * that was announced before its id. Ids are microseconds. The session stays between the two. */
static void list_peer(void *ctx, struct span peer)
{
    struct listing *l = ctx;
    struct buf name = {0}, gateway = {0};
    char id[EVENT_ID_TEXT];
    uint64_t acked = answer_id(peer, "acked"), lease = answer_number(peer, "lease");
    uint64_t at = acked ? acked : answer_id(peer, "opened");
    bool behind = at < l->feed;
    (void)event_id_format(id, acked);
    (void)answer_field(peer, "name", &name);
    (void)answer_field(peer, "gateway", &gateway);
    buf_str(&l->out, l->any ? ",{\"name\":" : "{\"name\":");
    l->any = true;
    json_text_string(&l->out, buf_view(&name));
    buf_str(&l->out, ",\"gateway\":");
    json_text_string(&l->out, buf_view(&gateway));
    buf_printf(
        &l->out, ",\"acked\":\"%s\",\"lag\":{\"ids\":%llu,\"seconds\":%.3f},\"lease_ms\":%llu}", id,
        (unsigned long long)(behind ? l->feed - at : 0),
        behind && l->clock > at ? (double)(l->clock - at) / 1e6 : 0., (unsigned long long)lease);
    buf_free(&name);
    buf_free(&gateway);
}

static void on_list(void *arg, int err, const char *why, struct span text)
{
    struct asked *a = arg;
    if (err) {
        bus_fail(a->bus, a->worker, a->request, err, why);
        mem_free(a);
        return;
    }
    struct listing l = {.clock = answer_id(text, "clock"), .feed = answer_id(text, "feed")};
    char id[EVENT_ID_TEXT];
    (void)event_id_format(id, l.feed);
    buf_printf(&l.out, "{\"id\":\"%s\",\"peers\":[", id);
    answer_each(text, "peers", list_peer, &l);
    buf_str(&l.out, "]}");
    bus_reply(a->bus, a->worker, a->request, 200, buf_view(&l.out));
    buf_free(&l.out);
    mem_free(a);
}

void peers_list(struct bus *bus, uint32_t worker, struct bus_request *r)
{
    const struct bus_store *store = &bus->options.store;
    store->call(store->ctx, "sluice_peers", NULL, 0, on_list, asked_create(bus, worker, r));
}

/* Feeds */

static struct feed *find_feed(const struct bus *bus, const char *session)
{
    return map_get(bus->sessions, span_of(session));
}

const char *peers_name(const struct bus *bus, const char *session)
{
    const struct feed *f = find_feed(bus, session);
    return f ? f->peer : NULL;
}

/* To its worker, which begins or ends it. */
static void tell_feed(struct bus *bus, const struct feed *f, enum bus_kind kind, int err,
                      const char *why)
{
    struct bus_request *r = bus_request_create(kind);
    snprintf(r->peer, sizeof(r->peer), "%s", f->peer);
    snprintf(r->session, sizeof(r->session), "%s", f->session);
    r->status = err ? 503 : 200;
    if (err)
        json_text_error(&r->json, span_of(why ? why : err_name(err)));
    bus->options.store.answer(bus->options.store.ctx, f->worker, r);
}

static void announce(struct bus *bus, const struct feed *f);

/* Of two sessions of one name the one that was opened later has it. Words on the channel may come
 * before the answer, those of an earlier session after a later one was asked for, and some are of
 * another database's peers: saying again what was opened shows whether it has been replaced. */
static void end_if_over(struct bus *bus, struct feed *f)
{
    if (f->opened_id && f->closed == f->opened_id) {
        f->closed = 0;
        tell_feed(bus, f, BUS_END_FEED, 0, NULL);
    } else if (f->opened_id && f->rival > f->opened_id) {
        f->rival = 0;
        announce(bus, f);
    }
}

/* Until it has been announced once its worker waits; when Redis went away peers_reopen says it
 * again. */
static void on_opened(void *arg, int err, const char *why, struct span text)
{
    struct opening *o = arg;
    struct feed *f = find_feed(o->bus, o->session);
    struct buf later = {0};
    bool replaced = f && !err && answer_field(text, "later", &later);
    if (f && !err && !replaced)
        f->opened_id = answer_id(text, "opened");
    buf_free(&later);
    if (f && !f->opened && (!err || o->bus->up)) {
        f->opened = !err;
        tell_feed(o->bus, f, BUS_OPEN_FEED, err, why);
    }
    if (replaced)
        tell_feed(o->bus, f, BUS_END_FEED, 0, NULL);
    else if (f)
        end_if_over(o->bus, f);
    mem_free(o);
}

static void announce(struct bus *bus, const struct feed *f)
{
    const struct bus_store *store = &bus->options.store;
    char id[EVENT_ID_TEXT];
    size_t len = event_id_format(id, f->opened_id);
    const struct span args[] = {span_of(f->peer), span_of(f->session), span_of(bus->gateway),
                                span_make(id, len)};
    struct opening *o = mem_zalloc(sizeof(*o));
    o->bus = bus;
    snprintf(o->session, sizeof(o->session), "%s", f->session);
    /* While it was cut off the peer may have gone to another gateway. */
    store->call(store->ctx, "sluice_peer_open", args, f->opened_id ? 4 : 3, on_opened, o);
}

void peers_open(struct bus *bus, uint32_t worker, const struct bus_request *r)
{
    if (find_feed(bus, r->session)) /* sessions are random: it cannot be */
        return;
    struct feed *f = mem_zalloc(sizeof(*f));
    f->worker = worker;
    snprintf(f->peer, sizeof(f->peer), "%s", r->peer);
    snprintf(f->session, sizeof(f->session), "%s", r->session);
    list_append(&bus->feeds, &f->node);
    map_put(bus->sessions, span_of(f->session), f);
    if (bus->up)
        announce(bus, f);
}

void peers_close(struct bus *bus, const struct bus_request *r)
{
    struct feed *f = find_feed(bus, r->session);
    if (!f)
        return;
    (void)map_del(bus->sessions, span_of(f->session));
    list_remove(&f->node);
    mem_free(f);
}

void peers_reopen(struct bus *bus)
{
    LIST_FOREACH (n, &bus->feeds)
        announce(bus, LIST_ENTRY(n, struct feed, node));
}

void peers_replaced(struct bus *bus, const char *name, const char *session, uint64_t opened)
{
    LIST_FOREACH_SAFE (n, &bus->feeds) {
        struct feed *f = LIST_ENTRY(n, struct feed, node);
        if (strcmp(f->peer, name) != 0 || strcmp(f->session, session) == 0)
            continue;
        f->rival = opened > f->rival ? opened : f->rival;
        end_if_over(bus, f);
    }
}

void peers_closed(struct bus *bus, const char *name, uint64_t opened)
{
    LIST_FOREACH_SAFE (n, &bus->feeds) {
        struct feed *f = LIST_ENTRY(n, struct feed, node);
        if (strcmp(f->peer, name) != 0)
            continue;
        f->closed = opened;
        end_if_over(bus, f);
    }
}

/* What was confirmed */

/* Names come and go, as those of containers do: who was not heard for a while is forgotten. */
static void forget_silent(struct bus *bus)
{
    struct map *old = bus->heard;
    uint64_t now = bus_now(bus);
    size_t cursor = 0;
    bus->heard = map_create();
    for (struct heard *h; (h = map_next(old, &cursor));) {
        if (now - h->heard_us < heard_kept_us)
            map_put(bus->heard, span_of(h->name), h);
        else
            mem_free(h);
    }
    map_destroy(&old);
    bus->forget_due_us = now + forget_again_us;
}

static struct heard *heard_of(struct bus *bus, const char *name)
{
    struct heard *h = map_get(bus->heard, span_of(name));
    if (!h && map_size(bus->heard) >= PEERS_MOST && bus_now(bus) >= bus->forget_due_us)
        forget_silent(bus);
    if (h || map_size(bus->heard) >= PEERS_MOST)
        return h;
    h = mem_zalloc(sizeof(*h));
    snprintf(h->name, sizeof(h->name), "%s", name);
    map_put(bus->heard, span_of(h->name), h);
    return h;
}

static void observe(struct bus *bus, uint64_t us)
{
    struct metrics *m = bus->options.metrics;
    metrics_add(&m->applied, 1);
    metrics_observe(&m->applied_in, us);
    if (us <= 10000)
        metrics_add(&m->applied_10ms, 1);
    if (us <= 100000)
        metrics_add(&m->applied_100ms, 1);
    if (us <= 1000000)
        metrics_add(&m->applied_1s, 1);
    if (us <= 10000000)
        metrics_add(&m->applied_10s, 1);
}

/* Kept in rising order: what was put aside is announced after what came later. One that was
 * answered again, by its idempotency key, is there already or long applied. */
void peers_accepted(struct bus *bus, uint64_t id, uint64_t accepted_us, const char *origin)
{
    uint64_t at = bus->accepted, first = at < TIMES ? 0 : at - TIMES + 1;
    while (at > first && bus->times[(at - 1) % TIMES].id > id)
        at--;
    if (at == first && at > 0)
        return;
    if (at > first && bus->times[(at - 1) % TIMES].id == id)
        return;
    for (uint64_t i = bus->accepted; i > at; i--)
        bus->times[i % TIMES] = bus->times[(i - 1) % TIMES];
    struct accepted *a = &bus->times[at % TIMES];
    *a = (struct accepted){.id = id, .accepted_us = accepted_us};
    snprintf(a->origin, sizeof(a->origin), "%s", origin);
    bus->accepted++;
}

/* The invalidations that were accepted here and that this confirmation is the first to cover. */
static void observe_all(struct bus *bus, const struct heard *h, uint64_t id)
{
    uint64_t now = bus_now(bus), n = bus->accepted < TIMES ? bus->accepted : TIMES;
    for (uint64_t i = 0; i < n; i++) {
        const struct accepted *a = &bus->times[(bus->accepted - 1 - i) % TIMES];
        if (a->id <= h->acked)
            return;
        if (a->id <= id && strcmp(a->origin, h->name) != 0)
            observe(bus, now > a->accepted_us ? now - a->accepted_us : 0);
    }
}

void peers_heard(struct bus *bus, const char *name, uint64_t session, uint64_t id)
{
    struct heard *h = heard_of(bus, name);
    if (!h)
        return;
    if (h->session != session)
        h->acked = 0;
    h->session = session;
    h->last = id;
    h->heard_us = bus_now(bus);
    if (id <= h->acked)
        return;
    /* The first word of a peer is no answer to what came before it. */
    if (h->acked)
        observe_all(bus, h, id);
    h->acked = id;
}

uint64_t peers_acked(const struct bus *bus, const char *name, uint64_t session, uint64_t since)
{
    const struct heard *h = map_get(bus->heard, span_of(name));
    bool of_it = h && (!session || h->session == session);
    return of_it && h->heard_us >= since ? h->last : 0;
}

void peers_end(struct bus *bus)
{
    size_t cursor = 0;
    for (struct heard *h; (h = map_next(bus->heard, &cursor));)
        mem_free(h);
    map_destroy(&bus->heard);
    map_destroy(&bus->sessions);
    for (struct list *n; (n = list_first(&bus->feeds));) {
        list_remove(n);
        mem_free(LIST_ENTRY(n, struct feed, node));
    }
}
