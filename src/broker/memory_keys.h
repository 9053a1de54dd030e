/*
 * The idempotency keys of the memory broker: which message was the first with a key of its channel.
 * A key counts for a while; when there are too many of them, or too many bytes of them, the oldest
 * go first. Times are the dataset's microseconds. One thread.
 */
#ifndef BROKER_MEMORY_KEYS_H
#define BROKER_MEMORY_KEYS_H

#include "base/span.h"

#include <stdint.h>

enum { MEMORY_KEYS = 65536 }; /* the most that are remembered */

struct memory_keys; /* opaque */

/* memory_keys_create: `bytes`: the most that they take, names and all. */
struct memory_keys *memory_keys_create(uint64_t bytes);
void memory_keys_destroy(struct memory_keys **keys);

/* memory_keys_find: the id that was put in, or 0. */
uint64_t memory_keys_find(const struct memory_keys *keys, struct span channel, struct span key,
                          uint64_t now);
/* memory_keys_put: copies; the key must not be found now. It counts until `end`. */
void memory_keys_put(struct memory_keys *keys, struct span channel, struct span key, uint64_t id,
                     uint64_t now, uint64_t end);

#endif
