/*
 * What the hub needs of a message broker, as a vtable with two implementations: Redis
 * (broker_redis/) and memory (broker_memory.c). Everything here happens on the core thread; nothing
 * blocks; callbacks come from the event loop or from within a call (memory), never from another
 * thread. Names here are the broker's own (channel_prefix already applied by the hub).
 */
#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H

#include "base/span.h"
#include "proto/topic.h"

#include <stdbool.h>
#include <stdint.h>

/* What the hub is told. `ctx` is the pointer given at creation. Spans are borrowed for the call. */
struct broker_events {
    /* Connected, authenticated, able to subscribe. Subscriptions asked for before are being made.
     */
    void (*on_up)(void *ctx);
    /*
     * The connection is lost or was never made; `why` is one line for people. Every subscription
     * counts as unconfirmed from here on. Once per change, not per try; again, while it is down,
     * when the reason has changed (a few times a minute at most).
     */
    void (*on_down)(void *ctx, const char *why);
    /* The broker confirmed one: from here in the order of calls, its messages arrive. */
    void (*on_subscribed)(void *ctx, enum topic_kind kind, struct span name);
    /*
     * The broker confirmed the end of one: no message through it arrives any more. Each unsubscribe
     * of a name that is subscribed is answered by this, also while the connection is down (from
     * within the call) and when it goes down (before on_down). Where the opposite was asked for
     * before the answer, only the last call is answered.
     */
    void (*on_unsubscribed)(void *ctx, enum topic_kind kind, struct span name);
    /* The broker refuses this one (ACL); it is tried again at the next connection. */
    void (*on_refused)(void *ctx, enum topic_kind kind, struct span name, const char *why);
    /* A copy of one publication: through the channel itself (pattern.ptr NULL) or a pattern. */
    void (*on_message)(void *ctx, struct span channel, struct span pattern, struct span payload);
    /* The same for a payload larger than message_bytes, which is dropped: just how large it was. */
    void (*on_oversize)(void *ctx, struct span channel, struct span pattern, uint64_t bytes);
    /* A fence that was asked for has come round, in one order with the messages: every durable
     * message up to `clock` that could be sent to us came before it. floor: as in broker_dataset,
     * for those who saw nothing of a rewind. */
    void (*on_fence)(void *ctx, struct span epoch, uint64_t clock, uint64_t floor);
};

/*
 * The answer to a publish, exactly one a call, maybe from within the call. err: 0, ERR_UNAVAILABLE,
 * ERR_TIMEOUT, ERR_DENIED; `why` is one line for people, borrowed for the call, NULL when err is 0.
 * receivers: what PUBLISH answered.
 */
typedef void broker_publish_cb(void *arg, int err, const char *why, int64_t receivers);

/*
 * Durable messages. An id is an event id (proto/event_id.h): microseconds, ordered over all
 * channels of a dataset; 0 is none. A notice of each comes as an ordinary message on the channel
 * NOTICE_PREFIX + name (proto/notice.h), to which the hub subscribes as to any other. Each call is
 * answered exactly once, maybe from within the call; err and why as for a publish, and the rest is
 * meaningless unless err is 0.
 */

/* What is to be published; spans are borrowed for the call, ptr NULL where absent. */
struct broker_publication {
    struct span channel, event, data;
    struct span key;            /* the caller's idempotency key */
    uint64_t messages, seconds; /* history kept */
};

/* id: of the message, or of the first one with that key. A call that may or may not have been
 * carried out when the connection was lost is made again, so that the message is there once. */
typedef void broker_durable_cb(void *arg, int err, const char *why, uint64_t id);

enum broker_verdict {
    DATASET_SAME,    /* nothing that was given out can be missing */
    DATASET_NEW,     /* another dataset than the one named, or none was named */
    DATASET_REWOUND, /* it came back with less than it had given out; floor lies above all of it */
};

/* A cursor strictly between the two was told by a Redis that lost what it stands for. */
struct broker_window {
    uint64_t before, first;
};

struct broker_dataset {
    struct span epoch, boot; /* borrowed for the call; opaque */
    uint64_t clock;          /* every id given so far is at most this, every later one is above */
    uint64_t floor;          /* cursors below it may have missed what a rewind took; 0: none */
    uint64_t born;           /* no id of this dataset is below it */
    uint64_t longest_us;     /* of all histories: how long the index remembers a channel */
    enum broker_verdict verdict;
    const struct broker_window *windows; /* borrowed for the call */
    size_t window_count;
};

typedef void broker_hello_cb(void *arg, int err, const char *why,
                             const struct broker_dataset *dataset);

/* A channel and the id of its last message. */
struct broker_change {
    struct span channel; /* borrowed for the call */
    uint64_t id;
};

struct broker_changes {
    const struct broker_change *list; /* in rising order of id */
    size_t count;                     /* less than was asked for: that was all */
    uint64_t pruned; /* above what was asked for: up to it there may have been more, now expired */
};

typedef void broker_changes_cb(void *arg, int err, const char *why,
                               const struct broker_changes *changes);

/* One message of a channel's log; spans are borrowed for the call. */
struct broker_record {
    uint64_t id;
    uint64_t previous;       /* the channel's message before it; 0: none that the index knew */
    struct span event, data; /* event.ptr NULL: none */
};

struct broker_slice {
    const struct broker_record *records; /* rising, all above what was asked for */
    size_t count;
    bool more;     /* there are further ones in the log */
    uint64_t last; /* the channel's last id by the index, also where the log has lost it; 0: none */
    uint64_t lost; /* messages above what was asked for and up to this may be gone; 0: none are */
};

/* The id behind which a channel's last messages lie; 0: its log has no others. */
typedef void broker_back_cb(void *arg, int err, const char *why, uint64_t id);

typedef void broker_slice_cb(void *arg, int err, const char *why, const struct broker_slice *slice);

/* What a function of the library answered, as text; borrowed for the call. */
typedef void broker_text_cb(void *arg, int err, const char *why, struct span text);

/* How many keys went; it may take seconds. */
typedef void broker_count_cb(void *arg, int err, const char *why, uint64_t count);

struct broker;

struct broker_ops {
    /*
     * Asks for a subscription, or its end; the broker remembers what is wanted and makes it so at
     * every connection. A name is subscribed at most once; the hub sees to that.
     */
    void (*subscribe)(struct broker *b, enum topic_kind kind, struct span name);
    void (*unsubscribe)(struct broker *b, enum topic_kind kind, struct span name);
    void (*publish)(struct broker *b, struct span channel, struct span payload,
                    broker_publish_cb *cb, void *arg);
    void (*publish_durable)(struct broker *b, const struct broker_publication *publication,
                            broker_durable_cb *cb, void *arg);
    /*
     * What dataset is it, and has it everything up to `highest`, the highest id seen of the dataset
     * that `epoch` and `boot` name (from the last answer; empty at first)? To be asked after each
     * on_up, before the other calls below.
     */
    void (*hello)(struct broker *b, struct span epoch, struct span boot, uint64_t highest,
                  broker_hello_cb *cb, void *arg);
    /* Asks for an on_fence; without any answer when the connection goes first. */
    void (*fence)(struct broker *b);
    /* The channels whose last message is above `after`, up to `limit` of them. */
    void (*changed)(struct broker *b, uint64_t after, uint32_t limit, broker_changes_cb *cb,
                    void *arg);
    /* A channel's messages above `after`: up to `limit` of them and, beyond the first, `bytes`. */
    void (*read)(struct broker *b, struct span channel, uint64_t after, uint32_t limit,
                 uint64_t bytes, broker_slice_cb *cb, void *arg);
    /* Where the last `count` messages of a channel begin, or as many of them as have `bytes`. NULL:
     * this broker need not be spared reading all. */
    void (*back)(struct broker *b, struct span channel, uint32_t count, uint64_t bytes,
                 broker_back_cb *cb, void *arg);
    /*
     * Calls a function of the library that answers text, such as "sluice_peers". One that has the
     * argument pair "key" <key> is made again after a lost connection, as a durable publish is;
     * others are then answered ERR_UNAVAILABLE. ERR_INVALID: the function refused; why is its word.
     */
    void (*call)(struct broker *b, const char *function, const struct span *args, size_t count,
                 broker_text_cb *cb, void *arg);
    /* Removes all keys that match the glob, in slices, while other calls go on. */
    void (*sweep)(struct broker *b, struct span pattern, broker_count_cb *cb, void *arg);
    /* Ends it: no callback comes after (calls under way are answered ERR_UNAVAILABLE first). */
    void (*destroy)(struct broker *b);
};

/* An implementation's struct begins with this. */
struct broker {
    const struct broker_ops *ops;       /* borrowed, static */
    const struct broker_events *events; /* borrowed, outlives the broker */
    void *ctx;                          /* borrowed, goes to every event */
};

#endif
