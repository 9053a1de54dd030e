/*
 * From a message of the broker to frames in the lanes.
 *
 * Redis sends one copy of a publication for the channel and one for each pattern that matches. Just
 * one copy counts: the channel's own where that subscription is confirmed, else that of the first
 * confirmed pattern that matches; without any it is nobody's, since the hub counts on no other
 * subscription, though Redis may still have one. Confirmations and messages come in one order on
 * one connection, so which copies there are is known exactly, and nothing need be compared or
 * remembered. Who gets it, the gateway's own matching decides.
 */
#include "base/cast.h"
#include "base/log.h"
#include "hub/core_private.h"
#include "proto/channel.h"
#include "proto/envelope.h"
#include "proto/json_text.h"
#include "proto/sse.h"
#include "proto/utf8.h"

/* One publication on its way to the lanes. */
struct fanout {
    struct core *core;
    struct span channel;
    struct sse_event event;
    struct frame *forms[2]; /* plain, wrapped: made on first need */
    uint64_t born_us;
    bool posted;
};

static bool is_the_copy(struct core *core, struct span channel, struct span pattern)
{
    const struct topic *own = topics_find(core->topics, TOPIC_CHANNEL, channel);
    if (own && own->confirmed)
        return pattern.ptr == NULL;
    if (!pattern.ptr)
        return false;
    LIST_FOREACH (n, topics_patterns(core->topics)) {
        const struct topic *t = LIST_ENTRY(n, struct topic, node);
        if (t->confirmed && topic_matches(t, channel))
            return span_eq(topic_span(t), pattern);
    }
    return false;
}

/*
 * Whether this copy is to be passed on; takes the prefix off the name. Reserved names are the
 * gateway's and others' own business: a pattern that sees them is not told.
 */
static bool take_copy(struct core *core, struct span *channel, struct span pattern)
{
    if (!core_strip(core, TOPIC_CHANNEL, channel))
        return false;
    if (pattern.ptr && !core_strip(core, TOPIC_PATTERN, &pattern))
        return false;
    if (!is_the_copy(core, *channel, pattern) || channel_reserved(*channel))
        return false;
    if (!channel_name_error(*channel, SIZE_MAX))
        return true;
    metrics_add(&core->options.metrics->dropped_name, 1);
    return false;
}

static struct frame *make_frame(struct fanout *f, bool wrapped)
{
    struct core *core = f->core;
    struct sse_event event = f->event;
    if (wrapped) {
        buf_reset(&core->wrap);
        sse_wrap(&core->wrap, f->channel, &f->event);
        event = (struct sse_event){.id = f->event.id, .data = buf_view(&core->wrap)};
    }
    buf_reset(&core->sse);
    sse_encode(&core->sse, &event);
    return frame_create(buf_view(&core->sse), f->born_us);
}

static void post_slot(struct fanout *f, struct topic *t, uint32_t slot)
{
    struct core *core = f->core;
    bool wrapped = slot % 2;
    uint32_t worker = slot / 2;
    if (!f->forms[wrapped])
        f->forms[wrapped] = make_frame(f, wrapped);
    struct lane_entry e = {
        .frame = f->forms[wrapped], .topic = t->slots[slot].token, .pub = core->pubs};
    struct downlink *down = &core->options.downlinks[worker];
    f->posted = true;
    /* While a gap is owed nothing overtakes it: the gap says where the hole is. */
    if (core->overflowed[worker])
        core_tell_lost(core, worker);
    if (!core->overflowed[worker] && frame_lane_post(&down->frames, &e)) {
        down->wake_due = true;
        return;
    }
    t->slots[slot].lost = true;
    core->overflowed[worker] = true;
    metrics_add(&core->options.metrics->lane_full, 1);
}

static void post_topic(struct fanout *f, struct topic *t)
{
    for (uint32_t slot = 0; t->streams && slot < f->core->options.workers * 2; slot++)
        if (t->slots[slot].count)
            post_slot(f, t, slot);
}

static void post_all(struct fanout *f)
{
    struct topic *own = topics_find(f->core->topics, TOPIC_CHANNEL, f->channel);
    if (own)
        post_topic(f, own);
    LIST_FOREACH (n, topics_patterns(f->core->topics)) {
        struct topic *t = LIST_ENTRY(n, struct topic, node);
        if (t->streams && topic_matches(t, f->channel))
            post_topic(f, t);
    }
}

struct span core_as_utf8(struct core *core, struct span payload, struct buf *scratch)
{
    if (utf8_valid(payload))
        return payload;
    buf_reset(scratch);
    utf8_repair(scratch, payload);
    metrics_add(&core->options.metrics->invalid_utf8, 1);
    return buf_view(scratch);
}

void core_on_message(void *ctx, struct span channel, struct span pattern, struct span payload)
{
    struct core *core = CAST_CHECKED(struct core, ctx, CORE_MAGIC);
    if (!take_copy(core, &channel, pattern))
        return;
    struct fanout f = {.core = core, .channel = channel};
    f.born_us = clock_mono_us(core->options.clock);
    core->pubs++;
    payload = core_as_utf8(core, payload, &core->data);
    struct envelope envelope = {0};
    f.event.data = payload;
    if (namespaces_find(core->options.namespaces, channel)->envelope) {
        if (envelope_parse(payload, &envelope) == 0) {
            f.event.data = buf_view(&envelope.data);
            if (envelope.event.len)
                f.event.event = buf_view(&envelope.event);
        } else {
            metrics_add(&core->options.metrics->no_envelope, 1);
        }
    }
    post_all(&f);
    if (f.posted)
        metrics_add(&core->options.metrics->messages, 1);
    frame_unref(f.forms[0]);
    frame_unref(f.forms[1]);
    envelope_free(&envelope);
}

static struct frame *gap_frame(struct core *core, enum topic_kind kind, struct span name,
                               const char *reason)
{
    buf_reset(&core->wrap);
    buf_str(&core->wrap, kind == TOPIC_CHANNEL ? "{\"channel\":" : "{\"pattern\":");
    json_text_string(&core->wrap, name);
    buf_printf(&core->wrap, ",\"reason\":\"%s\",\"from\":null}", reason);
    struct sse_event event = {.event = span_of("sluice.gap"), .data = buf_view(&core->wrap)};
    buf_reset(&core->sse);
    sse_encode(&core->sse, &event);
    return frame_create(buf_view(&core->sse), 0);
}

static void post_gap(struct core *core, struct topic *t, uint32_t slot, struct frame *f)
{
    struct msg *m = msg_create(MSG_TOPIC_GAP, slot / 2);
    m->topic = t->slots[slot].token;
    m->frame = frame_ref(f);
    downlink_post(&core->options.downlinks[slot / 2], m);
}

/* Tells the slots of one worker, or of all, that only those with `lost` set if asked so. */
static void gap_slots(struct core *core, struct topic *t, const char *reason, uint32_t from,
                      uint32_t to, bool only_lost)
{
    struct frame *f = NULL;
    for (uint32_t slot = from; slot < to; slot++) {
        struct topic_slot *s = &t->slots[slot];
        if (!s->count || (only_lost && !s->lost))
            continue;
        if (!f)
            f = gap_frame(core, t->kind, topic_span(t), reason);
        s->lost = false;
        post_gap(core, t, slot, f);
    }
    frame_unref(f);
}

void core_tell_gap(struct core *core, struct topic *topic, const char *reason)
{
    gap_slots(core, topic, reason, 0, core->options.workers * 2, false);
    if (strcmp(reason, "redis") == 0)
        metrics_add(&core->options.metrics->gaps_redis, 1);
    else
        metrics_add(&core->options.metrics->gaps_overflow, 1);
}

void core_tell_lost(struct core *core, uint32_t worker)
{
    struct downlink *down = &core->options.downlinks[worker];
    if (!core->overflowed[worker] || !frame_lane_has_room(&down->frames))
        return;
    uint32_t first = worker * 2; /* the worker's two slots, plain and wrapped */
    core->overflowed[worker] = false;
    for (int kind = 0; kind < 2; kind++) {
        size_t cursor = 0;
        for (struct topic *t; (t = topics_next(core->topics, kind, &cursor));) {
            if (!t->slots[first].lost && !t->slots[first + 1].lost)
                continue;
            gap_slots(core, t, "overflow", first, first + 2, true);
            metrics_add(&core->options.metrics->gaps_overflow, 1);
        }
    }
}

void core_on_oversize(void *ctx, struct span channel, struct span pattern, uint64_t bytes)
{
    struct core *core = CAST_CHECKED(struct core, ctx, CORE_MAGIC);
    if (!take_copy(core, &channel, pattern))
        return;
    metrics_add(&core->options.metrics->dropped_oversize, 1);
    log_debug("hub", "a message of %llu bytes is over message_bytes and was dropped",
              (unsigned long long)bytes);
    struct topic *own = topics_find(core->topics, TOPIC_CHANNEL, channel);
    if (own)
        core_tell_gap(core, own, "overflow");
    LIST_FOREACH (n, topics_patterns(core->topics)) {
        struct topic *t = LIST_ENTRY(n, struct topic, node);
        if (topic_matches(t, channel))
            core_tell_gap(core, t, "overflow");
    }
}
