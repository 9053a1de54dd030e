#include "hub/history.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/rising.h"

#include <assert.h>

enum { ENTRY_BYTES = 48 }; /* of a ring entry and its frame's head, for the budget */

struct histories {
    struct map *names;       /* values owned */
    struct list all;         /* by `last`, the oldest first */
    struct list ringed;      /* by use, the longest idle first */
    struct history *touched; /* the one that was put between others last; NULL */
    struct list *walked;     /* the one that the walk gave last; the list's head: it begins */
    uint64_t bytes, budget;
};

struct histories *histories_create(uint64_t budget)
{
    struct histories *all = mem_zalloc(sizeof(*all));
    all->names = map_create();
    all->budget = budget;
    list_init(&all->all);
    list_init(&all->ringed);
    all->walked = &all->all;
    return all;
}

/* Rings */

static struct ring_entry *ring_at(const struct ring *r, uint32_t i)
{
    return &r->entries[(r->head + i) & (r->cap - 1)];
}

static uint64_t entry_bytes(const struct ring_entry *e)
{
    uint64_t bytes = ENTRY_BYTES;
    for (int form = 0; form < 2; form++)
        bytes += e->forms[form] ? e->forms[form]->len : 0;
    return bytes;
}

static void ring_grow(struct ring *r, uint32_t cap)
{
    struct ring_entry *entries = mem_alloc(cap * sizeof(*entries));
    for (uint32_t i = 0; i < r->count; i++)
        entries[i] = *ring_at(r, i);
    mem_free(r->entries);
    r->entries = entries;
    r->cap = cap;
    r->head = 0;
}

static void ring_append(struct histories *all, struct ring *r, const struct ring_entry *e)
{
    if (r->count == r->cap)
        ring_grow(r, r->cap ? r->cap * 2 : 4);
    *ring_at(r, r->count++) = *e;
    uint64_t bytes = entry_bytes(e);
    r->bytes += bytes;
    all->bytes += bytes;
}

static void ring_drop_first(struct histories *all, struct ring *r)
{
    struct ring_entry *e = ring_at(r, 0);
    uint64_t bytes = entry_bytes(e);
    r->bytes -= bytes;
    all->bytes -= bytes;
    frame_unref(e->forms[0]);
    frame_unref(e->forms[1]);
    r->head = (r->head + 1) & (r->cap - 1);
    r->count--;
}

static void ring_clear(struct histories *all, struct ring *r)
{
    while (r->count)
        ring_drop_first(all, r);
    mem_free(r->entries);
    *r = (struct ring){0};
}

static uint64_t id_at(const void *r, size_t i)
{
    return ring_at(r, (uint32_t)i)->id;
}

/* The index of the first entry above `after`. */
static uint32_t ring_above(const struct ring *r, uint64_t after)
{
    return (uint32_t)rising_up_to(r->count, id_at, r, after);
}

/* The table */

struct history *histories_find(const struct histories *all, struct span channel)
{
    return map_get(all->names, channel);
}

struct history *histories_add(struct histories *all, struct span channel, uint64_t known)
{
    struct history *h = mem_zalloc(sizeof(*h) + channel.len + 1);
    h->known = h->floor = known;
    h->hash = map_hash(channel);
    h->name_len = (uint32_t)channel.len;
    memcpy(h->name, channel.ptr, channel.len);
    map_put(all->names, history_name(h), h);
    /* In front: nothing is known of its last message. */
    list_append(all->all.next, &h->node);
    return h;
}

static void history_free(struct histories *all, struct history *h)
{
    ring_clear(all, &h->ring);
    ring_clear(all, &h->fill);
    list_remove(&h->node);
    list_remove(&h->ringed);
    list_remove(&h->want);
    mem_free(h);
}

/* Out of its place. */
static void displace(struct histories *all, struct history *h)
{
    if (all->touched == h)
        all->touched = NULL;
    if (all->walked == &h->node)
        all->walked = h->node.prev;
    list_remove(&h->node);
}

void histories_remove(struct histories *all, struct history *h)
{
    map_del(all->names, history_name(h));
    displace(all, h);
    history_free(all, h);
}

void histories_destroy(struct histories **all)
{
    struct histories *a = *all;
    if (!a)
        return;
    size_t cursor = 0;
    for (struct history *h; (h = map_next(a->names, &cursor));)
        history_free(a, h);
    map_destroy(&a->names);
    mem_free(a);
    *all = NULL;
}

struct history *histories_before(const struct histories *all, const struct history *h)
{
    return h->node.prev == &all->all ? NULL : LIST_ENTRY(h->node.prev, struct history, node);
}

struct history *histories_latest(const struct histories *all)
{
    return list_empty(&all->all) ? NULL : LIST_ENTRY(all->all.prev, struct history, node);
}

uint64_t histories_bytes(const struct histories *all)
{
    return all->bytes;
}

static uint64_t last_of(struct list *node)
{
    return LIST_ENTRY(node, struct history, node)->last;
}

struct history *histories_walk(struct histories *all, uint64_t upto)
{
    struct list *next = all->walked->next;
    bool over = next == &all->all || last_of(next) > upto;
    all->walked = over ? &all->all : next;
    return over ? NULL : LIST_ENTRY(next, struct history, node);
}

/* The node behind which one with `last` belongs. What the index tells comes in rising order too,
 * but from before much that is known: then it goes on where the one before it went. */
static struct list *place_of(struct histories *all, uint64_t last)
{
    struct list *head = &all->all, *at = head->prev;
    if (at == head || last_of(at) <= last)
        return at;
    if (all->touched)
        at = &all->touched->node;
    while (at != head && last_of(at) > last)
        at = at->prev;
    while (at->next != head && last_of(at->next) <= last)
        at = at->next;
    return at;
}

void histories_touch(struct histories *all, struct history *h, uint64_t last)
{
    if (last <= h->last)
        return;
    h->last = last;
    displace(all, h);
    struct list *at = place_of(all, last);
    if (at != all->all.prev)
        all->touched = h;
    list_append(at->next, &h->node);
}

/* What a ring has */

void history_reset(struct histories *all, struct history *h, uint64_t known)
{
    ring_clear(all, &h->ring);
    ring_clear(all, &h->fill);
    list_remove(&h->ringed);
    h->fill_after = h->fill_upto = h->back_count = 0;
    h->trimmed = 0;
    h->known = h->floor = known;
}

static void let_go_first(struct histories *all, struct history *h)
{
    h->floor = ring_at(&h->ring, 0)->id;
    ring_drop_first(all, &h->ring);
}

/* It is the one in use last, if it has anything. */
static void used(struct histories *all, struct history *h)
{
    list_remove(&h->ringed);
    if (h->ring.count || h->fill.count)
        list_append(&all->ringed, &h->ringed);
}

static struct ring_entry counted(const struct ring_entry *e)
{
    struct ring_entry own = *e;
    for (int form = 0; form < 2; form++)
        if (own.forms[form])
            frame_ref(own.forms[form]);
    return own;
}

void history_push(struct histories *all, struct history *h, const struct ring_entry *e,
                  uint64_t most, uint64_t oldest)
{
    assert(e->id > h->known);
    const struct ring_entry own = counted(e);
    ring_append(all, &h->ring, &own);
    h->known = e->id;
    histories_touch(all, h, e->id);
    while (h->ring.count && (h->ring.count > most || ring_at(&h->ring, 0)->id < oldest))
        let_go_first(all, h);
    used(all, h);
}

void history_fill_begin(struct histories *all, struct history *h, uint64_t after)
{
    ring_clear(all, &h->fill);
    h->fill_after = h->fill_upto = h->fill_began = after;
}

void history_fill(struct histories *all, struct history *h, const struct ring_entry *e)
{
    assert(e->id > h->fill_upto);
    const struct ring_entry own = counted(e);
    ring_append(all, &h->fill, &own);
    h->fill_upto = e->id;
}

/* The ring's entries behind the fill's: now it is all one. */
static void join(struct histories *all, struct history *h)
{
    struct ring old = h->ring;
    h->ring = h->fill;
    h->fill = (struct ring){0};
    all->bytes -= old.bytes;
    for (uint32_t i = ring_above(&old, h->fill_upto); i < old.count; i++)
        ring_append(all, &h->ring, ring_at(&old, i));
    for (uint32_t i = 0; i < old.count && ring_at(&old, i)->id <= h->fill_upto; i++) {
        frame_unref(ring_at(&old, i)->forms[0]);
        frame_unref(ring_at(&old, i)->forms[1]);
    }
    mem_free(old.entries);
    h->floor = h->fill_after;
    h->fill_after = h->fill_upto = h->fill_began = 0;
}

void history_fill_end(struct histories *all, struct history *h, uint64_t upto)
{
    if (upto > h->fill_upto)
        h->fill_upto = upto;
    if (h->fill_upto >= h->floor && h->fill_after < h->floor && h->fill_after == h->fill_began &&
        h->fill.bytes <= all->budget / 2)
        join(all, h);
    used(all, h);
}

void history_fill_drop(struct histories *all, struct history *h, uint64_t upto)
{
    while (h->fill.count && ring_at(&h->fill, 0)->id <= upto)
        ring_drop_first(all, &h->fill);
    if (upto > h->fill_after && upto <= h->fill_upto)
        h->fill_after = upto;
}

static bool in_fill(const struct history *h, uint64_t after)
{
    return after >= h->fill_after && after < h->fill_upto;
}

bool history_covers(const struct history *h, uint64_t after)
{
    return after >= h->floor || in_fill(h, after);
}

struct ring_entry *history_next(struct history *h, uint64_t after, uint64_t *upto)
{
    const struct ring *r = &h->ring;
    *upto = UINT64_MAX;
    if (after < h->floor) {
        uint32_t i = ring_above(&h->fill, after);
        if (i < h->fill.count)
            return ring_at(&h->fill, i);
        if (h->fill_upto < h->floor) {
            *upto = h->fill_upto;
            return NULL;
        }
        after = h->fill_upto > h->floor ? h->fill_upto : h->floor;
    }
    uint32_t i = ring_above(r, after);
    return i < r->count ? ring_at(r, i) : NULL;
}

void history_set_wrapped(struct histories *all, struct history *h, struct ring_entry *e,
                         struct frame *f)
{
    bool filled = h->fill.entries && e >= h->fill.entries && e < h->fill.entries + h->fill.cap;
    struct ring *r = filled ? &h->fill : &h->ring;
    e->forms[1] = f;
    r->bytes += f->len;
    all->bytes += f->len;
}

bool history_whole(const struct history *h, uint64_t after)
{
    return h->floor <= after ||
           (h->fill_upto > h->fill_began && h->fill_upto >= h->floor && h->fill_began <= after);
}

uint64_t history_back(const struct history *h, uint64_t n)
{
    uint64_t in_ring = h->ring.count;
    if (n < in_ring)
        return ring_at(&h->ring, (uint32_t)(in_ring - n) - 1)->id;
    n -= in_ring;
    bool joined = h->fill.count && h->fill_upto >= h->floor;
    if (joined && n < h->fill.count)
        return ring_at(&h->fill, (uint32_t)(h->fill.count - n) - 1)->id;
    return joined ? h->fill_after : h->floor;
}

/* The fill, and all of the ring but of the only one: that keeps its newer half. */
static void let_go(struct histories *all, struct history *h, bool only)
{
    ring_clear(all, &h->fill);
    h->fill_after = h->fill_upto = h->fill_began = 0;
    if (all->bytes <= all->budget)
        return;
    uint32_t keep = only ? h->ring.count / 2 : 0;
    while (h->ring.count > keep)
        let_go_first(all, h);
    if (h->ring.count == 0) {
        ring_clear(all, &h->ring);
        h->floor = h->known;
    }
}

void histories_enforce(struct histories *all, uint64_t turn)
{
    LIST_FOREACH_SAFE (n, &all->ringed) {
        struct history *h = LIST_ENTRY(n, struct history, ringed);
        if (all->bytes <= all->budget)
            return;
        if (h->pin == turn)
            continue;
        let_go(all, h, all->ringed.prev == n);
        if (h->ring.count == 0)
            list_remove(&h->ringed);
    }
}
