/*
 * The gateway as a whole: what main.c creates in order and destroys in reverse. Part of the
 * composition root; the main thread, which is the core's.
 */
#ifndef GATEWAY_H
#define GATEWAY_H

#include "broker/broker.h"
#include "bus/bus.h"
#include "bus/tracking.h"
#include "http/server.h"
#include "hub/core.h"
#include "policy.h"

#include <ev.h>

#define GATEWAY_MAGIC 0x6a7ea001u

struct gateway {
    uint32_t magic;
    int argc; /* the words of `serve`, for a reload */
    char **argv;
    struct policy *first;     /* owned: of the start; what needs a restart is as it says */
    struct policy *policy;    /* owned: in force; may be the first */
    struct policy *old;       /* owned: replaced, but some worker may still use it; NULL */
    struct metrics **metrics; /* owned, each; [workers + 1], the core's last */
    uint32_t workers;
    struct http_server *http; /* owned */
    struct core *core;        /* owned */
    struct broker *broker;    /* owned */
    struct bus *bus;          /* owned */
    struct tracker *tracker;  /* owned; NULL: no prefixes are tracked */
    struct uplink uplink;
    struct ev_loop *loop; /* owned */
    ev_async wake;
    ev_prepare turn;
    ev_timer tick;
    ev_signal terminate, interrupt, hangup;
    bool stopping;
    bool over;         /* the workers have ended */
    uint64_t hurry_us; /* monotonic: when it has been drained for long enough; 0: not due */
    bool hangup_again; /* one came while the last one's reload was not done */
    uint32_t max_connections;
};

/*
 * Where the bus meets the core and the broker, and nowhere else (joints.c). joints_create_bus comes
 * before the core, which is told of it by joints_core_hooks; joints_start_tracking behind the
 * broker, and does nothing where no prefixes are tracked.
 */
void joints_create_bus(struct gateway *g);
struct core_hooks joints_core_hooks(struct gateway *g);
void joints_start_tracking(struct gateway *g);

/* descriptors_set: as many as `connections` (0: as the system gives) need, or as there are. Returns
 * how many connections there may be. */
uint32_t descriptors_set(uint32_t connections);

#endif
