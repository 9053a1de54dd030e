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
};

/*
 * The answer to a publish, exactly one a call, maybe from within the call. err: 0, ERR_UNAVAILABLE,
 * ERR_TIMEOUT, ERR_DENIED; `why` is one line for people, borrowed for the call, NULL when err is 0.
 * receivers: what PUBLISH answered.
 */
typedef void broker_publish_cb(void *arg, int err, const char *why, int64_t receivers);

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
    /* Ends it: no callback comes after (publishes under way are answered ERR_UNAVAILABLE first). */
    void (*destroy)(struct broker *b);
};

/* An implementation's struct begins with this. */
struct broker {
    const struct broker_ops *ops;       /* borrowed, static */
    const struct broker_events *events; /* borrowed, outlives the broker */
    void *ctx;                          /* borrowed, goes to every event */
};

#endif
