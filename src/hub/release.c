/* Which durable message goes out when; see durable.h. */
#include "base/mem.h"
#include "hub/core_private.h"
#include "proto/channel.h"
#include "proto/event_id.h"

enum {
    SECOND_US = 1000000,
    FENCE_US = 2 * SECOND_US,
    STAY_US = 2 * FENCE_US,
    FENCE_LATE_US = 10 * SECOND_US,
    HELD_BYTES = 16 << 20,
    LOOKS = 1000,       /* at histories that may be forgotten: with each fence, */
    LOOKS_MOST = 10000, /* and in one turn */
};

void durable_init(struct core *core, uint64_t budget)
{
    struct durable *d = &core->durable;
    d->histories = histories_create(budget);
    notes_init(&d->held);
    list_init(&d->waiting);
    list_init(&d->unsettled);
    list_init(&d->wanted);
}

void durable_fini(struct core *core)
{
    struct durable *d = &core->durable;
    heal_end(core);
    replay_end(core);
    notes_clear(&d->held);
    histories_destroy(&d->histories);
    mem_free(d->sources);
    mem_free(d->windows);
    mem_free(d->why);
    buf_free(&d->epoch);
    buf_free(&d->boot);
    buf_free(&d->foreign);
}

uint64_t durable_head(const struct core *core)
{
    const struct durable *d = &core->durable;
    return d->released > d->frontier ? d->released : d->frontier;
}

/* For each topic that listens to a channel. */
static void each_topic(struct core *core, struct span channel,
                       void (*fn)(struct core *core, struct topic *t, const void *arg),
                       const void *arg)
{
    struct topic *own = topics_find(core->topics, TOPIC_CHANNEL, channel);
    if (own)
        fn(core, own, arg);
    LIST_FOREACH (n, topics_patterns(core->topics)) {
        struct topic *t = LIST_ENTRY(n, struct topic, node);
        if (topic_matches(t, channel))
            fn(core, t, arg);
    }
}

/* Release */

static void tell_late(struct core *core, struct topic *t, const void *arg)
{
    core_tell_late(core, t, *(const uint64_t *)arg);
}

void durable_release(struct core *core, struct history *h, const struct note *n)
{
    struct durable *d = &core->durable;
    const struct namespace_settings *ns =
        namespaces_find(core->options.namespaces, history_name(h));
    struct span data = core_as_utf8(core, note_data(n), &core->data);
    struct ring_entry entry = durable_entry(core, history_name(h), n->id, note_event(n), data);
    uint64_t age = ns->history_seconds * SECOND_US;
    if (age > d->longest_us) /* the dataset's is that of the last hello */
        d->longest_us = age;
    history_push(d->histories, h, &entry, ns->history_messages, n->id > age ? n->id - age : 0);
    if (n->id <= durable_head(core)) {
        metrics_add(&core->options.metrics->late_messages, 1);
        each_topic(core, history_name(h), tell_late, &n->id);
    }
    struct sse_event event = {.event = note_event(n), .data = data};
    char text[EVENT_ID_TEXT];
    event.id = span_make(text, event_id_format(text, n->id));
    if (event.event.len == 0)
        event.event.ptr = NULL;
    struct fanout f = {.channel = history_name(h),
                       .event = event,
                       .forms = {entry.forms[0], entry.forms[1]},
                       .id = n->id,
                       .born_us = entry.forms[0]->born_us};
    core_fan_out(core, &f);
    if (f.forms[1] && !entry.forms[1]) { /* made for a stream: the ring has it too */
        uint64_t upto;
        struct ring_entry *in_ring = history_next(h, n->id - 1, &upto);
        frame_count(f.forms[1], &d->alive);
        if (in_ring && in_ring->id == n->id)
            history_set_wrapped(d->histories, h, in_ring, frame_ref(f.forms[1]));
    }
    frame_unref(f.forms[0]);
    frame_unref(f.forms[1]);
    if (n->id > d->released)
        d->released = n->id;
    metrics_add(&core->options.metrics->durable_messages, 1);
    if (f.posted)
        metrics_add(&core->options.metrics->messages, 1);
}

static void tell_lost(struct core *core, struct topic *t, const void *gap)
{
    core_tell_durable_gap(core, t, gap);
}

void durable_lost(struct core *core, struct history *h, uint64_t upto, const char *reason)
{
    struct durable *d = &core->durable;
    /* Who is past it must not be sent back by the gap's id. */
    uint64_t id = upto > durable_head(core) ? upto : 0;
    const struct durable_gap gap = {.reason = reason, .from = h->known, .upto = upto, .id = id};
    if (upto <= h->known)
        return;
    h->known = upto;
    if (upto > h->trimmed)
        h->trimmed = upto;
    histories_touch(d->histories, h, upto);
    if (upto > d->released)
        d->released = upto;
    each_topic(core, history_name(h), tell_lost, &gap);
}

/* One notice in its turn: releases it, knows it already, or finds a hole (false). */
static bool take(struct core *core, struct note *n)
{
    const struct durable *d = &core->durable;
    /* It was held before it was known whose it is; or nobody listens any more. */
    if (!span_eq(span_make(n->epoch, sizeof(n->epoch)), buf_view(&d->epoch)) ||
        !durable_covered(core, note_channel(n)))
        return true;
    struct history *h = durable_history(core, note_channel(n));
    if (n->id <= h->known)
        return true;
    /* What came just before a subscription is no hole: nobody is to have it but from the log. */
    if (n->previous > h->known && !durable_settled(core, note_channel(n)))
        history_reset(core->durable.histories, h, n->previous);
#ifndef SLUICE_MUTANT_no_holes
    if (n->previous > h->known) {
        if (!n->tried) {
            n->tried = true;
            return false;
        }
        /* It was looked for, and the broker has lost it too. */
        durable_lost(core, h, n->previous, "trimmed");
    }
#endif
    durable_release(core, h, n);
    return true;
}

/* Keeps it until the healing is over. Takes ownership. */
static void hold(struct core *core, struct note *n)
{
    struct durable *d = &core->durable;
    if (d->held.bytes > HELD_BYTES) {
        notes_clear(&d->held);
        d->held_dropped = true;
    }
    notes_append(&d->held, n);
}

void durable_live(struct core *core)
{
    struct durable *d = &core->durable;
    d->state = DURABLE_LIVE;
    d->look = true;
    while (d->state == DURABLE_LIVE && d->held.head) {
        if (!take(core, d->held.head)) {
            metrics_add(&core->options.metrics->holes, 1);
            d->hole = true;
            heal_begin(core);
            return;
        }
        mem_free(notes_take(&d->held));
    }
    d->fence_due_us = 1; /* at once: then the frontier is known */
}

void durable_up(struct core *core)
{
    if (core->durable.needed || namespaces_durable(core->options.namespaces))
        dataset_ask(core);
}

void durable_need(struct core *core)
{
    core->durable.needed = true;
    if (core->durable.state == DURABLE_OFF && core->up)
        durable_up(core);
}

void durable_down(struct core *core)
{
    struct durable *d = &core->durable;
    heal_end(core);
    notes_clear(&d->held);
    d->held_dropped = false;
    d->state = DURABLE_OFF;
    d->asked++;
    d->fences_back = d->fences; /* those under way come no more */
    d->fenced = d->indexing = d->ask_again = d->heal_again = false;
    d->fence_due_us = 0;
    for (struct history *h = histories_latest(d->histories); h;
         h = histories_before(d->histories, h))
        h->filling = false;
    d->unconfirmed = 0;
    for (int kind = 0; kind < 2; kind++) {
        size_t cursor = 0;
        for (struct topic *t; (t = topics_next(core->topics, kind, &cursor));)
            d->unconfirmed += t->awaited = t->wanted & PART_NOTES && t->state != TOPIC_LEAVING &&
                                           (t->had || t->state == TOPIC_ACTIVE);
    }
}

void durable_settings(struct core *core)
{
    if (core->durable.state == DURABLE_OFF && core->up)
        durable_up(core);
}

/* Notices */

static void take_notice(struct core *core, struct note *n)
{
    struct durable *d = &core->durable;
    bool in_turn = d->state == DURABLE_LIVE;
#ifdef SLUICE_MUTANT_no_order
    in_turn = in_turn || d->state == DURABLE_HEALING;
#endif
    if (in_turn && take(core, n)) {
        mem_free(n);
        return;
    }
    bool hole = d->state == DURABLE_LIVE;
    hold(core, n);
    if (!hole)
        return;
    metrics_add(&core->options.metrics->holes, 1);
    d->hole = true;
    heal_begin(core);
}

void durable_notice(struct core *core, struct span channel, struct span payload)
{
    struct durable *d = &core->durable;
    struct notice notice;
    if (d->state == DURABLE_OFF || d->state == DURABLE_REFUSED)
        return;
    if (!core_strip(core, TOPIC_CHANNEL, &channel) ||
        (channel_name_error(channel, SIZE_MAX) && !span_is(channel, FEED_CHANNEL)))
        return;
    if (notice_parse(payload, &notice) != NULL) {
        metrics_add(&core->options.metrics->foreign_notices, 1);
        return;
    }
    if (span_eq(notice.epoch, buf_view(&d->epoch)))
        dataset_heard(core, notice.id);
    if (!durable_covered(core, channel))
        return;
    /* While the dataset is being asked for, it may be either. */
    if (d->state != DURABLE_HELLO && !dataset_is_ours(core, notice.epoch))
        return;
    struct note *n = note_create(channel, notice.event, notice.data, notice.id, notice.previous);
    memcpy(n->epoch, notice.epoch.ptr, NOTICE_EPOCH_BYTES);
    take_notice(core, n);
}

void durable_doubt(struct core *core)
{
    struct durable *d = &core->durable;
    if (d->state == DURABLE_LIVE) {
        d->hole = true;
        heal_begin(core);
    } else {
        d->held_dropped = true;
    }
}

/* A pattern's replay that begins before the channel's last message must ask the index again. */
static void forget(struct core *core, struct history *h)
{
    LIST_FOREACH (n, topics_patterns(core->topics)) {
        struct topic *t = LIST_ENTRY(n, struct topic, node);
        if (t->indexed < h->last && topic_matches(t, history_name(h)))
            t->indexed = h->last;
    }
    histories_remove(core->durable.histories, h);
}

/*
 * Channels that hardly a cursor can ask for any more, because the index forgets them too, and
 * patterns may have brought very many of them. Two are looked at for each that was added, so that
 * they go as fast as they come; the walk goes on where it was, since those that somebody listens to
 * by name stay, and may be the oldest of all.
 */
static void forget_old(struct core *core)
{
    struct durable *d = &core->durable;
    size_t most = d->looks_due < LOOKS_MOST ? d->looks_due : LOOKS_MOST;
    uint64_t old = d->clock > d->longest_us ? d->clock - d->longest_us : 0;
    old = old < d->frontier ? old : d->frontier;
    d->looks_due -= most;
    for (; most; most--) {
        struct history *h = histories_walk(d->histories, old);
        if (!h) {
            d->looks_due = 0;
            return;
        }
        /* What the index has just told of may be what a replay waits for, and would ask for again.
         */
        if (h->last && h->added_us + STAY_US < d->fence_due_us &&
            !topics_find(core->topics, TOPIC_CHANNEL, history_name(h)))
            forget(core, h);
    }
}

uint64_t durable_tick(struct core *core, uint64_t now)
{
    struct durable *d = &core->durable;
    if (d->state == DURABLE_OFF || !core->broker)
        return 0;
    forget_old(core);
    if (d->fence_due_us > now)
        return d->fence_due_us;
    d->fence_due_us = now + FENCE_US;
    if (d->state == DURABLE_REFUSED) {
        dataset_ask(core);
        return d->fence_due_us;
    }
    d->looks_due += LOOKS;
    histories_enforce(d->histories, d->turn);
    metrics_set(&core->options.metrics->ring_bytes, histories_bytes(d->histories));
    d->look = true; /* a read that failed is made again */
    if (d->ask_again) {
        d->ask_again = false;
        dataset_ask(core);
    } else if (d->heal_again) {
        d->heal_again = false;
        heal_begin(core);
    } else if (d->state == DURABLE_LIVE && (!d->fenced || now - d->fenced_us > FENCE_LATE_US)) {
        beat_send(core);
    }
    return d->fence_due_us;
}
