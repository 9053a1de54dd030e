/*
 * A hash map from bytes to a pointer. Keys are borrowed: they usually point into the value. The
 * hash is SipHash-1-3 with a key of this process, since names come from outsiders. Source: Aumasson
 * and Bernstein, "SipHash: a fast short-input PRF" (2012). Not for sharing between threads.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/span.h"

#include <stddef.h>
#include <stdint.h>

struct map; /* opaque */

struct map *map_create(void);
/* map_destroy: values stay the caller's. Nulls *map. */
void map_destroy(struct map **map);

/* map_get: the value, or NULL. */
void *map_get(const struct map *map, struct span key);
/* map_put: the key must not be in the map yet; it must live as long as the entry. value != NULL. */
void map_put(struct map *map, struct span key, void *value);
/* map_del: takes the entry out and returns its value, or NULL. */
void *map_del(struct map *map, struct span key);
size_t map_size(const struct map *map);

/* map_hash: a hash of the key that strangers cannot steer; never 0. */
uint64_t map_hash(struct span key);

/*
 * map_next: walks all values in no order; *cursor begins at 0; NULL at the end. Between two calls
 * nothing may be put in or taken out.
 */
void *map_next(const struct map *map, size_t *cursor);

/* map_seed: sets the process's hash key (16 bytes); call once before any map, from main. */
void map_seed(const uint8_t key[16]);

#endif
