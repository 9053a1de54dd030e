#include "hub/outq.h"

#include "base/err.h"
#include "base/mem.h"

static struct frame *outq_at(const struct outq *q, uint32_t i)
{
    return q->ring[(q->head + i) & (q->cap - 1)];
}

static void outq_grow(struct outq *q)
{
    uint32_t cap = q->cap ? q->cap * 2 : 4;
    struct frame **ring = mem_alloc(cap * sizeof(*ring));
    for (uint32_t i = 0; i < q->count; i++)
        ring[i] = outq_at(q, i);
    mem_free(q->ring);
    q->ring = ring;
    q->cap = cap;
    q->head = 0;
}

static void outq_append(struct outq *q, struct frame *f)
{
    if (q->count == q->cap)
        outq_grow(q);
    q->ring[(q->head + q->count) & (q->cap - 1)] = frame_ref(f);
    if (q->count)
        q->bytes += f->len;
    q->count++;
}

int outq_push(struct outq *q, struct frame *f, uint64_t limit)
{
#ifndef SLUICE_MUTANT_no_queue_bound
    if (q->count && q->bytes + f->len > limit)
        return ERR_FULL;
#endif
    outq_append(q, f);
    return 0;
}

void outq_push_part(struct outq *q, struct frame *f, uint32_t sent)
{
    outq_append(q, f);
    q->sent = sent;
}

int outq_vector(const struct outq *q, struct iovec *iov, int max)
{
    int n = 0;
    for (; (uint32_t)n < q->count && n < max; n++) {
        struct frame *f = outq_at(q, (uint32_t)n);
        uint32_t skip = n ? 0 : q->sent;
        iov[n] = (struct iovec){.iov_base = f->bytes + skip, .iov_len = f->len - skip};
    }
    return n;
}

static void outq_pop(struct outq *q)
{
    frame_unref(outq_at(q, 0));
    q->head = (q->head + 1) & (q->cap - 1);
    q->count--;
    q->sent = 0;
    if (q->count)
        q->bytes -= outq_at(q, 0)->len;
}

uint32_t outq_written(struct outq *q, size_t bytes)
{
    uint32_t finished = 0;
    while (q->count) {
        size_t left = outq_at(q, 0)->len - q->sent;
        if (bytes < left) {
            q->sent += (uint32_t)bytes;
            return finished;
        }
        bytes -= left;
        finished += outq_at(q, 0)->born_us != 0;
        outq_pop(q);
    }
    /* An idle connection keeps no ring: most of them are idle most of the time. */
    mem_free(q->ring);
    *q = (struct outq){0};
    return finished;
}

void outq_clear(struct outq *q)
{
    while (q->count)
        outq_pop(q);
    mem_free(q->ring);
    *q = (struct outq){0};
}
