/*
 * A frame: the SSE bytes of one message, made once, immutable, counted, shared by every queue of
 * every thread. Made on the core or a worker; any thread may hold and drop a reference.
 */
#ifndef HUB_FRAME_H
#define HUB_FRAME_H

#include "base/span.h"

#include <stdatomic.h>
#include <stdint.h>

struct frame {
    atomic_uint refs;
    uint32_t len;     /* bytes */
    uint64_t tag;     /* of an invalidation: stands for its origin (map_hash); 0: none. Set by who
                         makes the frame, before it is shared */
    uint64_t born_us; /* monotonic: when the message arrived; 0: a comment or control event, no
                         message */
    _Atomic uint64_t *total; /* borrowed: its bytes are counted there; NULL */
    char bytes[];
};

/* frame_create: copies; the caller owns one reference. */
struct frame *frame_create(struct span bytes, uint64_t born_us);

/* frame_count: adds its bytes to *total until it is freed, on whatever thread; total outlives it.
 * Does nothing for one that is counted. The thread that made it, which holds a reference. */
void frame_count(struct frame *f, _Atomic uint64_t *total);

static inline struct frame *frame_ref(struct frame *f)
{
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

/* frame_unref: gives one reference back; NULL is allowed. */
void frame_unref(struct frame *f);

#endif
