/* The inside of the core, shared by core.c, fanout.c, publishing.c and listing.c only. */
#ifndef HUB_CORE_PRIVATE_H
#define HUB_CORE_PRIVATE_H

#include "base/buf.h"
#include "base/list.h"
#include "hub/core.h"
#include "hub/topics.h"

#define CORE_MAGIC 0x5c0de001u

struct core {
    uint32_t magic;
    struct core_options options;
    struct buf prefix[2];  /* what stands before our names at the broker, by enum topic_kind */
    struct broker *broker; /* borrowed; NULL before core_attach */
    struct topics *topics; /* owned */
    struct list lingering; /* topics that nobody wants, by deadline */
    struct list leaving;   /* topics in TOPIC_LEAVING */
    struct list tickets;   /* publishes under way */
    bool up;
    uint64_t pubs;          /* publications so far: the number of the last one */
    uint64_t tickets_made;  /* likewise of tickets */
    uint64_t publish_bytes; /* under way */
    uint32_t workers_stopped;
    uint32_t settings_due;                 /* answers to MSG_SETTINGS that are still to come */
    bool *overflowed;                      /* owned: per worker: some slot has `lost` set */
    struct buf full_name, data, wrap, sse; /* scratch */
};

/* The broker's name of a channel or pattern: with the prefix, escaped for a pattern. Borrowed
 * scratch. */
struct span core_full_name(struct core *core, enum topic_kind kind, struct span name);

/* core_strip: takes the prefix off the broker's name; false when it is not there. */
bool core_strip(const struct core *core, enum topic_kind kind, struct span *name);

/* fanout.c */
void core_on_message(void *ctx, struct span channel, struct span pattern, struct span payload);
void core_on_oversize(void *ctx, struct span channel, struct span pattern, uint64_t bytes);
/* core_as_utf8: the bytes themselves where they are valid, else repaired into `scratch`, and
 * counted. */
struct span core_as_utf8(struct core *core, struct span bytes, struct buf *scratch);
/* core_tell_gap: tells all subscribers of a topic; reason as in PROTOCOL. */
void core_tell_gap(struct core *core, struct topic *topic, const char *reason);
/* core_tell_lost: gaps for what a full lane of this worker has cost, if it has room again. */
void core_tell_lost(struct core *core, uint32_t worker);

/* publishing.c */
void core_publish(struct core *core, struct msg *m);
void core_fenced(struct core *core, const struct fence *fence);
void core_publish_end(struct core *core);

/* listing.c */
void core_list_channels(struct core *core, struct msg *m);

#endif
