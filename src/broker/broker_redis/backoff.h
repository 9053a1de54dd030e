/*
 * How long to wait before the next try: full jitter, as in Marc Brooker, "Exponential Backoff And
 * Jitter" (AWS Architecture Blog, 2015), so that the gateways of a site do not come back in step.
 * Pure: the caller brings the chance.
 */
#ifndef BROKER_REDIS_BACKOFF_H
#define BROKER_REDIS_BACKOFF_H

#include <stdint.h>

struct backoff {
    unsigned failures; /* in a row; a zeroed struct is the beginning */
};

/* backoff_next: counts a failure; milliseconds to wait, 20 to 5000. `chance` is any 32 bits. */
uint32_t backoff_next(struct backoff *b, uint32_t chance);

static inline void backoff_reset(struct backoff *b)
{
    b->failures = 0;
}

#endif
