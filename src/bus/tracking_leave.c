/* The recorder's good end: another need not wait for its lease to lapse. */
#include "bus/tracking_private.h"

static const uint64_t leave_us = 1000000;

/* Also where Redis refused: then the lease lapses by itself. */
static void on_left(void *arg, int err, const char *why, struct span text)
{
    struct tracker *t = tracker_take_call(arg);
    if (t)
        t->recorder = false;
}

void tracker_leave(struct tracker *t)
{
    if (t->leaving)
        return;
    t->leaving = true;
    t->leave_until_us = clock_mono_us(t->options.clock) + leave_us;
}

bool tracker_left(const struct tracker *t)
{
    return !t->up || !t->recorder || clock_mono_us(t->options.clock) >= t->leave_until_us;
}

/* No beacons go out any more: they would take the lease back. */
uint64_t tracker_leave_tick(struct tracker *t, uint64_t now)
{
    if (tracker_left(t))
        return 0;
    if (t->released || !tracker_is_done(t)) {
        uint64_t again = t->released ? 0 : tracker_record(t, now);
        return again && again < t->leave_until_us ? again : t->leave_until_us;
    }
    const struct span args[] = {span_of(t->who)};
    t->released = true;
    t->store.call(t->store.ctx, "sluice_recorder_leave", args, 1, on_left, tracker_call_create(t));
    return t->leave_until_us;
}
