#include "broker/memory_keys.h"

#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

enum { PRUNED_AT_ONCE = 2 }; /* by each put: it cannot grow while the old ones have ended */

struct entry {
    struct list node; /* in memory_keys.by_age */
    uint64_t id, end;
    size_t len;
    char name[]; /* <channel>\n<key>: no channel has a line break in its name */
};

struct memory_keys {
    struct map *entries; /* owned; values are struct entry, owned */
    struct list by_age;
    uint64_t bytes, most;
};

struct memory_keys *memory_keys_create(uint64_t bytes)
{
    struct memory_keys *keys = mem_zalloc(sizeof(*keys));
    keys->entries = map_create();
    list_init(&keys->by_age);
    keys->most = bytes;
    return keys;
}

static void forget(struct memory_keys *keys, struct entry *e)
{
    map_del(keys->entries, span_make(e->name, e->len));
    list_remove(&e->node);
    keys->bytes -= sizeof(*e) + e->len;
    mem_free(e);
}

static struct entry *oldest(const struct memory_keys *keys)
{
    return LIST_ENTRY(list_first(&keys->by_age), struct entry, node);
}

void memory_keys_destroy(struct memory_keys **keys)
{
    if (!*keys)
        return;
    while (!list_empty(&(*keys)->by_age))
        forget(*keys, oldest(*keys));
    map_destroy(&(*keys)->entries);
    mem_free(*keys);
    *keys = NULL;
}

static struct entry *entry_create(struct span channel, struct span key)
{
    size_t len = channel.len + 1 + key.len;
    struct entry *e = mem_zalloc(sizeof(*e) + len);
    e->len = len;
    memcpy(e->name, channel.ptr, channel.len);
    e->name[channel.len] = '\n';
    memcpy(e->name + channel.len + 1, key.ptr, key.len);
    return e;
}

uint64_t memory_keys_find(const struct memory_keys *keys, struct span channel, struct span key,
                          uint64_t now)
{
    struct entry *like = entry_create(channel, key);
    const struct entry *e = map_get(keys->entries, span_make(like->name, like->len));
    mem_free(like);
    return e && e->end > now ? e->id : 0;
}

static void make_room(struct memory_keys *keys, uint64_t now)
{
    for (int i = 0; i < PRUNED_AT_ONCE && !list_empty(&keys->by_age); i++)
        if (oldest(keys)->end <= now)
            forget(keys, oldest(keys));
    while (!list_empty(&keys->by_age) &&
           (map_size(keys->entries) > MEMORY_KEYS || keys->bytes > keys->most))
        forget(keys, oldest(keys));
}

void memory_keys_put(struct memory_keys *keys, struct span channel, struct span key, uint64_t id,
                     uint64_t now, uint64_t end)
{
    struct entry *e = entry_create(channel, key);
    struct entry *ended = map_get(keys->entries, span_make(e->name, e->len));
    if (ended)
        forget(keys, ended);
    e->id = id;
    e->end = end;
    map_put(keys->entries, span_make(e->name, e->len), e);
    list_append(&keys->by_age, &e->node);
    keys->bytes += sizeof(*e) + e->len;
    make_room(keys, now);
}
