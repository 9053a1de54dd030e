#include "hub/latest.h"

#include "base/err.h"
#include "base/mem.h"

#include <string.h>

struct kept {
    uint64_t channel;
    struct frame *frame; /* counted */
};

/* A stream has a hundred channels or so: looked through, not looked up. */
struct latest {
    struct kept *items; /* owned */
    uint32_t count, cap;
};

static void remove_at(struct latest *l, uint32_t i)
{
    frame_unref(l->items[i].frame);
    l->count--;
    memmove(&l->items[i], &l->items[i + 1], (l->count - i) * sizeof(*l->items));
}

static bool remove_channel(struct latest *l, uint64_t channel)
{
    for (uint32_t i = 0; i < l->count; i++)
        if (l->items[i].channel == channel) {
            remove_at(l, i);
            return true;
        }
    return false;
}

int latest_put(struct latest **pl, struct frame *f, uint64_t channel, uint32_t most)
{
    struct latest *l = *pl;
    bool replaced = l && remove_channel(l, channel);
    if (l ? l->count >= most : !most)
        return ERR_FULL;
    if (!l)
        l = *pl = mem_zalloc(sizeof(*l));
    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 2;
        l->items = mem_realloc(l->items, l->cap * sizeof(*l->items));
    }
    l->items[l->count++] = (struct kept){channel, frame_ref(f)};
    return replaced;
}

struct frame *latest_take(struct latest **l)
{
    struct frame *first = frame_ref((*l)->items[0].frame);
    remove_at(*l, 0);
    if (!(*l)->count)
        latest_destroy(l);
    return first;
}

void latest_destroy(struct latest **pl)
{
    struct latest *l = *pl;
    if (!l)
        return;
    while (l->count)
        frame_unref(l->items[--l->count].frame);
    mem_free(l->items);
    mem_free(l);
    *pl = NULL;
}
