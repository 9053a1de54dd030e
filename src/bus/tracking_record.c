/* What the recorder announces: keys in batches, one after the other, or a flush. */
#include "base/err.h"
#include "base/log.h"
#include "bus/tracking_private.h"
#include "proto/invalidation.h"

#include <stdio.h>

enum { BATCH_KEYS = 1000, BATCH_BYTES = 64 * 1024 };

static const uint64_t retry_us = 1000000;

void tracker_drop_announcement(struct tracker *t)
{
    tracked_free_batch(&t->sent_off.keys);
    t->sent_off.doubt = NULL;
    t->sent_off.under_way = false;
}

/* A call whose outcome is not known is made again under another key, since more may go with it. */
static void take_back(struct tracker *t)
{
    uint64_t mark = t->recorder ? t->sent_off.mark : tracker_mark(t);
    const char *doubt = t->sent_off.doubt ? t->sent_off.doubt : t->tracked.doubt;
    if (doubt)
        tracked_doubt(&t->tracked, doubt, mark, true);
    else
        tracked_put_back(&t->tracked, &t->sent_off.keys, mark);
    tracker_drop_announcement(t);
}

static void announced(struct tracker *t)
{
    if (t->sent_off.doubt)
        metrics_add(&t->options.metrics->tracking_flushes, 1);
    if (t->failing)
        log_info("bus", "what tracking saw is announced again");
    t->failing = false;
    tracker_drop_announcement(t);
}

static void on_announced(void *arg, int err, const char *why, struct span text)
{
    struct tracker *t = tracker_take_call(arg);
    if (!t)
        return;
    if (!err && answer_id(text, "id") > 0) {
        announced(t);
        return;
    }
    bool keys = !t->sent_off.doubt;
    take_back(t);
    if (!err) {
        tracker_set_recorder(t, false);
        return;
    }
    tracker_say_failure(t, err, why);
    t->retry_due_us = clock_mono_us(t->options.clock) + retry_us;
    if (err == ERR_INVALID && keys)
        tracker_doubt(t, "name"); /* it would be refused again */
}

static void write_batch(const struct tracker *t, struct buf *out)
{
    struct invalidation inv = {0};
    LIST_FOREACH (n, &t->sent_off.keys) {
        const struct tracked_key *k = LIST_ENTRY(n, struct tracked_key, node);
        (void)invalidation_add(&inv, INVALIDATION_KEYS, span_make(k->name, k->len));
    }
    invalidation_write(&inv, "tracking", out);
    invalidation_free(&inv);
}

static void send_off(struct tracker *t, const char *function, struct span what)
{
    char key[2 * WHO_TEXT];
    snprintf(key, sizeof(key), "tracking %s %llu", t->who, (unsigned long long)++t->batches);
    const struct span args[] = {
        what,
        span_of("announce"),
        span_of("1"),
        span_of("recorder"),
        span_of(t->who),
        span_of("live"),
        span_of("0"),
        span_of("key"),
        span_of(key),
    };
    t->sent_off.under_way = true;
    t->store.call(t->store.ctx, function, args, sizeof(args) / sizeof(args[0]), on_announced,
                  tracker_call_create(t));
}

/* All that was told by now is part of the flush. */
static void send_flush(struct tracker *t, uint64_t now)
{
    t->sent_off.mark = tracked_oldest(&t->tracked, t->arrived + 1);
    t->sent_off.doubt = tracked_take_doubt(&t->tracked);
    t->flush_due_us = now + retry_us;
    send_off(t, "sluice_flush", span_of(t->sent_off.doubt));
}

static void send_keys(struct tracker *t)
{
    struct buf json = {0};
    t->sent_off.mark = tracked_oldest(&t->tracked, t->arrived + 1);
    tracked_take(&t->tracked, &t->sent_off.keys, BATCH_KEYS, BATCH_BYTES);
    write_batch(t, &json);
    send_off(t, "sluice_invalidate", buf_view(&json));
    buf_free(&json);
}

bool tracker_is_done(const struct tracker *t)
{
    return !t->sent_off.under_way && !t->tracked.doubt && list_empty(&t->tracked.keys);
}

uint64_t tracker_record(struct tracker *t, uint64_t now)
{
    if (!t->recorder || t->sent_off.under_way || tracker_is_done(t))
        return 0;
    uint64_t due = t->retry_due_us;
    if (t->tracked.doubt && t->flush_due_us > due)
        due = t->flush_due_us;
    if (due > now)
        return due;
    if (t->tracked.doubt)
        send_flush(t, now);
    else
        send_keys(t);
    return 0;
}
