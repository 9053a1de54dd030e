/*
 * What Redis's client tracking tells, as events of the feed. Every gateway is told of every changed
 * key; one of them, the recorder, announces (sluice_invalidate with announce and recorder), and the
 * others keep what they were told until they know that the recorder has announced it, so that the
 * one that takes its place can. Where any of it is in doubt, a flush is announced.
 *
 * How they know: every gateway sets beacons, keys which all are told of like any other key
 * (sluice_recorder): "sluice:track:<n>:<who>:<number>"; and the recorder adds ":<done>": of what it
 * was told before its beacon `done` arrived, all is announced. It sets a beacon only when the last
 * one has come back, so two are never set in one turn of Redis's loop, and what is told to anybody
 * before beacon j was told to the recorder before its beacon j + 1: within a turn, keys come in
 * another order than they were written. So what came before j is forgotten at `done` > j. Claims
 * are true whoever makes them: a recorder that lost its lease without noticing does no harm. `n`
 * rises over all beacons, by which the end of a beacon's life is told from its beginning.
 *
 * Redis does not tell who wrote. So what the bus itself deletes, or sluice_fill stores, is
 * announced a second time with cause tracking: that costs a miss, where leaving it out could hide
 * another's write of the same turn.
 *
 * Of a swap of databases Redis tells nobody: sluice_recorder counts them, and one more is a doubt.
 *
 * A new pair of connections begins in doubt, which is forgotten as keys are: so a gateway that
 * joins costs no flush, and the only one does. Core thread; no sockets, no Redis.
 */
#ifndef BUS_TRACKING_H
#define BUS_TRACKING_H

#include "base/clock.h"
#include "bus/bus.h"
#include "ops/metrics.h"

#include <stdint.h>

struct tracker; /* opaque */

struct tracker_options {
    const struct bus_store *store; /* borrowed for the call; only `call` is used */
    /* The pair of connections is of no use: it does not bring back what was written. */
    void (*restart)(void *ctx, const char *why);
    void *ctx;                 /* borrowed */
    const struct clock *clock; /* borrowed */
    struct metrics *metrics;   /* borrowed: the core thread's own */
    const char *gateway;       /* borrowed for the call: letters and digits; NULL: random */
    /* Borrowed for the call. Gateways with other prefixes are told of other keys, so that none can
     * take another's place: they are a group of their own. */
    const char *const *prefixes;
    size_t prefix_count;
};

struct tracker *tracker_create(const struct tracker_options *options);
/* tracker_destroy: after the store has answered all its calls. NULL is allowed. */
void tracker_destroy(struct tracker **t);

/* As struct tracking_events of the broker tells. */
void tracker_up(struct tracker *t);
void tracker_down(struct tracker *t);
void tracker_key(struct tracker *t, struct span key);
void tracker_flush(struct tracker *t);
void tracker_spoof(struct tracker *t);

/* tracker_leave: what it was told is announced, then another may record at once. tracker_left: that
 * is done, or cannot be done, or has taken a second: then the others wait for the lease to end. */
void tracker_leave(struct tracker *t);
bool tracker_left(const struct tracker *t);

/* tracker_tick: does what is due; when to call again, monotonic microseconds; 0: never. */
uint64_t tracker_tick(struct tracker *t, uint64_t now);

#endif
