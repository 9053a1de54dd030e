/*
 * An event stream on a connection. Owned by the connection; heartbeats come from the worker's
 * wheel. What is for it goes through stream_deliver.c.
 */
#ifndef HTTP_STREAM_H
#define HTTP_STREAM_H

#include "base/cast.h"
#include "http/exchange.h"
#include "http/feed.h"
#include "hub/latest.h"
#include "hub/shard.h"

#include <stddef.h>

#define STREAM_MAGIC 0x57ea4001u

struct stream {
    uint32_t magic;
    bool ping;           /* heartbeats are events, not comments */
    bool replay_only;    /* ends when it has caught up */
    bool begins_now;     /* what is published before it is live is not for it */
    bool confirmed;      /* the broker has its subscriptions, and the client was not told yet */
    bool greeted;        /* has had its first sluice.head */
    bool feeding;        /* stream_room is on the stack: what is queued is written behind it */
    struct conn *conn;   /* borrowed */
    struct feed *feed;   /* owned: it is the invalidation feed; NULL */
    struct latest *kept; /* owned: what is given when the socket takes more; NULL */
    uint64_t written_s;  /* when it was last written to: seconds of the monotonic clock */
    struct subscriber sub;
};

struct stream_options {
    const struct shard_want *wants; /* borrowed */
    size_t count;
    bool wrapped, ping;
    bool durable;               /* one of the wants is, or may meet durable channels */
    bool replay_only;           /* durable ones only */
    struct shard_resume resume; /* of a durable one */
    struct feed *feed; /* taken over; it has no wants, and says itself where it begins; NULL */
};

static inline struct stream *stream_of(struct subscriber *s)
{
    return CAST_CHECKED(struct stream, (void *)((char *)s - offsetof(struct stream, sub)),
                        STREAM_MAGIC);
}

/* stream_open: answers the exchange with a stream; x is gone afterwards. */
void stream_open(struct exchange *x, const struct stream_options *options);
/* stream_busy: answers with a stream that says sluice.busy and ends: a native EventSource comes
 * back. */
void stream_busy(struct exchange *x, const char *why);
void stream_close(struct stream **s);
/* stream_comment: writes one. stream_end_busy: says sluice.busy with this JSON, and ends it at the
 * end of the turn. */
void stream_comment(struct stream *s, const char *text);
void stream_end_busy(struct stream *s, struct span json);
/* stream_drain: says when to come back, and ends. */
void stream_drain(struct stream *s);
/* stream_heartbeat: the wheel came round. */
void stream_heartbeat(struct stream *s);

/* stream_deliver: the sink's `deliver`; ctx is the worker. */
uint32_t stream_deliver(void *ctx, struct subscriber *sub, const struct lane_entry *entries,
                        uint32_t n);
/*
 * stream_room: for conn_flush: the connection of a hungry stream has written. Queues what has
 * waited, as far as there is room; true when there is now more to write at once.
 */
bool stream_room(struct stream *s);

/* What the shard asks for; ctx is the worker. */
extern const struct shard_sink stream_sink;

#endif
