/*
 * The messages of one channel of the memory broker in rising order of id: put in at the end, taken
 * out at the front, found by id. Owns them. A zeroed struct is an empty ring. One thread.
 */
#ifndef BROKER_MEMORY_RING_H
#define BROKER_MEMORY_RING_H

#include "broker/broker.h"

#include <stddef.h>
#include <stdint.h>

struct memory_record {
    uint64_t id, previous; /* as in struct broker_record */
    size_t event_len, data_len;
    char bytes[]; /* event, data */
};

struct memory_ring {
    struct memory_record **at; /* owned, and what they point to; a power of two of them */
    size_t room, first, count;
};

/* memory_ring_push: copies; the id is above all others. Returns what it costs in bytes. */
uint64_t memory_ring_push(struct memory_ring *ring, uint64_t id, uint64_t previous,
                          struct span event, struct span data);
/* memory_ring_drop: takes the first one out (there must be one); returns what it has cost. An empty
 * ring holds no memory. */
uint64_t memory_ring_drop(struct memory_ring *ring);
/* memory_ring_first: the lowest id; there must be one. */
uint64_t memory_ring_first(const struct memory_ring *ring);

/* A copy, so that the ring may change while it is looked at. */
struct memory_slice {
    struct broker_slice slice;     /* its records are the ones below */
    struct broker_record *records; /* owned */
    char *bytes;                   /* owned: what their spans point to */
};

/* memory_ring_read: all of *out but slice.last and slice.lost; see broker_ops.read. */
void memory_ring_read(const struct memory_ring *ring, uint64_t after, uint32_t limit,
                      uint64_t bytes, struct memory_slice *out);
/* memory_slice_free: a zeroed one is allowed. */
void memory_slice_free(struct memory_slice *slice);

#endif
