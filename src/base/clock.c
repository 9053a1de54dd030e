#include "base/clock.h"

#include <time.h>

static uint64_t read_us(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t system_mono_us(void *ctx)
{
    return read_us(CLOCK_MONOTONIC);
}

static uint64_t system_wall_us(void *ctx)
{
    return read_us(CLOCK_REALTIME);
}

const struct clock clock_system = {.mono_us = system_mono_us, .wall_us = system_wall_us};
