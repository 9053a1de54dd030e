/*
 * The parts of the Redis broker put together; for the files of this folder only. Core thread.
 *
 *   broker_redis.c  the vtable, creation and end
 *   session.c       one try after the other: look-up, two connections, their ends, back-off
 *   tracking.c      a second pair of connections beside the session's, where tracking is wanted
 *   pubsub.c        every reply of the pub/sub connection, told apart in one place
 */
#ifndef BROKER_REDIS_REDIS_BROKER_H
#define BROKER_REDIS_REDIS_BROKER_H

#include "broker/broker.h"
#include "broker/broker_redis.h"
#include "broker/broker_redis/backoff.h"
#include "broker/broker_redis/beat.h"
#include "broker/broker_redis/commands.h"
#include "broker/broker_redis/guard.h"
#include "broker/broker_redis/hello.h"
#include "broker/broker_redis/history.h"
#include "broker/broker_redis/link.h"
#include "broker/broker_redis/publications.h"
#include "broker/broker_redis/scripts.h"
#include "broker/broker_redis/subscriptions.h"
#include "broker/broker_redis/tracking.h"

#include <ev.h>

enum { REDIS_BROKER_MAGIC = 0x72656462, WHY_TEXT = 256 };

enum session_state {
    SESSION_NEW,     /* not started */
    SESSION_LOOK_UP, /* where is it? */
    SESSION_COMMAND, /* the command connection is being made */
    SESSION_PUBSUB,  /* and the one for pub/sub */
    SESSION_BEAT,    /* the first beat is on its way round */
    SESSION_READY,
    SESSION_WAITING, /* for the next try */
    SESSION_ENDED,
};

struct redis_broker {
    struct broker base; /* first: it is what the hub holds */
    uint32_t magic;
    struct guard guard;
    struct ev_loop *loop; /* borrowed */
    struct redis_url url; /* owned */
    struct redis_options options;
    bool may_evict; /* as far as it has told */

    enum session_state state;
    struct resolver *resolver;     /* owned */
    struct tls_trust *trust;       /* owned; of the present try */
    struct link *command, *pubsub; /* owned; of the present try */
    struct hello command_hello, pubsub_hello;
    struct commands *commands;           /* owned */
    struct scripts *scripts;             /* owned */
    struct publications *publications;   /* owned */
    struct history *history;             /* owned */
    struct subscriptions *subscriptions; /* owned */
    struct heartbeat *beat;              /* owned */
    struct tracking *tracking;           /* owned; NULL: not wanted */
    struct backoff backoff;
    ev_timer timer;    /* the end of the present try, or the beginning of the next */
    uint64_t ready_at; /* by clock_mono_us */
    uint32_t fences;   /* asked for on this connection and not come round yet */

    char why[WHY_TEXT];       /* why it is unavailable at present */
    char announced[WHY_TEXT]; /* the reason that was told last; empty: "ready" was, or nothing */
    uint64_t announced_at;
    unsigned allowance; /* changed reasons that may still be told */
};

/* session_start: the first try. session_end: no more tries; answers what is under way. */
void session_start(struct redis_broker *r);
void session_end(struct redis_broker *r);

/* session_init: the parts of the session; they go with session_free. */
void session_init(struct redis_broker *r);
void session_free(struct redis_broker *r);

/* session_beat_subscribed: the last step before the first beat. */
void session_beat_subscribed(struct redis_broker *r);

/* session_lost: the connections are of no use; tears them down and waits for the next try. */
void session_lost(struct redis_broker *r, const char *why);

/* pubsub_subscribe_beat: the first thing on a new pub/sub connection. */
void pubsub_subscribe_beat(struct redis_broker *r);

/* pubsub_reply: any reply behind that. */
void pubsub_reply(struct redis_broker *r, const struct redisReply *reply);

#endif
