#include "broker/broker_redis/backoff.h"

enum { LEAST_MS = 20, FIRST_MS = 100, MOST_MS = 5000, DOUBLINGS = 6 };

uint32_t backoff_next(struct backoff *b, uint32_t chance)
{
    uint32_t bound = (uint32_t)FIRST_MS << (b->failures < DOUBLINGS ? b->failures : DOUBLINGS);
    if (bound > MOST_MS)
        bound = MOST_MS;
    b->failures++;
    return LEAST_MS + (uint32_t)((uint64_t)chance * (bound - LEAST_MS) >> 32);
}
