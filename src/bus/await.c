/*
 * Waiting: an announcement is confirmed when each peer that lived then has confirmed it or lives no
 * more. Peers renew their leases with words of which some may not be heard here, so only the
 * store's list says that a lease has lapsed, and it is looked at before anybody is left out.
 */
#include "base/mem.h"
#include "bus/bus_private.h"

#include <stdio.h>
#include <stdlib.h>

static const uint64_t ms_us = 1000, again_us = UINT64_C(1000000);

/* Who is waited for */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct awaited *)a)->name, ((const struct awaited *)b)->name);
}

static struct awaited *find(const struct job *j, const char *name)
{
    struct awaited key = {.lease_us = 0};
    snprintf(key.name, sizeof(key.name), "%s", name);
    return j->awaited_count ? bsearch(&key, j->awaited, j->awaited_count, sizeof(key), by_name)
                            : NULL;
}

static struct awaited *add(struct job *j)
{
    if (j->awaited_count == j->awaited_room) {
        j->awaited_room = j->awaited_room ? 2 * j->awaited_room : 16;
        j->awaited = mem_realloc(j->awaited, j->awaited_room * sizeof(*j->awaited));
    }
    return &j->awaited[j->awaited_count++];
}

/* Its own invalidations a peer has applied before it announced them. */
static bool is_origin(const struct job *j, const char *name)
{
#ifdef SLUICE_MUTANT_await_origin
    return false;
#endif
    return strcmp(name, j->origin) == 0;
}

static void await_peer(void *ctx, struct span peer)
{
    struct job *j = ctx;
    struct buf name = {0};
    if (answer_field(peer, "name", &name) && name.len <= PEER_NAME &&
        !is_origin(j, buf_cstr(&name))) {
        struct awaited *w = add(j);
        *w = (struct awaited){.lease_us = bus_now(j->bus) + answer_number(peer, "lease") * ms_us};
        snprintf(w->name, sizeof(w->name), "%s", buf_cstr(&name));
        w->acked = answer_id(peer, "acked") >= j->id ||
                   peers_acked(j->bus, w->name, j->called_us) >= j->id;
    }
    buf_free(&name);
}

static bool all_acked(const struct job *j)
{
#ifdef SLUICE_MUTANT_early_answer
    return true;
#endif
    for (size_t i = 0; i < j->awaited_count; i++)
        if (!j->awaited[i].acked)
            return false;
    return true;
}

bool await_is_whole(const struct job *j, uint64_t now)
{
    return now >= j->settled_us && all_acked(j);
}

/* When it may be done without a further word: a lease may have lapsed, or Redis has settled. */
static uint64_t next_look(const struct job *j, uint64_t now)
{
    uint64_t due = j->deadline_us;
    if (j->settled_us > now && j->settled_us < due)
        due = j->settled_us;
    for (size_t i = 0; i < j->awaited_count; i++)
        if (!j->awaited[i].acked && j->awaited[i].lease_us < due)
            due = j->awaited[i].lease_us;
    return due;
}

static void look(struct job *j)
{
    uint64_t now = bus_now(j->bus);
    if (await_is_whole(j, now))
        invalidate_answer(j);
    else
        j->look_us = next_look(j, now);
}

void await_begin(struct job *j, struct span live)
{
    uint64_t now = bus_now(j->bus);
    answer_each(live, "live", await_peer, j);
    if (j->awaited_count)
        qsort(j->awaited, j->awaited_count, sizeof(*j->awaited), by_name);
    j->waits = true;
    j->deadline_us = now + j->request->timeout_ms * ms_us;
    j->settled_us = now + answer_number(live, "settling") * ms_us;
    look(j);
}

/* What is heard */

void await_heard(struct bus *bus, const char *name, uint64_t id)
{
    LIST_FOREACH_SAFE (n, &bus->jobs) {
        struct job *j = LIST_ENTRY(n, struct job, node);
        struct awaited *w = j->waits ? find(j, name) : NULL;
        if (!w || w->acked)
            continue;
        w->acked = id >= j->id;
        w->lease_us = bus_now(bus) + lease_us; /* each word renews it */
        if (w->acked)
            look(j);
    }
}

void await_closed(struct bus *bus, const char *name)
{
    LIST_FOREACH_SAFE (n, &bus->jobs) {
        struct job *j = LIST_ENTRY(n, struct job, node);
        struct awaited *w = j->waits ? find(j, name) : NULL;
        if (!w || w->acked)
            continue;
        size_t after = (size_t)(j->awaited + j->awaited_count - (w + 1));
        memmove(w, w + 1, after * sizeof(*w));
        j->awaited_count--;
        look(j);
    }
}

void await_back(struct bus *bus)
{
    LIST_FOREACH (n, &bus->jobs) {
        struct job *j = LIST_ENTRY(n, struct job, node);
        j->doubt = j->waits;
        for (size_t i = 0; i < j->awaited_count; i++)
            j->awaited[i].lease_us = bus_now(bus) + lease_us;
    }
}

/* The store's list */

static void note_listed(struct awaited *w, const struct job *j, struct span peer, uint64_t now)
{
    uint64_t lease = answer_number(peer, "lease") * ms_us;
    w->acked = w->acked || answer_id(peer, "acked") >= j->id;
    w->lease_us = lease ? now + lease : 0;
}

static void read_listed(void *ctx, struct span peer)
{
    struct bus *bus = ctx;
    struct buf name = {0};
    uint64_t now = bus_now(bus);
    if (answer_field(peer, "name", &name))
        LIST_FOREACH (n, &bus->jobs) {
            struct job *j = LIST_ENTRY(n, struct job, node);
            struct awaited *w = j->asked ? find(j, buf_cstr(&name)) : NULL;
            if (w)
                note_listed(w, j, peer, now);
        }
    buf_free(&name);
}

/* One whose lease has lapsed trusts its copies no more: it is neither. That a list which could not
 * be had, or an emptied Redis, does not know it is no proof while its lease may last. */
static void drop_lapsed(struct job *j, uint64_t now)
{
    size_t kept = 0;
#ifdef SLUICE_MUTANT_await_lapsed
    return;
#endif
    for (size_t i = 0; i < j->awaited_count; i++)
        if (j->awaited[i].acked || j->awaited[i].lease_us > now)
            j->awaited[kept++] = j->awaited[i];
    j->awaited_count = kept;
}

/* Nothing is known: those whose leases may have lapsed are asked for again. */
static void put_off(struct job *j, uint64_t now)
{
    for (size_t i = 0; i < j->awaited_count; i++)
        if (j->awaited[i].lease_us <= now)
            j->awaited[i].lease_us = now + again_us;
}

static void on_listed(void *arg, int err, const char *why, struct span text)
{
    struct bus *bus = arg;
    uint64_t now = bus_now(bus);
    bus->listing = false;
    if (!err)
        answer_each(text, "peers", read_listed, bus);
    LIST_FOREACH_SAFE (n, &bus->jobs) {
        struct job *j = LIST_ENTRY(n, struct job, node);
        if (!j->asked)
            continue;
        j->asked = false;
        if (err)
            put_off(j, now);
        else
            drop_lapsed(j, now);
        if (j->last)
            invalidate_answer(j);
        else
            look(j);
    }
}

/* Whether the list is wanted for it. */
static bool ask(struct job *j, uint64_t now)
{
    if (!j->doubt && j->look_us > now)
        return false;
    j->last = j->deadline_us <= now;
    j->asked = j->last || j->doubt;
    for (size_t i = 0; i < j->awaited_count && !j->asked; i++)
        j->asked = !j->awaited[i].acked && j->awaited[i].lease_us <= now;
    j->doubt = false;
    return j->asked;
}

uint64_t await_tick(struct bus *bus, uint64_t now)
{
    const struct bus_store *store = &bus->options.store;
    uint64_t due = 0;
    bool wanted = false;
    if (bus->listing) /* its answer is what all wait for; then it is time for the next */
        return 0;
    LIST_FOREACH_SAFE (n, &bus->jobs) {
        struct job *j = LIST_ENTRY(n, struct job, node);
        if (!j->waits)
            continue;
        if (ask(j, now)) {
            wanted = true;
            continue;
        }
        if (j->look_us <= now) {
            uint64_t before = bus->job_count;
            look(j);
            if (bus->job_count != before)
                continue;
        }
        due = due && due < j->look_us ? due : j->look_us;
    }
    if (!wanted)
        return due;
    bus->listing = true;
    store->call(store->ctx, "sluice_peers", NULL, 0, on_listed, bus);
    return bus->listing ? due : now;
}
