/* The inside of the core, shared by core.c, fanout.c, publishing.c and listing.c only. */
#ifndef HUB_CORE_PRIVATE_H
#define HUB_CORE_PRIVATE_H

#include "base/buf.h"
#include "base/list.h"
#include "hub/core.h"
#include "hub/durable.h"
#include "hub/topics.h"
#include "proto/sse.h"

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
    uint32_t settings_due; /* answers to MSG_SETTINGS that are still to come */
    bool *overflowed;      /* owned: per worker: some slot has `lost` set */
    uint64_t *posted;      /* owned: per worker and form: the last publication that was posted */
    struct durable durable;
    struct buf full_name, data, wrap, sse; /* scratch */
};

/* The broker's name of a channel or pattern: with the prefix, escaped for a pattern. Borrowed
 * scratch. */
struct span core_full_name(struct core *core, enum topic_kind kind, struct span name);

/* core_strip: takes the prefix off the broker's name; false when it is not there. */
bool core_strip(const struct core *core, enum topic_kind kind, struct span *name);

/* core_part_name: the broker's name of one part of a topic. Borrowed scratch. core_topic_meant: the
 * topic that such a name means, and which part of it; NULL, also where that rides on a cover: the
 * broker was not asked for it, and speaks of one that had its name before. */
struct span core_part_name(struct core *core, const struct topic *t, enum topic_part part);
struct topic *core_topic_meant(struct core *core, enum topic_kind kind, struct span full,
                               enum topic_part *part);

/* One publication on its way to the lanes. */
struct fanout {
    struct span channel;
    struct sse_event event;
    struct frame *forms[2]; /* counted; plain, wrapped: made on first need, or given */
    uint64_t id;            /* of a durable message; 0: it is ephemeral */
    uint64_t born_us;
    uint64_t channel_hash; /* set by core_fan_out */
    bool latest;           /* likewise */
    bool posted;           /* somebody had it */
};

/* fanout.c */
/* core_fan_out: to all topics that the channel has. The forms stay the caller's. */
void core_fan_out(struct core *core, struct fanout *f);
/* core_frame: the event's frame in one form. */
struct frame *core_frame(struct core *core, struct span channel, const struct sse_event *event,
                         bool wrapped, uint64_t born_us);
/* core_gap_frame: a gap of one topic; from and id 0: none. Owned. */
struct frame *core_gap_frame(struct core *core, enum topic_kind kind, struct span name,
                             const char *reason, uint64_t from, uint64_t id);
/*
 * What durable streams may have missed: messages above `from` and up to `upto`. id: the client's
 * new cursor; 0: none, where some are past it. anew: ids begin anew at `id`.
 */
struct durable_gap {
    const char *reason;
    uint64_t from, upto, id;
    bool anew;
};
/* core_tell_durable_gap: tells all streams of a topic but those whose replay will tell it. */
void core_tell_durable_gap(struct core *core, struct topic *t, const struct durable_gap *gap);
/* core_tell_late: tells those of a topic that are past `id`. */
void core_tell_late(struct core *core, struct topic *t, uint64_t id);
/* core_count_gap: in the metrics, by reason. */
void core_count_gap(struct core *core, const char *reason);
void core_on_message(void *ctx, struct span channel, struct span pattern, struct span payload);
void core_on_oversize(void *ctx, struct span channel, struct span pattern, uint64_t bytes);
/* core_as_utf8: the bytes themselves where they are valid, else repaired into `scratch`, and
 * counted. */
struct span core_as_utf8(struct core *core, struct span bytes, struct buf *scratch);
/* core_tell_gap: tells all subscribers of a topic; reason as in PROTOCOL. */
void core_tell_gap(struct core *core, struct topic *topic, const char *reason);
/* core_tell_lost: gaps for what a full lane of this worker has cost, if it has room again. */
void core_tell_lost(struct core *core, uint32_t worker);

/* subscribing.c */
void core_subscribe(struct core *core, struct msg *m);
void core_unsubscribe(struct core *core, struct msg *m);
/* core_reconsider: the namespaces have changed: what may be durable now is heard from now on. */
void core_reconsider(struct core *core, struct topic *t);
/* core_tell_bus: hooks.broker. */
void core_tell_bus(struct core *core, bool up);
/* core_linger: leaves topics that were unwanted long enough; when the next is due, 0 for never. */
uint64_t core_linger(struct core *core, uint64_t now);

/* covers.c */
/* cover_place: whether a new pattern is asked of the broker, or rides on t->cover. That may be new:
 * then it has no parts yet. */
void cover_place(struct core *core, struct topic *t);
/* cover_release: t rides on nothing any more, and counts for nothing. Its cover, when nobody else
 * rides on that, else NULL. */
struct topic *cover_release(struct core *core, struct topic *t);

/* publishing.c */
void core_publish(struct core *core, struct msg *m);
void core_fenced(struct core *core, const struct fence *fence);
void core_publish_end(struct core *core);

/* listing.c */
void core_list_channels(struct core *core, struct msg *m);

#endif
