/*
 * The ways between the core and the workers. A mailbox is a list of messages under a lock that is
 * held for a few instructions; a frame lane is a ring of fixed size with one writer and one reader
 * and no lock. Nobody ever waits on either. Posting wakes nobody: the sender does, once, at the end
 * of its turn, by a flush. Who posts and sleeps without one leaves the receiver asleep.
 */
#ifndef HUB_LANE_H
#define HUB_LANE_H

#include "hub/frame.h"
#include "hub/messages.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* wake: makes the receiver's loop look; called on the sender's thread (ev_async_send, in practice).
 */
struct lane_wake {
    void (*wake)(void *ctx);
    void *ctx; /* borrowed */
};

struct mailbox {
    pthread_mutex_t lock;
    struct msg *head, **tail;
    struct lane_wake wake;
    atomic_bool
        wake_due; /* something came since the last flush, which the reader may not know of */
};

void mailbox_init(struct mailbox *box, struct lane_wake wake);
/* mailbox_fini: frees what was never read. */
void mailbox_fini(struct mailbox *box);
/* mailbox_post: takes ownership of m. A flush must follow before the sender sleeps. */
void mailbox_post(struct mailbox *box, struct msg *m);
/* mailbox_flush: wakes the reader if that is due, whichever sender it is that owes it. */
void mailbox_flush(struct mailbox *box);
/* mailbox_take: all messages in order, a list by `next`, owned by the caller; NULL when empty. */
struct msg *mailbox_take(struct mailbox *box);

/* One publication for one topic of one worker. */
struct lane_entry {
    struct frame *frame;       /* counted */
    struct shard_topic *topic; /* borrowed, the worker's token */
    uint64_t pub;              /* number of the publication: the same for all its topics */
    uint64_t id;               /* of a durable message; 0: it is ephemeral */
    uint64_t channel;          /* stands for the channel's name; 0: not a message */
    bool latest; /* a slow stream of this channel needs just the newest message of it */
    bool again;  /* the publication's frame was posted before, for another topic: it counts once */
};

enum { LANE_ENTRIES = 4096 };

struct frame_lane {
    struct lane_entry *ring; /* owned, LANE_ENTRIES */
    uint64_t byte_limit;     /* of frames under way; an empty lane takes one of any size */
    _Alignas(64) atomic_uint_fast64_t posted; /* written by the core */
    atomic_uint_fast64_t posted_bytes;        /* written by the core */
    _Alignas(64) atomic_uint_fast64_t taken;  /* written by the worker */
    atomic_uint_fast64_t taken_bytes;         /* written by the worker */
    _Alignas(64) atomic_bool starved;         /* the core was refused and wants to hear of room */
};

/* frame_lane_post: takes a reference of its own. False when the lane is full (and starved is set).
 */
bool frame_lane_post(struct frame_lane *lane, const struct lane_entry *e);
/* frame_lane_has_room: is at least half of it free, by entries and by bytes? Either side asks. */
bool frame_lane_has_room(const struct frame_lane *lane);
uint64_t frame_lane_posted(const struct frame_lane *lane);
/* frame_lane_peek: the next entry, borrowed until frame_lane_done; NULL when empty. */
struct lane_entry *frame_lane_peek(struct frame_lane *lane);
/* frame_lane_at: the i-th of them, which must be there. */
struct lane_entry *frame_lane_at(struct frame_lane *lane, uint32_t i);
void frame_lane_done(struct frame_lane *lane);

/* From the core to one worker: both ways with their common order. */
struct downlink {
    struct mailbox control;
    struct frame_lane frames;
};

/* From all workers to the core. */
struct uplink {
    struct mailbox control;
};

void downlink_init(struct downlink *d, struct lane_wake wake, uint64_t frame_bytes);
void downlink_fini(struct downlink *d);
/* downlink_post: a control message, behind all frames posted so far. Takes ownership. */
void downlink_post(struct downlink *d, struct msg *m);
/* downlink_post_frame: as frame_lane_post. */
bool downlink_post_frame(struct downlink *d, const struct lane_entry *e);
/* downlink_flush: wakes the worker if anything was posted since the last flush; end of a core turn.
 */
void downlink_flush(struct downlink *d);

#endif
