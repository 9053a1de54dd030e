/*
 * The hub may destroy the broker from within any callback. So whoever is about to call back holds
 * the guard, and the memory goes when the last holder leaves. Core thread.
 */
#ifndef BROKER_REDIS_GUARD_H
#define BROKER_REDIS_GUARD_H

#include <stdbool.h>

struct guard {
    unsigned depth; /* holders, one inside the other */
    bool ended;
    void (*release)(void *owner);
    void *owner; /* borrowed: whom release frees, and this guard with it */
};

static inline void guard_enter(struct guard *g)
{
    g->depth++;
}

/* After this the owner may be gone. */
static inline void guard_leave(struct guard *g)
{
    if (--g->depth == 0 && g->ended)
        g->release(g->owner);
}

#endif
