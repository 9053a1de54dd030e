/* The inside of replay, shared by replay.c and replay_slice.c only. */
#ifndef HUB_REPLAY_PRIVATE_H
#define HUB_REPLAY_PRIVATE_H

#include "hub/core_private.h"

/* A request that is not answered yet. */
struct waiter {
    struct list node;
    uint32_t worker;
    bool waited;    /* for a read */
    uint64_t fence; /* the fence that it waits for; 0: none */
    bool begun;     /* `after` is where it begins */
    bool backed;    /* `after` is where the last messages begin, as far as that is known */
    uint64_t after;
    struct replay_request *request; /* owned */
};

/* A channel of a slice that is being made. */
struct source {
    struct history *history;
    uint64_t after; /* the id it has given last */
    uint64_t next;  /* of what it offers next; UINT64_MAX: nothing */
    bool lacks;     /* that is a gap, not a message */
};

struct making {
    struct core *core;
    struct waiter *waiter;
    struct source *sources; /* owned */
    size_t count, cap;
    struct replay_slice *slice; /* owned */
    size_t cap_items;
    uint64_t bytes, at;
    uint64_t most_bytes, most_last; /* of bytes; `last` until each source has begun */
    uint64_t begins; /* the last of the sources begins behind it; for others than the last
                      * messages all begin behind the waiter's `after` */
    uint64_t upto;   /* up to it nothing comes but what the sources offer */
};

/* replay_slice_make: the slice of a waiter whose sources all reach back far enough; owned. */
struct replay_slice *replay_slice_make(struct making *m);

#endif
