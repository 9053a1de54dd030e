#include "hub/lane.h"

#include "base/mem.h"

void mailbox_init(struct mailbox *box, struct lane_wake wake)
{
    pthread_mutex_init(&box->lock, NULL);
    box->head = NULL;
    box->tail = &box->head;
    box->wake = wake;
    atomic_init(&box->wake_due, false);
}

void mailbox_fini(struct mailbox *box)
{
    for (struct msg *m = mailbox_take(box), *next; m; m = next) {
        next = m->next;
        msg_free(m);
    }
    pthread_mutex_destroy(&box->lock);
}

void mailbox_post(struct mailbox *box, struct msg *m)
{
    m->next = NULL;
    pthread_mutex_lock(&box->lock);
    /* Where something lies already, its sender has woken the reader or is about to. */
    if (!box->head)
        atomic_store_explicit(&box->wake_due, true, memory_order_relaxed);
    *box->tail = m;
    box->tail = &m->next;
    pthread_mutex_unlock(&box->lock);
}

void mailbox_flush(struct mailbox *box)
{
    /* The look spares other senders' turns the write. What one posted itself it always sees;
     * whoever takes the mark wakes at once, so that nobody need wait for the one who set it. */
    if (atomic_load_explicit(&box->wake_due, memory_order_relaxed) &&
        atomic_exchange_explicit(&box->wake_due, false, memory_order_acq_rel))
        box->wake.wake(box->wake.ctx);
}

struct msg *mailbox_take(struct mailbox *box)
{
    pthread_mutex_lock(&box->lock);
    struct msg *all = box->head;
    box->head = NULL;
    box->tail = &box->head;
    pthread_mutex_unlock(&box->lock);
    return all;
}

static void frame_lane_init(struct frame_lane *lane, uint64_t byte_limit)
{
    lane->ring = mem_zalloc(LANE_ENTRIES * sizeof(*lane->ring));
    lane->byte_limit = byte_limit;
    atomic_init(&lane->posted, 0);
    atomic_init(&lane->posted_bytes, 0);
    atomic_init(&lane->taken, 0);
    atomic_init(&lane->taken_bytes, 0);
    atomic_init(&lane->starved, false);
}

static void frame_lane_fini(struct frame_lane *lane)
{
    while (frame_lane_peek(lane))
        frame_lane_done(lane);
    mem_free(lane->ring);
    lane->ring = NULL;
}

static uint64_t lane_bytes(const struct frame_lane *lane)
{
    return atomic_load_explicit(&lane->posted_bytes, memory_order_relaxed) -
           atomic_load_explicit(&lane->taken_bytes, memory_order_acquire);
}

static bool lane_takes(const struct frame_lane *lane, uint64_t bytes)
{
    uint64_t posted = atomic_load_explicit(&lane->posted, memory_order_relaxed);
    uint64_t waiting = posted - atomic_load(&lane->taken); /* seq_cst: see frame_lane_post */
    if (waiting == 0)
        return true;
    return waiting < LANE_ENTRIES && (bytes == 0 || lane_bytes(lane) + bytes <= lane->byte_limit);
}

static uint64_t entry_bytes(const struct lane_entry *e)
{
    return e->again ? 0 : e->frame->len;
}

bool frame_lane_post(struct frame_lane *lane, const struct lane_entry *e)
{
    uint64_t bytes = entry_bytes(e);
    if (!lane_takes(lane, bytes)) {
        atomic_store(&lane->starved, true);
        /* The worker may have emptied it between the look and the flag: then nobody would say so.
         */
        if (!lane_takes(lane, bytes))
            return false;
    }
    uint64_t posted = atomic_load_explicit(&lane->posted, memory_order_relaxed);
    struct lane_entry *slot = &lane->ring[posted % LANE_ENTRIES];
    *slot = *e;
    frame_ref(slot->frame);
    atomic_fetch_add_explicit(&lane->posted_bytes, bytes, memory_order_relaxed);
    atomic_store_explicit(&lane->posted, posted + 1, memory_order_release);
    return true;
}

bool frame_lane_has_room(const struct frame_lane *lane)
{
    uint64_t waiting = atomic_load_explicit(&lane->posted, memory_order_relaxed) -
                       atomic_load_explicit(&lane->taken, memory_order_relaxed);
    return waiting <= LANE_ENTRIES / 2 && lane_bytes(lane) <= lane->byte_limit / 2;
}

uint64_t frame_lane_posted(const struct frame_lane *lane)
{
    /* Who learns the end may read all before it, and finds in the mail what was posted before. */
    return atomic_load_explicit(&lane->posted, memory_order_acquire);
}

struct lane_entry *frame_lane_peek(struct frame_lane *lane)
{
    uint64_t taken = atomic_load_explicit(&lane->taken, memory_order_relaxed);
    if (taken == atomic_load_explicit(&lane->posted, memory_order_acquire))
        return NULL;
    return &lane->ring[taken % LANE_ENTRIES];
}

struct lane_entry *frame_lane_at(struct frame_lane *lane, uint32_t i)
{
    uint64_t taken = atomic_load_explicit(&lane->taken, memory_order_relaxed);
    return &lane->ring[(taken + i) % LANE_ENTRIES];
}

void frame_lane_done(struct frame_lane *lane)
{
    uint64_t taken = atomic_load_explicit(&lane->taken, memory_order_relaxed);
    struct lane_entry *e = &lane->ring[taken % LANE_ENTRIES];
    uint64_t bytes = entry_bytes(e);
    frame_unref(e->frame);
    *e = (struct lane_entry){0};
    atomic_fetch_add_explicit(&lane->taken_bytes, bytes, memory_order_release);
    /* seq_cst: pairs with the core's flag-then-look in frame_lane_post. */
    atomic_store(&lane->taken, taken + 1);
}

void downlink_init(struct downlink *d, struct lane_wake wake, uint64_t frame_bytes)
{
    mailbox_init(&d->control, wake);
    frame_lane_init(&d->frames, frame_bytes);
}

void downlink_fini(struct downlink *d)
{
    mailbox_fini(&d->control);
    frame_lane_fini(&d->frames);
}

void downlink_post(struct downlink *d, struct msg *m)
{
    m->position = frame_lane_posted(&d->frames);
    mailbox_post(&d->control, m);
}

bool downlink_post_frame(struct downlink *d, const struct lane_entry *e)
{
    if (!frame_lane_post(&d->frames, e))
        return false;
    atomic_store_explicit(&d->control.wake_due, true, memory_order_relaxed);
    return true;
}

void downlink_flush(struct downlink *d)
{
    mailbox_flush(&d->control);
}
