/*
 * Deadlines of one worker's connections: a timer wheel of whole seconds, driven by one libev timer
 * that is armed for the next second that has anything in it, and not at all when the wheel is
 * empty. An
 * entry is O(1) to set and clear. An entry may be set later than its slot was made: the owner looks
 * again when it fires.
 */
#ifndef HTTP_WHEEL_H
#define HTTP_WHEEL_H

#include "base/clock.h"
#include "base/list.h"

#include <ev.h>
#include <stdint.h>

enum { WHEEL_SLOTS = 128 };

struct wheel_entry {
    struct list node;
    uint64_t due; /* seconds of the monotonic clock */
};

struct wheel {
    struct list slots[WHEEL_SLOTS];
    struct ev_loop *loop;      /* borrowed */
    const struct clock *clock; /* borrowed */
    ev_timer timer;
    uint64_t done; /* all seconds up to this one have fired */
    uint32_t count;
    void (*fire)(void *ctx, struct wheel_entry *e); /* e is out of the wheel */
    void *ctx;                                      /* borrowed */
};

void wheel_init(struct wheel *w, struct ev_loop *loop, const struct clock *clock,
                void (*fire)(void *ctx, struct wheel_entry *e), void *ctx);
void wheel_fini(struct wheel *w);
/* wheel_set: e fires `seconds` (at least 1) from now or less than a second later; it may be in the
 * wheel already. */
void wheel_set(struct wheel *w, struct wheel_entry *e, uint32_t seconds);
void wheel_clear(struct wheel *w, struct wheel_entry *e);

#endif
