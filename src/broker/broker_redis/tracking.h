/*
 * Server-assisted client tracking: two connections, one that listens on __redis__:invalidate and
 * one that asks Redis to tell it there (CLIENT TRACKING ON REDIRECT … BCAST PREFIX …). Neither is
 * of any use without the other, and when the first dies Redis says nothing to the second: so they
 * begin and end together. Whether what is told is whole is for the owner to find out, by beacons:
 * keys that it sets below TRACKING_BEACONS. Core thread.
 *
 * Redis tells the keys of a turn of its loop when the turn ends, prefix by prefix, whatever the
 * database. So a key may come behind another that was written later in the same turn.
 */
#ifndef BROKER_REDIS_TRACKING_H
#define BROKER_REDIS_TRACKING_H

#include "broker/broker_redis.h"
#include "broker/broker_redis/guard.h"
#include "broker/broker_redis/link.h"

#include <stddef.h>
#include <stdint.h>

struct ev_loop;
struct tracking; /* opaque */

struct tracking_options {
    struct guard *guard;                  /* borrowed */
    const struct redis_url *url;          /* borrowed */
    uint32_t connect_timeout_ms;          /* for both connections together */
    uint32_t ping_interval_ms;            /* so that Redis does not end the second for being idle */
    uint32_t unacked_ms;                  /* as link_options */
    const char *const *prefixes;          /* borrowed for the call */
    size_t prefix_count;                  /* up to TRACKING_PREFIXES */
    const struct tracking_events *events; /* borrowed, static */
    void *ctx;                            /* borrowed */
};

/* tracking_create: owned by the caller. */
struct tracking *tracking_create(struct ev_loop *loop, const struct tracking_options *options);
void tracking_destroy(struct tracking **t);

/* tracking_begin: the session is ready at this address; makes the pair, again and again. */
void tracking_begin(struct tracking *t, const struct address *address);

/* tracking_end: the session is over: no pair until the next tracking_begin. */
void tracking_end(struct tracking *t, const char *why);

/* tracking_restart: this pair is of no use; another is made. */
void tracking_restart(struct tracking *t, const char *why);

#endif
