/*
 * Who lives. With each announcement the store says who does, but its list costs as much as there
 * are peers, at each of many waits at once; so it is told which list is here, and answers with
 * another one only where somebody lives who is not on it. Those on it who have died since are seen
 * to be dead by their leases, which are kept here by what peers are heard to say, and proved dead
 * by the store's list before they are left out.
 */
#include "base/mem.h"
#include "bus/bus_private.h"

#include <stdio.h>
#include <stdlib.h>

struct reading {
    struct roll *roll;
    uint64_t now;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct living *)a)->name, ((const struct living *)b)->name);
}

static struct living *find(const struct roll *roll, const char *name)
{
    struct living key = {.lease_us = 0};
    snprintf(key.name, sizeof(key.name), "%s", name);
    return roll->count ? bsearch(&key, roll->list, roll->count, sizeof(key), by_name) : NULL;
}

static void read_living(void *ctx, struct span peer)
{
    struct reading *r = ctx;
    struct roll *roll = r->roll;
    struct buf name = {0};
    if (answer_field(peer, "name", &name) && name.len <= PEER_NAME) {
        struct buf session = {0};
        (void)answer_field(peer, "session", &session);
        if (roll->count == roll->room) {
            roll->room = roll->room ? 2 * roll->room : 16;
            roll->list = mem_realloc(roll->list, roll->room * sizeof(*roll->list));
        }
        struct living *l = &roll->list[roll->count++];
        *l = (struct living){.session = bus_session(buf_view(&session)),
                             .opened = answer_id(peer, "opened"),
                             .lease_us = r->now + answer_number(peer, "lease") * 1000,
                             .acked = answer_id(peer, "acked")};
        snprintf(l->name, sizeof(l->name), "%s", buf_cstr(&name));
        buf_free(&session);
    }
    buf_free(&name);
}

bool roll_take(struct roll *roll, struct span answer, uint64_t now)
{
    struct roll fresh = {.count = 0};
    struct reading r = {&fresh, now};
    struct buf version = {0};
    (void)answer_field(answer, "roll", &version);
    bool same = !answer_each(answer, "live", read_living, &r); /* it is null */
    bool ours = strcmp(roll->version, buf_cstr(&version)) == 0;
    if (!same) {
        if (fresh.count)
            qsort(fresh.list, fresh.count, sizeof(*fresh.list), by_name);
        if (version.len < ROLL_TEXT)
            snprintf(fresh.version, sizeof(fresh.version), "%s", buf_cstr(&version));
        mem_free(roll->list);
        *roll = fresh;
    }
    buf_free(&version);
    return !same || ours;
}

void roll_heard(struct roll *roll, const char *name, uint64_t session, uint64_t now)
{
    struct living *l = find(roll, name);
    if (l && (!l->session || l->session == session))
        l->lease_us = now + lease_us;
}

void roll_listed(struct roll *roll, const char *name, uint64_t until)
{
    struct living *l = find(roll, name);
    if (l)
        l->lease_us = until;
}

/* One that lives again is on a roll of another version. */
void roll_look_done(struct roll *roll, uint64_t now)
{
    for (size_t i = 0; i < roll->count; i++)
        if (roll->list[i].lease_us <= now)
            roll->list[i].lease_us = 0;
}

void roll_back(struct roll *roll, uint64_t now)
{
    for (size_t i = 0; i < roll->count; i++)
        if (roll->list[i].lease_us)
            roll->list[i].lease_us = now + lease_us;
}

void roll_end(struct roll *roll)
{
    mem_free(roll->list);
    *roll = (struct roll){0};
}
