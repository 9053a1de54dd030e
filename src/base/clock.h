/*
 * Time, injected: what needs the time is given a clock, so that a test never sleeps. Any thread may
 * read one; `clock_system` is the real one.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

struct clock {
    uint64_t (*mono_us)(void *ctx); /* microseconds, never goes back */
    uint64_t (*wall_us)(void *ctx); /* microseconds since 1970 */
    void *ctx;                      /* borrowed */
};

extern const struct clock clock_system;

static inline uint64_t clock_mono_us(const struct clock *c)
{
    return c->mono_us(c->ctx);
}

static inline uint64_t clock_wall_us(const struct clock *c)
{
    return c->wall_us(c->ctx);
}

#endif
