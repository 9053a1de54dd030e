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
#include "base/map.h"
#include "hub/core_private.h"
#include "proto/channel.h"
#include "proto/envelope.h"
#include "proto/event_id.h"
#include "proto/json_text.h"
#include "proto/sse.h"
#include "proto/utf8.h"

static bool is_the_copy(struct core *core, struct span channel, struct span pattern)
{
    const struct topic *own = topics_find(core->topics, TOPIC_CHANNEL, channel);
    if (own && own->confirmed & PART_PLAIN)
        return pattern.ptr == NULL;
    if (!pattern.ptr)
        return false;
    LIST_FOREACH (n, topics_patterns(core->topics)) {
        const struct topic *t = LIST_ENTRY(n, struct topic, node);
        if (t->confirmed & PART_PLAIN && !t->cover && topic_matches(t, channel))
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

struct frame *core_frame(struct core *core, struct span channel, const struct sse_event *event,
                         bool wrapped, uint64_t born_us)
{
    struct sse_event form = *event;
    if (wrapped) {
        buf_reset(&core->wrap);
        sse_wrap(&core->wrap, channel, event);
        form = (struct sse_event){.id = event->id, .data = buf_view(&core->wrap)};
    }
    buf_reset(&core->sse);
    sse_encode(&core->sse, &form);
    return frame_create(buf_view(&core->sse), born_us);
}

/* It could not be posted: a gap is owed, or the streams must ask for it. */
static void owe(struct core *core, struct topic *t, uint32_t slot, bool durable)
{
    if (durable)
        t->slots[slot].lagged = true;
    else
        t->slots[slot].lost = true;
    core->overflowed[slot / 2] = true;
    metrics_add(&core->options.metrics->lane_full, 1);
}

static void post_slot(struct core *core, struct fanout *f, struct topic *t, uint32_t slot)
{
    bool wrapped = slot % 2;
    uint32_t worker = slot / 2;
    if (!f->forms[wrapped])
        f->forms[wrapped] = core_frame(core, f->channel, &f->event, wrapped, f->born_us);
    struct lane_entry e = {.frame = f->forms[wrapped],
                           .topic = t->slots[slot].token,
                           .pub = core->pubs,
                           .id = f->id,
                           .channel = f->channel_hash,
                           .latest = f->latest,
                           .again = core->posted[slot] == core->pubs};
    struct downlink *down = &core->options.downlinks[worker];
    f->posted = true;
    /* While a gap is owed nothing overtakes it: the gap says where the hole is. */
    if (core->overflowed[worker])
        core_tell_lost(core, worker);
    if (core->overflowed[worker] || !downlink_post_frame(down, &e))
        owe(core, t, slot, f->id != 0);
    else
        core->posted[slot] = core->pubs;
}

static void post_topic(struct core *core, struct fanout *f, struct topic *t)
{
    for (uint32_t slot = 0; t->streams && slot < core->options.workers * 2; slot++)
        if (t->slots[slot].count)
            post_slot(core, f, t, slot);
}

void core_fan_out(struct core *core, struct fanout *f)
{
    struct topic *own = topics_find(core->topics, TOPIC_CHANNEL, f->channel);
    core->pubs++;
    f->latest = namespaces_find(core->options.namespaces, f->channel)->latest;
    f->channel_hash = map_hash(f->channel);
    if (own)
        post_topic(core, f, own);
    LIST_FOREACH (n, topics_patterns(core->topics)) {
        struct topic *t = LIST_ENTRY(n, struct topic, node);
        if (t->streams && topic_matches(t, f->channel))
            post_topic(core, f, t);
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
    if (span_starts(channel, NOTICE_PREFIX)) {
        size_t n = strlen(NOTICE_PREFIX);
        durable_notice(core, span_make(channel.ptr + n, channel.len - n), payload);
        return;
    }
    if (span_starts(channel, "sluice:")) {
        if (!pattern.ptr && core->options.hooks.internal)
            core->options.hooks.internal(core->options.hooks.ctx, channel, payload);
        return;
    }
    if (!take_copy(core, &channel, pattern))
        return;
    struct fanout f = {.channel = channel, .born_us = clock_mono_us(core->options.clock)};
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
    core_fan_out(core, &f);
    if (f.posted)
        metrics_add(&core->options.metrics->messages, 1);
    frame_unref(f.forms[0]);
    frame_unref(f.forms[1]);
    envelope_free(&envelope);
}

struct frame *core_gap_frame(struct core *core, enum topic_kind kind, struct span name,
                             const char *reason, uint64_t from, uint64_t id)
{
    char text[EVENT_ID_TEXT];
    buf_reset(&core->wrap);
    buf_str(&core->wrap, kind == TOPIC_CHANNEL ? "{\"channel\":" : "{\"pattern\":");
    json_text_string(&core->wrap, name);
    buf_printf(&core->wrap, ",\"reason\":\"%s\",\"from\":", reason);
    (void)event_id_format(text, from);
    buf_printf(&core->wrap, from ? "\"%s\"}" : "null}", text);
    struct sse_event event = {.event = span_of("sluice.gap"), .data = buf_view(&core->wrap)};
    if (id)
        event.id = span_make(text, event_id_format(text, id));
    buf_reset(&core->sse);
    sse_encode(&core->sse, &event);
    return frame_create(buf_view(&core->sse), 0);
}

void core_count_gap(struct core *core, const char *reason)
{
    struct metrics *m = core->options.metrics;
    const struct {
        const char *reason;
        atomic_uint_fast64_t *field;
    } fields[] = {{"redis", &m->gaps_redis},
                  {"overflow", &m->gaps_overflow},
                  {"trimmed", &m->gaps_trimmed},
                  {"unknown", &m->gaps_unknown}};
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (strcmp(reason, fields[i].reason) == 0)
            metrics_add(fields[i].field, 1);
}

/* Posts one message about a topic, with its frame, to every slot of it. */
static void post_frame(struct core *core, enum msg_type type, struct topic *t, uint32_t slot,
                       struct frame *f, uint64_t id)
{
    struct msg *m = msg_create(type, slot / 2);
    m->topic = t->slots[slot].token;
    m->frame = f ? frame_ref(f) : NULL;
    m->id = id;
    downlink_post(&core->options.downlinks[slot / 2], m);
}

static void post_gap(struct core *core, struct topic *t, uint32_t slot, struct frame *f,
                     const struct durable_gap *gap)
{
    bool in_order = gap->id && !gap->anew;
    struct msg *m = msg_create(in_order ? MSG_TOPIC_GAP : MSG_TOPIC_LOST, slot / 2);
    m->topic = t->slots[slot].token;
    m->frame = frame_ref(f);
    m->id = gap->upto;
    m->anew = gap->anew;
    downlink_post(&core->options.downlinks[slot / 2], m);
}

static void post_frames(struct core *core, enum msg_type type, struct topic *t, struct frame *f,
                        uint64_t id)
{
    for (uint32_t slot = 0; slot < core->options.workers * 2; slot++)
        if (t->slots[slot].count)
            post_frame(core, type, t, slot, f, id);
}

void core_tell_gap(struct core *core, struct topic *t, const char *reason)
{
    struct frame *f = core_gap_frame(core, t->kind, topic_span(t), reason, 0, 0);
    post_frames(core, MSG_TOPIC_GAP, t, f, 0);
    for (uint32_t slot = 0; slot < core->options.workers * 2; slot++)
        t->slots[slot].lost = false;
    frame_unref(f);
    core_count_gap(core, reason);
}

void core_tell_durable_gap(struct core *core, struct topic *t, const struct durable_gap *gap)
{
    struct frame *f = core_gap_frame(core, t->kind, topic_span(t), gap->reason, gap->from, gap->id);
    for (uint32_t slot = 0; slot < core->options.workers * 2; slot++) {
        if (!t->slots[slot].count)
            continue;
        /* It would overtake what was left out: the replay tells it. */
        if (core->overflowed[slot / 2] && gap->id && !gap->anew)
            t->slots[slot].lagged = true;
        else
            post_gap(core, t, slot, f, gap);
    }
    frame_unref(f);
    if (t->streams)
        core_count_gap(core, gap->reason);
}

void core_tell_late(struct core *core, struct topic *t, uint64_t id)
{
    struct frame *f = core_gap_frame(core, t->kind, topic_span(t), "redis", id, 0);
    post_frames(core, MSG_TOPIC_LATE, t, f, id);
    frame_unref(f);
}

/* What a topic is owed by one worker's lane, of either form. */
static void tell_lost_topic(struct core *core, struct topic *t, uint32_t first)
{
    struct frame *f = NULL;
    for (uint32_t slot = first; slot < first + 2; slot++) {
        struct topic_slot *s = &t->slots[slot];
        if (s->count && s->lost) {
            if (!f)
                f = core_gap_frame(core, t->kind, topic_span(t), "overflow", 0, 0);
            post_frame(core, MSG_TOPIC_GAP, t, slot, f, 0);
        }
        if (s->count && s->lagged)
            post_frame(core, MSG_TOPIC_LAG, t, slot, NULL, 0);
        s->lost = s->lagged = false;
    }
    if (f)
        core_count_gap(core, "overflow");
    frame_unref(f);
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
            if (t->slots[first].lost || t->slots[first].lagged || t->slots[first + 1].lost ||
                t->slots[first + 1].lagged)
                tell_lost_topic(core, t, first);
        }
    }
}

void core_on_oversize(void *ctx, struct span channel, struct span pattern, uint64_t bytes)
{
    struct core *core = CAST_CHECKED(struct core, ctx, CORE_MAGIC);
    if (span_starts(channel, NOTICE_PREFIX)) {
        durable_doubt(core);
        return;
    }
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
