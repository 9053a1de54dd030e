/*
 * A histogram of durations in nanoseconds whose buckets are at most 1/128 of their value wide.
 * Nothing is allocated; recording is a few instructions.
 */
#ifndef SWARM_HISTOGRAM_H
#define SWARM_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_STEPS = 128, HISTOGRAM_BUCKETS = HISTOGRAM_STEPS * 40 };

struct histogram {
    uint64_t count, max_ns;
    uint32_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_reset(struct histogram *h);
void histogram_record(struct histogram *h, uint64_t ns);

/* histogram_at: the duration below which `share` (0..1) of the records lie; 0 when there are none.
 */
uint64_t histogram_at(const struct histogram *h, double share);

#endif
