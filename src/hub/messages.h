/*
 * Every message that can pass between the core and a worker, and nothing else passes. A message is
 * allocated by its sender and freed by its receiver with msg_free. A `struct shard_topic *` is a
 * worker's own: for the core it is a token to hand back, never to look into; the worker keeps it
 * until MSG_TOPIC_GONE has come back.
 */
#ifndef HUB_MESSAGES_H
#define HUB_MESSAGES_H

#include "base/buf.h"
#include "base/span.h"
#include "hub/frame.h"
#include "proto/topic.h"

#include <stdbool.h>
#include <stdint.h>

struct shard_topic;

enum msg_type {
    /* worker to core */
    MSG_SUBSCRIBE,      /* topic, kind, wrapped, text: its name: one more subscriber */
    MSG_UNSUBSCRIBE,    /* the same: one less */
    MSG_PUBLISH,        /* publish */
    MSG_CHANNELS,       /* channels: a page of the channel table, please */
    MSG_DRAINED,        /* the frame lane that was full has room again */
    MSG_FENCED,         /* fence: answers MSG_FENCE */
    MSG_SETTINGS_TAKEN, /* answers MSG_SETTINGS: the old ones are used no more */
    MSG_REPLAY,         /* replay: a stream asks for what comes after its cursor */
    MSG_REPLAY_END,     /* stream: it has gone, or asks no more */
    MSG_BUS,            /* bus: a request to the invalidation bus */
    MSG_STOPPED,        /* the worker's last word */
    /* core to worker */
    MSG_TOPIC_READY,   /* topic: the broker confirmed the subscription */
    MSG_TOPIC_REFUSED, /* topic, text: the broker will not have it */
    MSG_TOPIC_GAP,     /* topic, frame; id: it stands for durable messages up to there; 0 */
    MSG_TOPIC_LOST,    /* topic, id, frame: some messages up to it are lost: tell those whose replay
                          will    not; anew: no cursor above it is worth anything */
    MSG_TOPIC_LAG,  /* topic: durable frames of it were left out: its streams must ask for them */
    MSG_TOPIC_LATE, /* topic, id, frame: message `id` was found late: tell those who are past it */
    MSG_FRONTIER,   /* id: all durable messages up to it are posted or told */
    MSG_SLICE,      /* slice: answers MSG_REPLAY */
    MSG_BUS_DONE,   /* bus: answers MSG_BUS; or, unasked, BUS_OPEN_FEED or BUS_END_FEED */
    MSG_TOPIC_GONE, /* topic: the core has forgotten it; no frame for it comes after */
    MSG_BROKER,     /* up, text: the broker came or went; down: no topic is ready any more */
    MSG_PUBLISHED,  /* publish: answers MSG_PUBLISH */
    MSG_CHANNELS_PAGE, /* channels: answers MSG_CHANNELS */
    MSG_FENCE,         /* fence: how many streams had publication `pub`? */
    MSG_SETTINGS,      /* settings: what the configuration says now */
    MSG_DRAIN,         /* seconds: end what is open within that time, then stop */
    MSG_STOP,          /* end */
};

/* One channel of a publish; offsets into the request's bytes, so that one block holds it all. */
struct publish_order {
    struct span channel, event, data, key; /* borrowed: point into publish_request.bytes */
    int err;                               /* answer: 0 or an enum err */
    int64_t receivers;                     /* answer */
    uint64_t id;                           /* answer: of a durable message; 0: it is none */
    char *why;                             /* answer: owned; NULL when err is 0 */
};

struct publish_request {
    uint64_t exchange;            /* the worker's own number for who asked */
    bool single;                  /* answer one object, not an array */
    struct buf bytes;             /* owned */
    struct publish_order *orders; /* owned */
    size_t count;
};

struct channels_request {
    uint64_t exchange;
    char *prefix, *after; /* owned, NUL-terminated */
    uint32_t limit;
    struct buf json; /* answer: owned */
};

struct fence {
    uint64_t ticket, pub; /* which publish waits, for which publication */
    uint32_t streams;     /* answer */
};

/* Where a stream wants to begin. */
enum replay_from {
    REPLAY_NOW,     /* with what comes */
    REPLAY_AFTER,   /* `value` is an id: with what comes after it */
    REPLAY_UNKNOWN, /* what the client has is no id: with what there is, and it is told a gap */
    REPLAY_SINCE,   /* `value` seconds ago */
    REPLAY_LAST,    /* with the last `value` messages of each channel */
};

struct replay_want {
    enum topic_kind kind;
    struct span name; /* borrowed: points into replay_request.bytes */
};

/* Asked once when a stream begins, and again, as REPLAY_AFTER, for each further slice. */
struct replay_request {
    uint64_t stream; /* the worker's own number for who asks */
    enum replay_from from;
    uint64_t value;
    bool wrapped;
    bool fenced;      /* all that was published before it was asked is to be there */
    uint64_t told;    /* what is lost up to here was told, or not asked for: no further gap */
    struct buf bytes; /* owned */
    struct replay_want *wants; /* owned */
    size_t count;
};

struct replay_item {
    struct frame *frame; /* counted */
    uint64_t id;         /* the stream's cursor when it has had this; never falls within a slice */
    uint64_t channel;    /* as in struct lane_entry */
};

/*
 * The next messages and gaps of a stream in rising order. With `live` it has all there is, and what
 * is posted to the lane behind this message is the continuation.
 */
struct replay_slice {
    uint64_t stream;
    struct replay_item *items; /* owned */
    size_t count;
    uint64_t cursor; /* up to where the stream has everything when it has had this */
    bool live;
    uint64_t told;           /* for the next request */
    char *why;               /* owned: durable channels cannot be had, for this reason; NULL */
    _Atomic uint64_t *total; /* borrowed: the items are counted there, as frames are; NULL */
    uint64_t counted;        /* bytes */
};

enum bus_kind {
    BUS_INVALIDATE, /* body: what sluice_invalidate takes; key, wait, timeout_ms, accepted_us */
    BUS_ACK,        /* session, id, closing */
    BUS_PEERS,      /* the list */
    BUS_OPEN_FEED,  /* peer, session: a feed is to begin; answered, however late, when the peer is
                       announced to all gateways */
    BUS_CLOSE_FEED, /* peer, session: and has ended */
    BUS_END_FEED,   /* core to worker: session: another feed has its name: end it */
};

enum { PEER_NAME = 64, SESSION_TEXT = 32 };

struct bus_request {
    enum bus_kind kind;
    uint64_t exchange; /* the worker's own number for who asked; 0: nobody waits */
    struct buf body;   /* owned */
    char peer[PEER_NAME + 1], session[SESSION_TEXT + 1];
    char *key; /* owned: idempotency key; NULL */
    uint64_t id;
    bool wait, closing;
    uint32_t timeout_ms;
    uint64_t accepted_us; /* monotonic: when the request was complete */
    int status;           /* answer: of HTTP */
    struct buf json;      /* answer: owned */
};

struct msg {
    struct msg *next; /* owned by the lane */
    enum msg_type type;
    uint32_t worker;   /* sender or receiver */
    uint64_t position; /* core to worker: frames posted before it */
    enum topic_kind kind;
    bool wrapped; /* which form the topic is about */
    bool up;
    bool anew;
    struct shard_topic *topic;         /* borrowed, the worker's */
    struct frame *frame;               /* counted */
    char *text;                        /* owned: a channel's name or a reason */
    struct publish_request *publish;   /* owned */
    struct channels_request *channels; /* owned */
    struct replay_request *replay;     /* owned */
    struct replay_slice *slice;        /* owned */
    struct bus_request *bus;           /* owned */
    uint64_t stream;                   /* the worker's own number */
    uint64_t id;                       /* an event id */
    struct fence fence;
    const void *settings; /* borrowed until MSG_SETTINGS_TAKEN; the worker's side knows its type */
    uint32_t seconds;
};

struct msg *msg_create(enum msg_type type, uint32_t worker);
/* msg_free: with everything that it owns. */
void msg_free(struct msg *m);

/* publish_request_create: room for `count` orders, zeroed. publish_request_free: NULL is allowed.
 */
struct publish_request *publish_request_create(size_t count);
void publish_request_free(struct publish_request *r);

/* replay_request_create: room for `count` wants, zeroed. The frees take NULL. */
struct replay_request *replay_request_create(size_t count);
void replay_request_free(struct replay_request *r);
struct bus_request *bus_request_create(enum bus_kind kind);
void bus_request_free(struct bus_request *r);
struct replay_slice *replay_slice_create(size_t room);
void replay_slice_free(struct replay_slice *s);

#endif
