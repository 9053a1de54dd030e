/*
 * A topic's life: asked for by workers and of the broker, confirmed, unwanted, left; and what the
 * broker's coming and going means for all of them.
 */
#include "base/cast.h"
#include "base/mem.h"
#include "hub/core_private.h"
#include "proto/channel.h"

#include <assert.h>

static uint32_t slot_worker(uint32_t slot)
{
    return slot / 2;
}

static void post_topic(struct core *core, enum msg_type type, uint32_t slot,
                       struct shard_topic *token)
{
    struct msg *m = msg_create(type, slot_worker(slot));
    m->topic = token;
    downlink_post(&core->options.downlinks[slot_worker(slot)], m);
}

static void count_topics(struct core *core)
{
    metrics_set(&core->options.metrics->channels, topics_count(core->topics, TOPIC_CHANNEL));
    metrics_set(&core->options.metrics->patterns, topics_count(core->topics, TOPIC_PATTERN));
}

/* The last one left: the subscription is kept a while, since a page reload is the usual reason. */
static void topic_unwanted(struct core *core, struct topic *t)
{
    if (t->streams || t->riders || t->state == TOPIC_LEAVING || list_linked(&t->linger))
        return;
    t->linger_until_us = clock_mono_us(core->options.clock) + core->options.linger_us;
    list_append(&core->lingering, &t->linger);
}

static void topic_drop(struct core *core, struct topic *t)
{
    struct topic *cover = cover_release(core, t);
    durable_topic_out(core, t);
    durable_topic_gone(core, t);
    topics_remove(core->topics, t);
    count_topics(core);
    if (cover)
        topic_unwanted(core, cover);
}

static void topic_active(struct core *core, struct topic *t);

/* What its cover has confirmed is confirmed for it. */
static void topic_follow(struct core *core, struct topic *t)
{
    const struct topic *cover = t->cover;
    if (t->state == TOPIC_ACTIVE || cover->state != TOPIC_ACTIVE || t->wanted & ~cover->confirmed)
        return;
    t->confirmed = t->wanted;
    topic_active(core, t);
}

static void topic_ask(struct core *core, struct topic *t)
{
    t->state = core->up ? TOPIC_ASKED : TOPIC_OFF;
    if (t->cover)
        topic_follow(core, t);
    if (!core->broker || t->cover)
        return;
    for (int part = PART_PLAIN; part <= PART_NOTES; part++)
        if (t->wanted & part & ~t->confirmed)
            core->broker->ops->subscribe(core->broker, t->kind, core_part_name(core, t, part));
}

/* Which parts are wanted: notices too where there may be durable messages. */
static void topic_parts(struct core *core, struct topic *t)
{
    const struct namespaces *n = core->options.namespaces;
    bool durable = t->kind == TOPIC_PATTERN ? namespaces_durable(n)
                                            : namespaces_find(n, topic_span(t))->durable;
    t->wanted |= PART_PLAIN | (durable ? PART_NOTES : 0);
    if (t->wanted & PART_NOTES)
        durable_need(core);
    bool all = durable && (t->kind == TOPIC_CHANNEL || namespaces_all_durable(n, topic_span(t)));
    t->mixed = t->wanted & PART_NOTES && !all;
}

/* The namespaces have changed: what may be durable now is heard from now on. */
void core_reconsider(struct core *core, struct topic *t)
{
    unsigned before = t->wanted;
    topic_parts(core, t);
    if (t->wanted == before || t->state == TOPIC_LEAVING)
        return;
    if (t->state == TOPIC_ACTIVE)
        t->state = TOPIC_ASKED;
    if (t->cover)
        topic_follow(core, t);
    else if (core->broker)
        core->broker->ops->subscribe(core->broker, t->kind, core_part_name(core, t, PART_NOTES));
}

static void topic_leave(struct core *core, struct topic *t)
{
    enum topic_kind kind = t->kind;
    unsigned parts = t->cover ? 0 : t->wanted;
    struct buf names[2] = {{0}, {0}};
    buf_span(&names[0], core_part_name(core, t, PART_PLAIN));
    buf_span(&names[1], core_part_name(core, t, PART_NOTES));
    if (!core->up || t->refused || t->cover) {
        topic_drop(core, t);
    } else {
        /* Until the broker confirms: messages may still be on their way. */
        t->state = TOPIC_LEAVING;
        t->leaving = parts;
        list_append(&core->leaving, &t->linger);
    }
    for (int i = 0; i < 2; i++) {
        if (core->broker && parts & (1u << i))
            core->broker->ops->unsubscribe(core->broker, kind, buf_view(&names[i]));
        buf_free(&names[i]);
    }
}

static void post_refused(struct core *core, const struct topic *t, uint32_t slot)
{
    struct msg *m = msg_create(MSG_TOPIC_REFUSED, slot_worker(slot));
    m->topic = t->slots[slot].token;
    m->text = mem_strdup(t->refused);
    downlink_post(&core->options.downlinks[slot_worker(slot)], m);
}

/* A new one is added, and the cover it may ride on, if that is new too. */
static struct topic *topic_add(struct core *core, enum topic_kind kind, struct span name)
{
    struct topic *t = topics_add(core->topics, kind, name);
    topic_parts(core, t);
    cover_place(core, t);
    if (t->cover && t->cover->state != TOPIC_LEAVING)
        list_remove(&t->cover->linger);
    if (t->cover && !t->cover->wanted) {
        topic_parts(core, t->cover);
        topic_ask(core, t->cover);
    }
    count_topics(core);
    return t;
}

void core_subscribe(struct core *core, struct msg *m)
{
    struct span name = span_of(m->text);
    struct topic *t = topics_find(core->topics, m->kind, name);
    bool fresh = !t;
    if (fresh)
        t = topic_add(core, m->kind, name);
    /* One on its way out is asked for again when its end is confirmed: asked before, the broker
     * would never say when that was, and which copies come meanwhile would not be known. */
    if (t->state != TOPIC_LEAVING)
        list_remove(&t->linger);
    if (fresh)
        topic_ask(core, t);
    uint32_t slot = m->worker * 2 + m->wrapped;
    struct topic_slot *s = &t->slots[slot];
    t->streams++;
    if (s->count++ == 0) {
        s->token = m->topic;
        if (t->state == TOPIC_ACTIVE)
            post_topic(core, MSG_TOPIC_READY, slot, s->token);
    }
    if (t->refused)
        post_refused(core, t, slot);
}

void core_unsubscribe(struct core *core, struct msg *m)
{
    struct topic *t = NULL;
    uint32_t slot = m->worker * 2 + m->wrapped;
    t = topics_find(core->topics, m->kind, span_of(m->text));
    assert(t && t->slots[slot].token == m->topic && t->slots[slot].count > 0);
    t->streams--;
    if (--t->slots[slot].count == 0) {
        post_topic(core, MSG_TOPIC_GONE, slot, t->slots[slot].token);
        t->slots[slot] = (struct topic_slot){0};
    }
    topic_unwanted(core, t);
}

uint64_t core_linger(struct core *core, uint64_t now)
{
    for (struct list *n; (n = list_first(&core->lingering));) {
        struct topic *t = LIST_ENTRY(n, struct topic, linger);
        if (t->linger_until_us > now)
            return t->linger_until_us;
        list_remove(n);
        topic_leave(core, t);
    }
    return 0;
}

static void post_broker(struct core *core, const char *why)
{
    for (uint32_t w = 0; w < core->options.workers; w++) {
        struct msg *m = msg_create(MSG_BROKER, w);
        m->up = core->up;
        m->text = mem_strdup(why);
        downlink_post(&core->options.downlinks[w], m);
    }
}

void core_tell_bus(struct core *core, bool up)
{
    if (core->options.hooks.broker)
        core->options.hooks.broker(core->options.hooks.ctx, up);
}

static void on_up(void *ctx)
{
    struct core *core = CAST_CHECKED(struct core, ctx, CORE_MAGIC);
    core->up = true;
    metrics_set(&core->options.metrics->redis_up, 1);
    metrics_add(&core->options.metrics->redis_connects, 1);
    for (int kind = 0; kind < 2; kind++) {
        size_t cursor = 0;
        for (struct topic *t; (t = topics_next(core->topics, kind, &cursor));)
            if (t->state == TOPIC_OFF)
                t->state = TOPIC_ASKED;
    }
    post_broker(core, "");
    durable_up(core);
    core_tell_bus(core, true);
}

/* One on its way out is out: it goes, or is asked for again when somebody came meanwhile. */
static void topic_left(struct core *core, struct topic *t)
{
    list_remove(&t->linger);
    t->leaving = 0;
    t->confirmed = 0;
    if (t->streams || t->riders)
        topic_ask(core, t);
    else
        topic_drop(core, t);
}

/* What was on its way out will never be confirmed now. */
static void drop_leaving(struct core *core)
{
    for (struct list *n; (n = list_first(&core->leaving));)
        topic_left(core, LIST_ENTRY(n, struct topic, linger));
}

static void on_down(void *ctx, const char *why)
{
    struct core *core = CAST_CHECKED(struct core, ctx, CORE_MAGIC);
    core->up = false;
    metrics_set(&core->options.metrics->redis_up, 0);
    durable_down(core);
    core_tell_bus(core, false);
    drop_leaving(core);
    for (int kind = 0; kind < 2; kind++) {
        size_t cursor = 0;
        for (struct topic *t; (t = topics_next(core->topics, kind, &cursor));) {
            t->had = t->had || t->state == TOPIC_ACTIVE;
            t->state = TOPIC_OFF;
            t->confirmed = 0;
            mem_free(t->refused);
            t->refused = NULL;
        }
    }
    post_broker(core, why);
}

static void each_rider(struct core *core, const struct topic *cover,
                       void (*fn)(struct core *core, struct topic *t))
{
    LIST_FOREACH (n, topics_patterns(core->topics)) {
        struct topic *t = LIST_ENTRY(n, struct topic, node);
        if (cover->riders && t->cover == cover)
            fn(core, t);
    }
}

/* All parts are confirmed. */
static void topic_active(struct core *core, struct topic *t)
{
    bool had = t->had;
    t->state = TOPIC_ACTIVE;
    mem_free(t->refused);
    t->refused = NULL;
    t->had = false;
    /* The gap first: who reads "subscribed" may trust what comes after it. Durable messages are
     * healed instead. */
#ifndef SLUICE_MUTANT_no_gap_on_reconnect
    if (had && (!(t->wanted & PART_NOTES) || t->mixed))
        core_tell_gap(core, t, "redis");
#endif
    for (uint32_t slot = 0; slot < core->options.workers * 2; slot++)
        if (t->slots[slot].count)
            post_topic(core, MSG_TOPIC_READY, slot, t->slots[slot].token);
    if (t->wanted & PART_NOTES)
        durable_topic_active(core, t, had);
    each_rider(core, t, topic_follow);
}

static void on_subscribed(void *ctx, enum topic_kind kind, struct span full)
{
    struct core *core = CAST_CHECKED(struct core, ctx, CORE_MAGIC);
    enum topic_part part;
    struct topic *t = core_topic_meant(core, kind, full, &part);
    if (!t)
        return;
    t->confirmed |= part;
    if (t->state != TOPIC_LEAVING && t->confirmed == t->wanted)
        topic_active(core, t);
}

static void part_left(struct core *core, struct topic *t, enum topic_part part)
{
    t->confirmed &= ~(unsigned)part;
    t->leaving &= ~(unsigned)part;
    if (t->state == TOPIC_LEAVING && !t->leaving)
        topic_left(core, t);
}

static void on_unsubscribed(void *ctx, enum topic_kind kind, struct span full)
{
    struct core *core = CAST_CHECKED(struct core, ctx, CORE_MAGIC);
    enum topic_part part;
    struct topic *t = core_topic_meant(core, kind, full, &part);
    if (t)
        part_left(core, t, part);
}

/* The broker will not have its cover; maybe it will have the pattern itself. */
static void topic_alone(struct core *core, struct topic *t)
{
    (void)cover_release(core, t);
    t->had = t->had || t->state == TOPIC_ACTIVE;
    t->confirmed = 0;
    topic_ask(core, t);
}

static void on_refused(void *ctx, enum topic_kind kind, struct span full, const char *why)
{
    struct core *core = CAST_CHECKED(struct core, ctx, CORE_MAGIC);
    enum topic_part part;
    struct topic *t = core_topic_meant(core, kind, full, &part);
    if (!t)
        return;
    if (t->state == TOPIC_LEAVING) {
        part_left(core, t, part);
        return;
    }
    mem_free(t->refused);
    t->refused = mem_strdup(why);
    t->state = TOPIC_OFF;
    durable_topic_out(core, t);
    for (uint32_t slot = 0; slot < core->options.workers * 2; slot++)
        if (t->slots[slot].count)
            post_refused(core, t, slot);
    each_rider(core, t, topic_alone);
    topic_unwanted(core, t);
}

static void on_fence(void *ctx, struct span epoch, uint64_t clock, uint64_t floor)
{
    durable_fence(CAST_CHECKED(struct core, ctx, CORE_MAGIC), epoch, clock, floor);
}

const struct broker_events core_broker_events = {
    .on_up = on_up,
    .on_down = on_down,
    .on_subscribed = on_subscribed,
    .on_unsubscribed = on_unsubscribed,
    .on_refused = on_refused,
    .on_message = core_on_message,
    .on_oversize = core_on_oversize,
    .on_fence = on_fence,
};
