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

/* Its own invalidations a peer has applied before it announced them. */
static bool is_origin(const struct job *j, const char *name)
{
#ifdef SLUICE_MUTANT_await_origin
    return false;
#endif
    return strcmp(name, j->origin) == 0;
}

static void set_room(struct job *j, size_t room)
{
    j->bus->room += room - j->room;
    j->room = room;
}

bool await_admit(struct bus *bus, struct job *j)
{
    size_t room = bus->roll.count ? bus->roll.count : 1;
    if (bus->room + room > AWAITED_MOST)
        return false;
    set_room(j, room);
    return true;
}

static void add(struct job *j, size_t at, const struct living *l)
{
    struct awaited *w = &j->awaited[at];
    *w = (struct awaited){.session = l->session, .opened = l->opened, .lease_us = l->lease_us};
    snprintf(w->name, sizeof(w->name), "%s", l->name);
    w->acked = l->acked >= j->id || peers_acked(j->bus, l->name, l->session, j->called_us) >= j->id;
    j->unacked += !w->acked;
}

static void add_roll(struct job *j, const struct roll *roll)
{
    set_room(j, roll->count);
    if (roll->count)
        j->awaited = mem_alloc(roll->count * sizeof(*j->awaited));
    for (size_t i = 0; i < roll->count; i++)
        if (roll->list[i].lease_us && !is_origin(j, roll->list[i].name))
            add(j, j->awaited_count++, &roll->list[i]);
}

bool await_is_whole(const struct job *j, uint64_t now)
{
#ifdef SLUICE_MUTANT_early_answer
    return now >= j->settled_us;
#endif
    return now >= j->settled_us && !j->joins && j->unacked == 0;
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

/* Beyond AWAITED_MOST, or when the gateway is being drained, nobody is waited for. While Redis
 * settles it may not know all who live, nor do we where our list is not the one it means: who is on
 * the list then is waited for, too. */
void await_begin(struct job *j, struct span live)
{
    struct bus *bus = j->bus;
    uint64_t now = bus_now(bus), settling = answer_number(live, "settling");
    static const struct roll nobody = {.count = 0};
    j->doubt = !roll_take(&bus->roll, live, now);
    add_roll(j, j->doubt ? &nobody : &bus->roll);
    j->waits = true;
    j->deadline_us = now + j->request->timeout_ms * ms_us;
    j->settled_us = now + settling * ms_us;
    j->joins = j->doubt || settling;
    if (bus->hurried || bus->room > AWAITED_MOST)
        invalidate_answer(j);
    else
        look(j);
}

void await_hurry(struct bus *bus)
{
    bus->hurried = true;
    LIST_FOREACH_SAFE (n, &bus->jobs) {
        struct job *j = LIST_ENTRY(n, struct job, node);
        if (j->waits)
            invalidate_answer(j);
    }
}

/* What is heard */

void await_heard(struct bus *bus, const char *name, uint64_t session, uint64_t id)
{
    roll_heard(&bus->roll, name, session, bus_now(bus));
    LIST_FOREACH_SAFE (n, &bus->jobs) {
        struct job *j = LIST_ENTRY(n, struct job, node);
        struct awaited *w = j->waits ? find(j, name) : NULL;
        if (!w || w->acked)
            continue;
        if (w->session && w->session != session) {
            j->doubt = true;
            continue;
        }
        w->acked = id >= j->id;
        w->lease_us = bus_now(bus) + lease_us; /* each word renews it */
        j->unacked -= w->acked;
        if (j->unacked == 0)
            look(j);
    }
}

void await_closed(struct bus *bus, const char *name, uint64_t opened)
{
    LIST_FOREACH_SAFE (n, &bus->jobs) {
        struct job *j = LIST_ENTRY(n, struct job, node);
        struct awaited *w = j->waits ? find(j, name) : NULL;
        if (!w || w->acked)
            continue;
        if (w->opened && w->opened != opened) {
            j->doubt = true;
            continue;
        }
        size_t after = (size_t)(j->awaited + j->awaited_count - (w + 1));
        memmove(w, w + 1, after * sizeof(*w));
        j->awaited_count--;
        j->unacked--;
        look(j);
    }
}

void await_back(struct bus *bus)
{
    roll_back(&bus->roll, bus_now(bus));
    LIST_FOREACH (n, &bus->jobs) {
        struct job *j = LIST_ENTRY(n, struct job, node);
        j->doubt = j->waits;
        for (size_t i = 0; i < j->awaited_count; i++)
            j->awaited[i].lease_us = bus_now(bus) + lease_us;
    }
}

/* The store's list */

struct listing {
    struct bus *bus;
    uint64_t now;
};

static void note_listed(struct job *j, struct awaited *w, const struct living *l)
{
    bool acked = w->acked || l->acked >= j->id;
    j->unacked -= acked - w->acked;
    w->acked = acked;
    w->session = l->session;
    w->opened = l->opened;
    w->lease_us = l->lease_us;
}

/* One that nobody knew when it was announced. Where there is no room the wait does not end well. */
static void join(struct job *j, const struct living *l)
{
    size_t count = j->awaited_count + j->joined;
    if (!l->lease_us || is_origin(j, l->name))
        return;
    if (count == j->room) {
        size_t more = count ? count : 16;
        if (j->bus->room + more > AWAITED_MOST)
            return;
        set_room(j, count + more);
        j->awaited = mem_realloc(j->awaited, j->room * sizeof(*j->awaited));
    }
    add(j, count, l);
    j->joined++;
}

static void read_listed(void *ctx, struct span peer)
{
    const struct listing *list = ctx;
    struct buf name = {0};
    if (!answer_field(peer, "name", &name) || name.len > PEER_NAME) {
        buf_free(&name);
        return;
    }
    uint64_t left = answer_number(peer, "lease") * ms_us;
    struct buf session = {0};
    (void)answer_field(peer, "session", &session);
    struct living l = {.session = bus_session(buf_view(&session)),
                       .opened = answer_id(peer, "opened"),
                       .lease_us = left ? list->now + left : 0,
                       .acked = answer_id(peer, "acked")};
    buf_free(&session);
    snprintf(l.name, sizeof(l.name), "%s", buf_cstr(&name));
    roll_listed(&list->bus->roll, l.name, l.lease_us);
    LIST_FOREACH (n, &list->bus->jobs) {
        struct job *j = LIST_ENTRY(n, struct job, node);
        struct awaited *w = j->asked ? find(j, l.name) : NULL;
        if (w)
            note_listed(j, w, &l);
        else if (j->asked && j->joins)
            join(j, &l);
    }
    buf_free(&name);
}

static void end_joining(struct job *j)
{
    if (j->joined)
        qsort(j->awaited, j->awaited_count + j->joined, sizeof(*j->awaited), by_name);
    j->awaited_count += j->joined;
    j->joined = 0;
    j->joins = j->joins && !j->settled;
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
    j->unacked -= j->awaited_count - kept;
    j->awaited_count = kept;
}

/* Nothing is known: those whose leases may have lapsed are asked for again. */
static void put_off(struct job *j, uint64_t now)
{
    for (size_t i = 0; i < j->awaited_count; i++)
        if (j->awaited[i].lease_us <= now)
            j->awaited[i].lease_us = now + again_us;
    if (j->joins && j->settled_us <= now)
        j->settled_us = now + again_us;
}

static void on_listed(void *arg, int err, const char *why, struct span text)
{
    struct bus *bus = arg;
    uint64_t now = bus_now(bus);
    bus->listing = false;
    struct listing list = {bus, now};
    if (!err) {
        answer_each(text, "peers", read_listed, &list);
        roll_look_done(&bus->roll, now);
    }
    LIST_FOREACH_SAFE (n, &bus->jobs) {
        struct job *j = LIST_ENTRY(n, struct job, node);
        if (!j->asked)
            continue;
        j->asked = false;
        if (err) {
            put_off(j, now);
        } else {
            end_joining(j);
            drop_lapsed(j, now);
        }
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
    j->settled = j->settled_us <= now;
    j->asked = j->last || j->doubt || (j->joins && j->settled);
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
