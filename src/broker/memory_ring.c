#include "broker/memory_ring.h"

#include "base/mem.h"
#include "base/rising.h"

enum { FIRST_ROOM = 8 };

static struct memory_record *record_at(const struct memory_ring *ring, size_t i)
{
    return ring->at[(ring->first + i) & (ring->room - 1)];
}

static size_t body_bytes(const struct memory_record *r)
{
    return r->event_len + r->data_len;
}

static uint64_t cost(const struct memory_record *r)
{
    return sizeof(*r) + sizeof(r) + body_bytes(r);
}

static void copy_bytes(char *to, struct span from)
{
    if (from.len)
        memcpy(to, from.ptr, from.len);
}

static void grow(struct memory_ring *ring)
{
    size_t room = ring->room ? ring->room * 2 : FIRST_ROOM;
    struct memory_record **at = mem_alloc(room * sizeof(struct memory_record *));
    for (size_t i = 0; i < ring->count; i++)
        at[i] = record_at(ring, i);
    mem_free(ring->at);
    ring->at = at;
    ring->room = room;
    ring->first = 0;
}

uint64_t memory_ring_push(struct memory_ring *ring, uint64_t id, uint64_t previous,
                          struct span event, struct span data)
{
    struct memory_record *r = mem_zalloc(sizeof(*r) + event.len + data.len);
    r->id = id;
    r->previous = previous;
    r->event_len = event.len;
    r->data_len = data.len;
    copy_bytes(r->bytes, event);
    copy_bytes(r->bytes + event.len, data);
    if (ring->count == ring->room)
        grow(ring);
    ring->at[(ring->first + ring->count++) & (ring->room - 1)] = r;
    return cost(r);
}

uint64_t memory_ring_drop(struct memory_ring *ring)
{
    struct memory_record *r = record_at(ring, 0);
    uint64_t had = cost(r);
    mem_free(r);
    ring->first = (ring->first + 1) & (ring->room - 1);
    if (--ring->count == 0) {
        mem_free(ring->at);
        *ring = (struct memory_ring){0};
    }
    return had;
}

uint64_t memory_ring_first(const struct memory_ring *ring)
{
    return record_at(ring, 0)->id;
}

static uint64_t id_at(const void *ring, size_t i)
{
    return record_at(ring, i)->id;
}

/* Where a slice of these sizes ends that begins at `from`; the first message always fits. */
static size_t slice_end(const struct memory_ring *ring, size_t from, uint32_t limit, uint64_t bytes,
                        size_t *used)
{
    size_t end = from, sum = 0;
    for (; end < ring->count && end - from < limit; end++) {
        size_t more = body_bytes(record_at(ring, end));
        if (end > from && sum + more > bytes)
            break;
        sum += more;
    }
    *used = sum;
    return end;
}

/* Puts the message's bytes to `to`. */
static struct broker_record copy_record(const struct memory_record *r, char *to)
{
    memcpy(to, r->bytes, body_bytes(r));
    return (struct broker_record){
        .id = r->id,
        .previous = r->previous,
        .event = span_make(r->event_len ? to : NULL, r->event_len),
        .data = span_make(to + r->event_len, r->data_len),
    };
}

void memory_ring_read(const struct memory_ring *ring, uint64_t after, uint32_t limit,
                      uint64_t bytes, struct memory_slice *out)
{
    size_t used, from = rising_up_to(ring->count, id_at, ring, after);
    size_t end = slice_end(ring, from, limit, bytes, &used);
    *out = (struct memory_slice){
        .records = mem_alloc((end - from + 1) * sizeof(*out->records)),
        .bytes = mem_alloc(used + 1),
    };
    out->slice = (struct broker_slice){.records = out->records, .more = end < ring->count};
    char *at = out->bytes;
    for (size_t i = from; i < end; i++) {
        out->records[out->slice.count++] = copy_record(record_at(ring, i), at);
        at += body_bytes(record_at(ring, i));
    }
}

void memory_slice_free(struct memory_slice *slice)
{
    mem_free(slice->records);
    mem_free(slice->bytes);
}
