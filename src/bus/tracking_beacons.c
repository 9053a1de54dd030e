/* Our own beacons, by which the pair of connections is known to be alive, and others' claims. */
#include "base/err.h"
#include "bus/tracking_private.h"

#include <stdio.h>

enum { PATIENCE = 4 }; /* a beacon may be late so often while other keys keep coming */

static const uint64_t beacon_us = 2 * UINT64_C(1000000), late_us = 6 * UINT64_C(1000000);

/* A count that is gone was set back, and tells nothing. */
static void look_at_swaps(struct tracker *t, struct span text)
{
    struct buf count = {0};
    if (answer_field(text, "swaps", &count)) {
        uint64_t swaps = answer_number(text, "swaps") + 1;
        if (t->swaps && swaps != t->swaps && swaps > 1)
            tracker_doubt(t, "swapped");
        t->swaps = swaps;
    }
    buf_free(&count);
}

static void on_recorder(void *arg, int err, const char *why, struct span text)
{
    struct tracker *t = tracker_take_call(arg);
    struct buf who = {0};
    if (!t)
        return;
    if (err)
        tracker_say_failure(t, err, why);
    else if (answer_field(text, "recorder", &who))
        tracker_set_recorder(t, span_is(buf_view(&who), t->who));
    if (!err)
        look_at_swaps(t, text);
    buf_free(&who);
}

/* Of what was told before our own beacon of this number came, all is announced. */
static uint64_t tracker_done(const struct tracker *t)
{
    uint64_t oldest = tracked_oldest(&t->tracked, t->arrived + 1);
    if (t->sent_off.under_way && t->sent_off.mark < oldest)
        oldest = t->sent_off.mark;
    return oldest - 1;
}

/* Who is not known to hear what is written may not be the recorder: two beacons show it. */
static void send_beacon(struct tracker *t, uint64_t now)
{
    char name[2 * WHO_TEXT];
    bool proven = t->arrived >= 2;
    t->sent++;
    t->overdue_us = now + late_us;
    t->patience = 0;
    if (t->recorder)
        snprintf(name, sizeof(name), "%s:%llu:%llu", t->who, (unsigned long long)t->sent,
                 (unsigned long long)tracker_done(t));
    else
        snprintf(name, sizeof(name), "%s:%llu", t->who, (unsigned long long)t->sent);
    const struct span args[] = {span_of(proven ? t->who : ""), span_of(name)};
    t->store.call(t->store.ctx, "sluice_recorder", args, 2, on_recorder, tracker_call_create(t));
}

/* Beacons */

struct beacon {
    uint64_t stamp, number, done;
    struct span who;
    bool claims; /* has done */
};

static bool take_field(struct span *text, struct span *field)
{
    const char *colon = text->len ? memchr(text->ptr, ':', text->len) : NULL;
    size_t len = colon ? (size_t)(colon - text->ptr) : text->len;
    *field = span_make(text->ptr, len);
    *text = span_make(text->ptr + len + (colon != NULL), text->len - len - (colon != NULL));
    return len > 0;
}

static bool take_number(struct span *text, uint64_t *number)
{
    struct span field;
    *number = 0;
    if (!take_field(text, &field) || field.len > 18)
        return false;
    for (size_t i = 0; i < field.len; i++) {
        if (field.ptr[i] < '0' || field.ptr[i] > '9')
            return false;
        *number = *number * 10 + (uint64_t)(field.ptr[i] - '0');
    }
    return true;
}

static bool parse_beacon(struct span text, struct beacon *b)
{
    *b = (struct beacon){0};
    if (!take_number(&text, &b->stamp) || !take_field(&text, &b->who) || b->who.len >= WHO_TEXT ||
        !take_number(&text, &b->number))
        return false;
    b->claims = text.len > 0;
    return !b->claims || (take_number(&text, &b->done) && text.len == 0);
}

static void own_beacon(struct tracker *t, const struct beacon *b)
{
    if (b->number != t->sent || t->arrived == t->sent)
        return; /* its end */
    t->arrived = b->number;
    t->stamp = b->stamp;
    t->beacon_due_us = t->arrived < 3 ? 0 : clock_mono_us(t->options.clock) + beacon_us;
}

static bool of_our_group(const struct tracker *t, struct span who)
{
    for (size_t i = 0; i < who.len && who.ptr[i] == t->gateway[i]; i++)
        if (who.ptr[i] == '-')
            return true;
    return false;
}

/* A beacon lives longer than the time between two of ours, so its end bears a stamp that is past.
 */
static void claim(struct tracker *t, const struct beacon *b)
{
    if (t->recorder || t->arrived == 0 || b->stamp <= t->stamp)
        return;
    t->stamp = b->stamp;
    if (!span_is(b->who, t->followed)) {
        snprintf(t->followed, sizeof(t->followed), "%.*s", (int)b->who.len, b->who.ptr);
        t->seen = b->number;
        tracked_mark_all(&t->tracked, b->number);
        return;
    }
    if (b->number <= t->seen)
        return;
    t->seen = b->number;
    if (b->done > 0)
        tracked_forget(&t->tracked, b->done - 1);
}

void tracker_beacon(struct tracker *t, struct span text)
{
    struct beacon b;
    if (!parse_beacon(text, &b))
        return;
    if (span_is(b.who, t->who))
        own_beacon(t, &b);
    else if (b.claims && of_our_group(t, b.who))
        claim(t, &b);
}

/* Time */

/* The beacon may wait behind many keys; those that come show that Redis is not to blame. */
static void beacon_is_late(struct tracker *t, uint64_t now)
{
    if (t->patience < PATIENCE && now - t->heard_us < late_us / 2) {
        t->patience++;
        t->overdue_us = now + late_us;
        return;
    }
    t->options.restart(t->options.ctx, "what is written does not come back");
}

uint64_t tracker_beacons_tick(struct tracker *t, uint64_t now)
{
    /* This process itself stood still: what has come meanwhile is not read yet. */
    if (now - t->ticked_us > beacon_us + beacon_us / 2)
        t->overdue_us = now + late_us;
    t->ticked_us = now;
    if (t->sent == t->arrived && now >= t->beacon_due_us)
        send_beacon(t, now);
    else if (t->sent > t->arrived && now >= t->overdue_us)
        beacon_is_late(t, now);
    if (t->sent == t->arrived)
        return t->beacon_due_us > now ? t->beacon_due_us : now + 1;
    return t->overdue_us < now + beacon_us ? t->overdue_us : now + beacon_us;
}
