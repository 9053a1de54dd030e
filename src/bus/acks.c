/*
 * What peers confirm. Each word costs Redis a call, and with each announcement all of them speak at
 * once: so those of one turn of the loop go in one call, and while one is under way the next ones
 * gather. There is no delay: who speaks alone is sent at once.
 */
#include "base/err.h"
#include "base/mem.h"
#include "bus/bus_private.h"
#include "proto/event_id.h"

struct ack {
    struct list node;
    uint32_t worker;
    struct bus_request *request; /* owned */
};

/* A call under way. */
struct batch {
    struct bus *bus;
    struct list acks; /* in the order of its lines; those that are still to be answered */
};

static void ack_free(struct ack *a)
{
    list_remove(&a->node);
    bus_request_free(a->request);
    mem_free(a);
}

static struct ack *first(const struct list *acks)
{
    struct list *n = list_first(acks);
    return n ? LIST_ENTRY(n, struct ack, node) : NULL;
}

static void fail(struct bus *bus, struct ack *a, int err, const char *why)
{
    bus_fail(bus, a->worker, a->request, err, why);
    a->request = NULL;
    ack_free(a);
}

static void answer_one(void *ctx, struct span said)
{
    struct batch *b = ctx;
    struct ack *a = first(&b->acks);
    if (!a)
        return;
    peers_answer(b->bus, a->worker, a->request, said);
    a->request = NULL;
    ack_free(a);
}

static void on_acked(void *arg, int err, const char *why, struct span text)
{
    struct batch *b = arg;
    struct bus *bus = b->bus;
    bus->acking = false;
    if (!err)
        answer_all(text, answer_one, b);
    for (struct ack *a; (a = first(&b->acks));)
        fail(bus, a, err ? err : ERR_UNAVAILABLE, err ? why : "redis did not say");
    mem_free(b);
}

/* A line of the call; sessions and names are words. Where the name is known here the store need not
 * look it up. */
static void write_line(struct buf *lines, const struct bus *bus, const struct bus_request *r)
{
    char id[EVENT_ID_TEXT];
    const char *name = r->peer[0] ? r->peer : peers_name(bus, r->session);
    (void)event_id_format(id, r->id);
    buf_printf(lines, "%s %s %s\n", r->session, id, name ? name : "-");
}

static void send_batch(struct bus *bus)
{
    const struct bus_store *store = &bus->options.store;
    struct batch *b = mem_alloc(sizeof(*b));
    struct buf lines = {0};
    struct ack *a;
    b->bus = bus;
    list_init(&b->acks);
    for (size_t n = 0; n < ACKS_MOST && (a = first(&bus->acks)); n++) {
        write_line(&lines, bus, a->request);
        list_remove(&a->node);
        list_append(&b->acks, &a->node);
    }
    bus->acking = true;
    const struct span args[] = {buf_view(&lines)};
    store->call(store->ctx, "sluice_peer_acks", args, 1, on_acked, b);
    buf_free(&lines);
}

void acks_take(struct bus *bus, uint32_t worker, struct bus_request *request)
{
    struct ack *a = mem_zalloc(sizeof(*a));
    a->worker = worker;
    a->request = request;
    list_append(&bus->acks, &a->node);
}

void acks_send(struct bus *bus)
{
    while (!bus->acking && !list_empty(&bus->acks))
        send_batch(bus);
}

void acks_end(struct bus *bus)
{
    for (struct ack *a; (a = first(&bus->acks));)
        ack_free(a);
}
