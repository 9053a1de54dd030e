/*
 * Reads a downlink as a worker does: messages and frames in the order in which they were posted. On
 * the worker's thread; the order is what `position` promises, so a mistake there shows here too.
 */
#ifndef TESTS_LANE_READER_H
#define TESTS_LANE_READER_H

#include "hub/lane.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define UNUSED_FN __attribute__((unused))

struct lane_reader {
    struct downlink *down; /* borrowed */
    struct msg *first, *last;
    uint64_t taken; /* frames so far */
    void (*on_frame)(void *ctx, const struct lane_entry *e);
    void (*on_msg)(void *ctx, struct msg *m); /* freed by the reader */
    void *ctx;
};

UNUSED_FN static struct downlink *downlinks_alloc(size_t count)
{
    struct downlink *all = aligned_alloc(_Alignof(struct downlink), count * sizeof(*all));
    if (!all)
        abort();
    return all;
}

static void lane_take_mail(struct lane_reader *r)
{
    struct msg *m = mailbox_take(&r->down->control);
    if (!m)
        return;
    if (r->first)
        r->last->next = m;
    else
        r->first = m;
    while (m->next)
        m = m->next;
    r->last = m;
}

static bool lane_read_msg(struct lane_reader *r)
{
    struct msg *m = r->first;
    if (!m || m->position > r->taken)
        return false;
    r->first = m->next;
    r->on_msg(r->ctx, m);
    msg_free(m);
    return true;
}

static void lane_read_frame(struct lane_reader *r)
{
    r->on_frame(r->ctx, frame_lane_peek(&r->down->frames));
    frame_lane_done(&r->down->frames);
    r->taken++;
}

/* Reads at most `most` items; returns how many there were. */
UNUSED_FN static size_t lane_read(struct lane_reader *r, size_t most)
{
    size_t n = 0;
    for (bool more = true; more && n < most;) {
        uint64_t end = frame_lane_posted(&r->down->frames);
        size_t before = n;
        lane_take_mail(r);
        while (n < most && (r->taken < end || (r->first && r->first->position <= r->taken))) {
            if (!lane_read_msg(r))
                lane_read_frame(r);
            n++;
        }
        more = n > before;
    }
    return n;
}

/* What a worker says after a turn: does the core wait to hear of room, and is there room? */
UNUSED_FN static bool lane_drained(struct frame_lane *lane)
{
    return atomic_load(&lane->starved) && frame_lane_has_room(lane) &&
           atomic_exchange(&lane->starved, false);
}

UNUSED_FN static void lane_reader_drop(struct lane_reader *r)
{
    while (r->first) {
        struct msg *m = r->first;
        r->first = m->next;
        msg_free(m);
    }
}

#endif
