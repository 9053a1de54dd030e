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
    if (bytes.len)
        memcpy(f->bytes, bytes.ptr, bytes.len);
    return f;
}

void frame_unref(struct frame *f)
{
    if (f && atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) == 1)
        mem_free(f);
}
