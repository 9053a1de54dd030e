#include "bus/tracking.h"

#include "base/cast.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/siphash.h"
#include "bus/tracking_private.h"
#include "proto/invalidation.h"

#include <stdio.h>
#include <stdlib.h>

#define OURS "sluice:"

struct tracker_call *tracker_call_create(struct tracker *t)
{
    struct tracker_call *call = mem_zalloc(sizeof(*call));
    *call = (struct tracker_call){.t = t, .term = t->term};
    return call;
}

struct tracker *tracker_take_call(void *arg)
{
    struct tracker_call *call = arg;
    struct tracker *t = CAST_CHECKED(struct tracker, call->t, TRACKER_MAGIC);
    bool current = t->up && call->term == t->term;
    mem_free(call);
    return current ? t : NULL;
}

uint64_t tracker_mark(const struct tracker *t)
{
    if (t->recorder)
        return t->arrived + 1;
    return t->followed[0] ? t->seen + 1 : TRACKED_UNMARKED;
}

void tracker_say_failure(struct tracker *t, int err, const char *why)
{
    if (!t->failing)
        log_warn("bus", "what tracking saw could not be announced, and is tried again: %s",
                 why ? why : err_name(err));
    t->failing = true;
}

void tracker_set_recorder(struct tracker *t, bool recorder)
{
    if (t->recorder == recorder)
        return;
    t->recorder = recorder;
    t->followed[0] = '\0';
    tracked_mark_all(&t->tracked, tracker_mark(t));
    metrics_set(&t->options.metrics->tracking_recorder, recorder);
    log_info("bus", recorder ? "this gateway announces what tracking sees"
                             : "another gateway announces what tracking sees");
}

void tracker_doubt(struct tracker *t, const char *why)
{
    tracked_doubt(&t->tracked, why, tracker_mark(t), !t->recorder);
}

/* What is told */

static void begin_in_doubt(struct tracker *t)
{
    uint64_t now = clock_mono_us(t->options.clock);
    t->recorder = false;
    t->followed[0] = '\0';
    t->sent = t->arrived = t->stamp = t->seen = 0;
    t->beacon_due_us = t->retry_due_us = t->flush_due_us = 0;
    t->swaps = 0;
    t->ticked_us = t->heard_us = now;
    tracker_drop_announcement(t);
    tracked_doubt(&t->tracked, "tracking", TRACKED_UNMARKED, true);
}

void tracker_up(struct tracker *t)
{
    t->up = true;
    t->failing = false;
    snprintf(t->who, sizeof(t->who), "%s.%llu", t->gateway, (unsigned long long)++t->term);
    begin_in_doubt(t);
    metrics_set(&t->options.metrics->tracking_up, 1);
}

void tracker_down(struct tracker *t)
{
    t->up = false;
    begin_in_doubt(t);
    metrics_set(&t->options.metrics->tracking_up, 0);
    metrics_set(&t->options.metrics->tracking_recorder, 0);
}

void tracker_key(struct tracker *t, struct span key)
{
    if (!t->up)
        return;
    t->heard_us = clock_mono_us(t->options.clock);
    if (span_starts(key, BEACONS)) {
        size_t used = sizeof(BEACONS) - 1;
        tracker_beacon(t, span_make(key.ptr + used, key.len - used));
        return;
    }
    if (span_starts(key, OURS))
        return;
    metrics_add(&t->options.metrics->tracking_keys, 1);
    if (invalidation_name_error(INVALIDATION_KEYS, key))
        tracker_doubt(t, "name"); /* no event could name it */
    else
        tracked_add(&t->tracked, key, tracker_mark(t), !t->recorder);
}

void tracker_flush(struct tracker *t)
{
    if (t->up)
        tracker_doubt(t, "flushed");
}

void tracker_spoof(struct tracker *t)
{
    metrics_add(&t->options.metrics->tracking_spoofed, 1);
}

uint64_t tracker_tick(struct tracker *t, uint64_t now)
{
    if (!t->up)
        return 0;
    if (t->leaving)
        return tracker_leave_tick(t, now);
    uint64_t due = tracker_beacons_tick(t, now);
    if (!t->up)
        return 0;
    uint64_t again = tracker_record(t, now);
    return again && again < due ? again : due;
}

/* Life */

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The same for the same prefixes in any order, in any process. */
static uint64_t group_of(const struct tracker_options *options)
{
    static const uint8_t key[16] = {0};
    struct buf all = {0};
    const char **sorted = mem_zalloc((options->prefix_count + 1) * sizeof(*sorted));
    for (size_t i = 0; i < options->prefix_count; i++)
        sorted[i] = options->prefixes[i];
    qsort(sorted, options->prefix_count, sizeof(*sorted), compare_texts);
    for (size_t i = 0; i < options->prefix_count; i++)
        buf_append(&all, sorted[i], strlen(sorted[i]) + 1);
    uint64_t group = siphash13(key, buf_view(&all));
    mem_free(sorted);
    buf_free(&all);
    return group;
}

struct tracker *tracker_create(const struct tracker_options *options)
{
    struct tracker *t = mem_zalloc(sizeof(*t));
    t->magic = TRACKER_MAGIC;
    t->options = *options;
    t->options.store = NULL;
    t->store = *options->store;
    tracked_init(&t->tracked);
    list_init(&t->sent_off.keys);
    char name[17];
    random_hex(name, 16);
    snprintf(t->gateway, sizeof(t->gateway), "%08x-%.16s", (unsigned)group_of(options),
             options->gateway ? options->gateway : name);
    t->options.prefixes = NULL;
    t->options.gateway = NULL;
    return t;
}

void tracker_destroy(struct tracker **t)
{
    if (!*t)
        return;
    tracked_free_batch(&(*t)->sent_off.keys);
    tracked_fini(&(*t)->tracked);
    (*t)->magic = 0;
    mem_free(*t);
    *t = NULL;
}
