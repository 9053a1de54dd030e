#include "hub/frame.h"

#include "base/mem.h"

#include <string.h>

struct frame *frame_create(struct span bytes, uint64_t born_us)
{
    struct frame *f = mem_alloc(sizeof(*f) + bytes.len);
    atomic_init(&f->refs, 1);
    f->len = (uint32_t)bytes.len;
    f->tag = 0;
    f->born_us = born_us;
    f->total = NULL;
    if (bytes.len)
        memcpy(f->bytes, bytes.ptr, bytes.len);
    return f;
}

void frame_count(struct frame *f, _Atomic uint64_t *total)
{
    if (f->total)
        return;
    f->total = total;
    atomic_fetch_add_explicit(total, sizeof(*f) + f->len, memory_order_relaxed);
}

void frame_unref(struct frame *f)
{
    if (!f || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (f->total)
        atomic_fetch_sub_explicit(f->total, sizeof(*f) + f->len, memory_order_relaxed);
    mem_free(f);
}
