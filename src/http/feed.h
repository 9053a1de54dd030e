/*
 * The dialect of the invalidation feed on an event stream: hello, invalidate, flush and head where
 * other streams have messages, gaps and heads of their own. A feed is owned by its stream, and is
 * found by its session in worker->feeds.
 *
 * It begins when the core has announced the peer to all gateways (BUS_OPEN_FEED is answered): only
 * then is the place taken from which it gets everything, so that no invalidation can both have been
 * accepted without waiting for the peer and stand before that place unseen.
 */
#ifndef HTTP_FEED_H
#define HTTP_FEED_H

#include "http/exchange.h"
#include "hub/shard.h"

struct stream;

struct feed {
    char peer[PEER_NAME + 1], session[SESSION_TEXT + 1];
    uint64_t own;               /* the tag of frames that this peer is the origin of */
    bool echo;                  /* it wants those, too */
    bool opened;                /* the peer is announced */
    bool greeted;               /* hello was sent */
    struct shard_resume resume; /* where it begins */
    uint64_t delivered;         /* the last id that it was given; an ack beyond it is refused */
    struct stream *stream;      /* borrowed: the owner */
};

struct feed_options {
    struct span peer; /* borrowed; a good name */
    bool echo;
    struct shard_resume resume; /* REPLAY_NOW or REPLAY_AFTER */
};

/* feed_open: answers the exchange with a feed; x is gone afterwards. */
void feed_open(struct exchange *x, const struct feed_options *options);

/* For stream.c: the stream is there; it ends; its deadline has fired; it has had everything up to
 * its cursor; the gap of an overflow is to be told. */
void feed_begin(struct stream *s, struct feed *feed);
void feed_close(struct feed **feed);
void feed_heartbeat(struct stream *s);
void feed_caught_up(struct stream *s);
void feed_overflow(struct stream *s);

/*
 * feed_frame: what the peer is given for an entry, a reference for the caller; NULL: nothing.
 * feed_gave: it was given.
 */
struct frame *feed_frame(struct stream *s, const struct lane_entry *e);
void feed_gave(struct stream *s, const struct lane_entry *e);

/* feed_find: by its session, among those of this worker; NULL. */
struct feed *feed_find(const struct worker *w, const char *session);

/* feed_answered: the core's answer to BUS_OPEN_FEED, or BUS_END_FEED. */
void feed_answered(struct worker *w, const struct bus_request *r);

#endif
