/*
 * An event stream on a connection. Owned by the connection; heartbeats come from the worker's
 * wheel.
 */
#ifndef HTTP_STREAM_H
#define HTTP_STREAM_H

#include "http/exchange.h"
#include "hub/shard.h"

#define STREAM_MAGIC 0x57ea4001u

struct stream {
    uint32_t magic;
    bool ping;          /* heartbeats are events, not comments */
    struct conn *conn;  /* borrowed */
    uint64_t written_s; /* when it was last written to: seconds of the monotonic clock */
    struct subscriber sub;
};

struct stream_options {
    const struct shard_want *wants; /* borrowed */
    size_t count;
    bool wrapped, ping;
};

/* stream_open: answers the exchange with a stream; x is gone afterwards. */
void stream_open(struct exchange *x, const struct stream_options *options);
/* stream_busy: answers with a stream that says sluice.busy and ends: a native EventSource comes
 * back. */
void stream_busy(struct exchange *x, const char *why);
void stream_close(struct stream **s);
/* stream_drain: says when to come back, and ends. */
void stream_drain(struct stream *s);
/* stream_heartbeat: the wheel came round. */
void stream_heartbeat(struct stream *s);

/* What the shard asks for; ctx is the worker. */
extern const struct shard_sink stream_sink;

#endif
