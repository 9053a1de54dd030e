/* Tags too large for one call: what was put aside is deleted in slices, and announced last. */
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "bus/bus_private.h"

#include <stdio.h>

enum { SLICE = 2000, LOOK_MOST = 16, STEPS_MOST = 1000000 };

static const uint64_t look_us = 30 * UINT64_C(1000000);

struct finish {
    struct list node;
    struct bus *bus;
    bool live; /* who lives is wanted with the announcement */
    pending_done *done;
    void *arg;
    uint64_t deleted;
    unsigned steps;
    size_t name_len;
    char name[];
};

static void end(struct finish *f, int err, const char *why, struct span text)
{
    list_remove(&f->node);
    f->done(f->arg, err, why, text, f->deleted);
    mem_free(f);
}

static void on_announced(void *arg, int err, const char *why, struct span text)
{
    end(arg, err, why, text);
}

static void step(struct finish *f);

static void announce(struct finish *f)
{
    const struct bus_store *store = &f->bus->options.store;
    const struct span args[] = {span_make(f->name, f->name_len), span_of("live"),
                                span_of(f->live ? "1" : "0")};
    store->call(store->ctx, "sluice_pending_done", args, 3, on_announced, f);
}

static void on_step(void *arg, int err, const char *why, struct span text)
{
    struct finish *f = arg;
    if (err) {
        end(f, err, why, span_make("", 0));
        return;
    }
    f->deleted += answer_number(text, "deleted");
    if (answer_number(text, "left") > 0 && ++f->steps < STEPS_MOST)
        step(f);
    else
        announce(f);
}

static void step(struct finish *f)
{
    const struct bus_store *store = &f->bus->options.store;
    char members[16];
    snprintf(members, sizeof(members), "%d", SLICE);
    const struct span args[] = {span_make(f->name, f->name_len), span_of(members)};
    store->call(store->ctx, "sluice_pending_step", args, 2, on_step, f);
}

void pending_finish(struct bus *bus, struct span tombstone, bool live, pending_done *done,
                    void *arg)
{
    struct finish *f = mem_zalloc(sizeof(*f) + tombstone.len);
    f->bus = bus;
    f->live = live;
    f->done = done;
    f->arg = arg;
    f->name_len = tombstone.len;
    memcpy(f->name, tombstone.ptr, tombstone.len);
    list_append(&bus->finishes, &f->node);
    step(f);
}

/* What a gateway that died has left */

static void on_finished(void *arg, int err, const char *why, struct span text, uint64_t deleted)
{
    if (err)
        log_warn("bus", "an invalidation that another gateway began could not be finished: %s",
                 why ? why : err_name(err));
}

static bool under_way(const struct bus *bus, struct span tombstone)
{
    LIST_FOREACH (n, &bus->finishes) {
        const struct finish *f = LIST_ENTRY(n, struct finish, node);
        if (span_eq(span_make(f->name, f->name_len), tombstone))
            return true;
    }
    return false;
}

/* Twice does no harm, but a large one may take longer than it is until the next look. */
static void finish_one(void *ctx, struct span element)
{
    struct bus *bus = ctx;
    struct buf id = {0};
    if (answer_field(element, "id", &id) && !under_way(bus, buf_view(&id)))
        pending_finish(bus, buf_view(&id), false, on_finished, NULL);
    buf_free(&id);
}

static void on_list(void *arg, int err, const char *why, struct span text)
{
    struct bus *bus = arg;
    bus->sweeping = false;
    if (!err)
        answer_each(text, "pending", finish_one, bus);
}

void pending_look(struct bus *bus)
{
    const struct bus_store *store = &bus->options.store;
    char most[16];
    snprintf(most, sizeof(most), "%d", LOOK_MOST);
    const struct span args[] = {span_of(most)};
    bus->sweep_due_us = bus_now(bus) + look_us;
    if (bus->sweeping || !bus->up)
        return;
    bus->sweeping = true;
    store->call(store->ctx, "sluice_pending", args, 1, on_list, bus);
}
