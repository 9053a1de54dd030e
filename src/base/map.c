/*
 * Open addressing with linear probing. Taking an entry out moves later ones of its run back, so
 * that there are no tombstones and a table that sees many names come and go does not grow or slow
 * down.
 */
#include "base/map.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/siphash.h"

#include <stdlib.h>

enum { FIRST_SLOTS = 8 };

struct slot {
    uint64_t hash;
    struct span key; /* borrowed */
    void *value;     /* borrowed; NULL marks an empty slot */
};

struct map {
    struct slot *slots; /* owned; a power of two of them, or NULL before the first put */
    size_t slot_count;
    size_t size;
};

static uint8_t hash_key[16];

void map_seed(const uint8_t key[16])
{
    memcpy(hash_key, key, sizeof(hash_key));
}

uint64_t map_hash(struct span key)
{
    return siphash13(hash_key, key) | 1;
}

struct map *map_create(void)
{
    return mem_zalloc(sizeof(struct map));
}

void map_destroy(struct map **map)
{
    if (!*map)
        return;
    mem_free((*map)->slots);
    mem_free(*map);
    *map = NULL;
}

size_t map_size(const struct map *map)
{
    return map->size;
}

static bool slot_holds(const struct slot *slot, uint64_t hash, struct span key)
{
    return slot->hash == hash && span_eq(slot->key, key);
}

/* The slot that holds the key, or the empty one where it belongs. There is always an empty one. */
static size_t find(const struct map *map, uint64_t hash, struct span key)
{
    size_t mask = map->slot_count - 1;
    size_t i = hash & mask;
    while (map->slots[i].value && !slot_holds(&map->slots[i], hash, key))
        i = (i + 1) & mask;
    return i;
}

void *map_get(const struct map *map, struct span key)
{
    if (map->size == 0)
        return NULL;
    return map->slots[find(map, siphash13(hash_key, key), key)].value;
}

static void place(struct map *map, const struct slot *entry)
{
    size_t mask = map->slot_count - 1;
    size_t i = entry->hash & mask;
    while (map->slots[i].value)
        i = (i + 1) & mask;
    map->slots[i] = *entry;
}

static void grow(struct map *map)
{
    struct slot *old = map->slots;
    size_t old_count = map->slot_count;
    map->slot_count = old_count ? old_count * 2 : FIRST_SLOTS;
    map->slots = mem_zalloc(map->slot_count * sizeof(struct slot));
    for (size_t i = 0; i < old_count; i++)
        if (old[i].value)
            place(map, &old[i]);
    mem_free(old);
}

void map_put(struct map *map, struct span key, void *value)
{
    if ((map->size + 1) * 4 > map->slot_count * 3)
        grow(map);
    uint64_t hash = siphash13(hash_key, key);
    struct slot *slot = &map->slots[find(map, hash, key)];
    if (slot->value || !value) {
        /* Going on would leave an entry that nobody can take out, behind a key that is freed. */
        log_error("base", "map_put: %s", value ? "the key is in the map already" : "value is NULL");
        abort();
    }
    *slot = (struct slot){.hash = hash, .key = key, .value = value};
    map->size++;
}

/* Closes the hole: what probed past it moves into it, until the run ends. */
static void close_hole(struct map *map, size_t hole)
{
    size_t mask = map->slot_count - 1;
    for (size_t i = (hole + 1) & mask; map->slots[i].value; i = (i + 1) & mask) {
        size_t home = map->slots[i].hash & mask;
        if (((i - home) & mask) < ((i - hole) & mask))
            continue; /* its home lies behind the hole: it would not be found there */
        map->slots[hole] = map->slots[i];
        hole = i;
    }
    map->slots[hole] = (struct slot){0};
}

void *map_del(struct map *map, struct span key)
{
    if (map->size == 0)
        return NULL;
    size_t i = find(map, siphash13(hash_key, key), key);
    void *value = map->slots[i].value;
    if (!value)
        return NULL;
    close_hole(map, i);
    map->size--;
    return value;
}

void *map_next(const struct map *map, size_t *cursor)
{
    while (*cursor < map->slot_count) {
        void *value = map->slots[(*cursor)++].value;
        if (value)
            return value;
    }
    return NULL;
}
