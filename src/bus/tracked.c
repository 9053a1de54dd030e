#include "bus/tracked.h"

#include "base/mem.h"

static struct span name_of(const struct tracked_key *k)
{
    return span_make(k->name, k->len);
}

static struct tracked_key *key_at(struct list *node)
{
    return LIST_ENTRY(node, struct tracked_key, node);
}

void tracked_init(struct tracked *t)
{
    *t = (struct tracked){.by_name = map_create()};
    list_init(&t->keys);
}

static void take_out(struct tracked *t, struct tracked_key *k)
{
    list_remove(&k->node);
    map_del(t->by_name, name_of(k));
    t->bytes -= k->len;
}

static void clear(struct tracked *t)
{
    for (struct list *n; (n = list_first(&t->keys));) {
        take_out(t, key_at(n));
        mem_free(key_at(n));
    }
}

void tracked_fini(struct tracked *t)
{
    clear(t);
    map_destroy(&t->by_name);
}

static void put_in(struct tracked *t, struct tracked_key *k, struct list *before)
{
    list_append(before, &k->node);
    map_put(t->by_name, name_of(k), k);
    t->bytes += k->len;
}

void tracked_add(struct tracked *t, struct span key, uint64_t mark, bool later)
{
    struct tracked_key *k = map_get(t->by_name, key);
    if (k && later) {
        k->mark = mark;
        list_remove(&k->node);
        list_append(&t->keys, &k->node);
    }
    if (k)
        return;
    if (map_size(t->by_name) >= TRACKED_KEYS || t->bytes + key.len > TRACKED_BYTES) {
        tracked_doubt(t, "overflow", mark, later);
        return;
    }
    k = mem_zalloc(sizeof(*k) + key.len);
    k->mark = mark;
    k->len = key.len;
    memcpy(k->name, key.ptr, key.len);
    put_in(t, k, &t->keys);
}

void tracked_doubt(struct tracked *t, const char *why, uint64_t mark, bool later)
{
    t->doubt_mark = later ? mark : tracked_oldest(t, mark);
    t->doubt = why;
    clear(t);
}

const char *tracked_take_doubt(struct tracked *t)
{
    const char *why = t->doubt;
    t->doubt = NULL;
    clear(t);
    return why;
}

void tracked_mark_all(struct tracked *t, uint64_t mark)
{
    t->doubt_mark = mark;
    LIST_FOREACH (n, &t->keys)
        key_at(n)->mark = mark;
}

void tracked_forget(struct tracked *t, uint64_t mark)
{
    if (t->doubt && t->doubt_mark <= mark)
        t->doubt = NULL;
    for (struct list *n; (n = list_first(&t->keys)) && key_at(n)->mark <= mark;) {
        take_out(t, key_at(n));
        mem_free(key_at(n));
    }
}

uint64_t tracked_oldest(const struct tracked *t, uint64_t none)
{
    struct list *first = list_first(&t->keys);
    uint64_t oldest = first ? key_at(first)->mark : none;
    return t->doubt && (!first || t->doubt_mark < oldest) ? t->doubt_mark : oldest;
}

size_t tracked_take(struct tracked *t, struct list *batch, size_t most, size_t most_bytes)
{
    size_t count = 0, bytes = 0;
    for (struct list *n; count < most && bytes < most_bytes && (n = list_first(&t->keys));) {
        struct tracked_key *k = key_at(n);
        take_out(t, k);
        list_append(batch, &k->node);
        bytes += k->len;
        count++;
    }
    return count;
}

void tracked_put_back(struct tracked *t, struct list *batch, uint64_t mark)
{
    while (!list_empty(batch)) {
        struct tracked_key *k = key_at(batch->prev);
        struct tracked_key *newer = map_get(t->by_name, name_of(k));
        list_remove(&k->node);
        k->mark = mark;
        if (newer) {
            take_out(t, newer);
            mem_free(newer);
        }
        put_in(t, k, t->keys.next);
    }
}

void tracked_free_batch(struct list *batch)
{
    for (struct list *n; (n = list_first(batch));) {
        list_remove(n);
        mem_free(key_at(n));
    }
}
