/*
 * The bodies in which an invalidation is sent: one, or several where it has more names than one
 * call should hold Redis for. A zeroed struct has none. Pure.
 */
#ifndef BUS_SLICES_H
#define BUS_SLICES_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

enum { SLICE_NAMES = 3000 }; /* at most, in one call: about 10 ms */

struct slice {
    size_t at, len; /* in bytes */
    bool patterns;  /* it has some */
};

struct slices {
    struct buf bytes;   /* owned */
    struct slice *list; /* owned */
    size_t count;
};

/* slices_make: of a body as invalidation_write writes it: as it is, or each name of a list once in
 * the first slice with room, with the body's origin and cause. */
void slices_make(struct slices *out, struct span body);
/* slices_body: borrowed from s. */
struct span slices_body(const struct slices *s, size_t i);
void slices_free(struct slices *s);

#endif
