/*
 * What waits to be written to one connection: references to shared frames, in order. Bounded:
 * behind the frame that is being written at most `limit` bytes may wait; an empty queue takes one
 * frame of any size. Owned by a connection, on its worker's thread; no sockets here.
 */
#ifndef HUB_OUTQ_H
#define HUB_OUTQ_H

#include "hub/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct outq {
    struct frame **ring; /* owned; each a counted reference; NULL while the queue is empty */
    uint32_t head, count, cap;
    uint32_t sent;  /* bytes of the first frame that are written */
    uint64_t bytes; /* bytes waiting behind the first frame */
};

/* outq_push: takes a reference of its own. 0, or ERR_FULL (nothing is queued). */
int outq_push(struct outq *q, struct frame *f, uint64_t limit);

/* outq_push_part: the same for a frame of which `sent` bytes are written; the queue must be empty.
 */
void outq_push_part(struct outq *q, struct frame *f, uint32_t sent);

/* outq_vector: fills up to `max` entries with what to write next; returns how many. */
int outq_vector(const struct outq *q, struct iovec *iov, int max);

/* outq_written: `bytes` of what outq_vector gave were written; returns the messages finished. */
uint32_t outq_written(struct outq *q, size_t bytes);

void outq_clear(struct outq *q);

/* outq_waiting: all bytes that are still to be written. */
static inline uint64_t outq_waiting(const struct outq *q)
{
    return q->count ? q->bytes + q->ring[q->head]->len - q->sent : 0;
}

static inline bool outq_empty(const struct outq *q)
{
    return q->count == 0;
}

#endif
