#include "cli/backoff.h"

static uint64_t doubled(uint64_t ms, unsigned times, uint64_t most)
{
    for (unsigned i = 0; i < times && ms < most; i++)
        ms *= 2;
    return ms < most ? ms : most;
}

uint32_t backoff_ms(uint32_t retry_ms, unsigned refusals, uint32_t asked_ms, uint32_t chance)
{
    uint64_t ms = retry_ms > BACKOFF_LEAST_MS ? retry_ms : BACKOFF_LEAST_MS;
    uint64_t most = ms > BACKOFF_MOST_MS ? ms : BACKOFF_MOST_MS;
    uint64_t asked = asked_ms < BACKOFF_MOST_ASKED_MS ? asked_ms : BACKOFF_MOST_ASKED_MS;
    if (refusals > 1)
        ms = doubled(ms, refusals - 1, most);
    if (ms < asked)
        ms = asked;
    ms += chance % (ms / 4 + 1);
    return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}
