#include "bus/bus.h"

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "bus/bus_private.h"
#include "proto/event_id.h"

static const char acks_channel[] = "sluice:acks", peers_channel[] = "sluice:peers";

struct bus *bus_create(const struct bus_options *options)
{
    struct bus *bus = mem_zalloc(sizeof(*bus));
    bus->options = *options;
    list_init(&bus->jobs);
    list_init(&bus->feeds);
    list_init(&bus->finishes);
    list_init(&bus->acks);
    bus->heard = map_create();
    random_hex(bus->gateway, sizeof(bus->gateway) - 1);
    bus->sessions = map_create();
    return bus;
}

void bus_destroy(struct bus **bus)
{
    if (!*bus)
        return;
    invalidate_end(*bus);
    acks_end(*bus);
    peers_end(*bus);
    roll_end(&(*bus)->roll);
    mem_free(*bus);
    *bus = NULL;
}

/* Who never uses the bus needs no rights for it: the channels are subscribed to with the first
 * request. */
static void listen(struct bus *bus)
{
    const struct bus_store *store = &bus->options.store;
    if (bus->listening)
        return;
    bus->listening = true;
    store->listen(store->ctx, acks_channel);
    store->listen(store->ctx, peers_channel);
    pending_look(bus);
}

void bus_take(struct bus *bus, uint32_t worker, struct bus_request *request)
{
    listen(bus);
    switch (request->kind) {
    case BUS_OPEN_FEED:
        peers_open(bus, worker, request);
        bus_request_free(request);
        return;
    case BUS_CLOSE_FEED:
        peers_close(bus, request);
        bus_request_free(request);
        return;
    default:
        break;
    }
    if (!bus->up && request->kind == BUS_INVALIDATE)
        metrics_add(&bus->options.metrics->invalidations_failed, 1);
    if (!bus->up)
        bus_fail(bus, worker, request, ERR_UNAVAILABLE,
                 request->kind == BUS_INVALIDATE ? "redis is away: nothing was invalidated"
                                                 : "redis is away");
    else if (request->kind == BUS_INVALIDATE)
        invalidate_begin(bus, worker, request);
    else if (request->kind == BUS_ACK && request->closing)
        peers_leave(bus, worker, request);
    else if (request->kind == BUS_ACK)
        acks_take(bus, worker, request);
    else
        peers_list(bus, worker, request);
}

/* The next word, up to a blank, into out; false when there is none or it is longer. */
static bool take_word(struct span *text, char *out, size_t size)
{
    const char *blank = text->len ? memchr(text->ptr, ' ', text->len) : NULL;
    size_t len = blank ? (size_t)(blank - text->ptr) : text->len;
    if (len == 0 || len >= size)
        return false;
    memcpy(out, text->ptr, len);
    out[len] = '\0';
    size_t used = len + (blank != NULL);
    *text = span_make(text->ptr + used, text->len - used);
    return true;
}

/* The next word as an id, or what is to stand for one that is none. */
static uint64_t take_id(struct span *text, uint64_t none)
{
    char word[EVENT_ID_TEXT];
    uint64_t id;
    bool good = take_word(text, word, sizeof(word)) && event_id_parse(span_of(word), &id) == 0;
    return good ? id : none;
}

static void hear_ack(struct bus *bus, struct span words)
{
    char name[PEER_NAME + 1], session[PEER_NAME + 1];
    if (!take_word(&words, name, sizeof(name)) || !take_word(&words, session, sizeof(session)))
        return;
    uint64_t id = take_id(&words, 0), by = bus_session(span_of(session));
    if (id)
        peers_heard(bus, name, by, id);
    await_heard(bus, name, by, id);
}

/* One line a peer. */
static void hear_acks(struct bus *bus, struct span lines)
{
    while (lines.len) {
        const char *end = memchr(lines.ptr, '\n', lines.len);
        size_t len = end ? (size_t)(end - lines.ptr) : lines.len, used = len + (end != NULL);
        hear_ack(bus, span_make(lines.ptr, len));
        lines = span_make(lines.ptr + used, lines.len - used);
    }
}

static void hear_peer(struct bus *bus, struct span words)
{
    char name[PEER_NAME + 1], session[PEER_NAME + 1];
    if (!take_word(&words, name, sizeof(name)) || !take_word(&words, session, sizeof(session)))
        return;
    if (strcmp(session, "-") == 0) {
        uint64_t opened = take_id(&words, 0);
        await_closed(bus, name, opened);
        peers_closed(bus, name, opened);
    } else {
        await_heard(bus, name, bus_session(span_of(session)), 0);
        peers_replaced(bus, name, session, take_id(&words, UINT64_MAX));
    }
}

void bus_heard(struct bus *bus, struct span channel, struct span payload)
{
    if (span_is(channel, acks_channel))
        hear_acks(bus, payload);
    else if (span_is(channel, peers_channel))
        hear_peer(bus, payload);
}

void bus_broker(struct bus *bus, bool up)
{
    bus->up = up;
    bus->sweeping = bus->sweeping && up;
    if (!up || !bus->listening)
        return;
    peers_reopen(bus);
    await_back(bus);
    pending_look(bus);
}

uint64_t bus_tick(struct bus *bus, uint64_t now)
{
    if (!bus->listening)
        return 0;
    acks_send(bus);
    if (bus->sweep_due_us && now >= bus->sweep_due_us)
        pending_look(bus);
    uint64_t due = await_tick(bus, now);
    return due && due < bus->sweep_due_us ? due : bus->sweep_due_us;
}

void bus_hurry(struct bus *bus)
{
    await_hurry(bus);
}

void bus_change(struct bus *bus, const char *tag_prefix)
{
    bus->options.tag_prefix = tag_prefix;
}
