#include "hub/core.h"

#include "base/cast.h"
#include "base/log.h"
#include "base/mem.h"
#include "hub/core_private.h"
#include "proto/glob.h"

#include <assert.h>

struct core *core_create(const struct core_options *options)
{
    struct core *core = mem_zalloc(sizeof(*core));
    core->magic = CORE_MAGIC;
    core->options = *options;
    buf_str(&core->prefix[TOPIC_CHANNEL], options->channel_prefix);
    glob_escape(&core->prefix[TOPIC_PATTERN], span_of(options->channel_prefix));
    core->topics = topics_create(options->workers);
    core->overflowed = mem_zalloc(options->workers * sizeof(*core->overflowed));
    list_init(&core->lingering);
    list_init(&core->leaving);
    list_init(&core->tickets);
    return core;
}

void core_destroy(struct core **core)
{
    struct core *c = *core;
    if (!c)
        return;
    core_publish_end(c);
    topics_destroy(&c->topics);
    mem_free(c->overflowed);
    buf_free(&c->prefix[TOPIC_CHANNEL]);
    buf_free(&c->prefix[TOPIC_PATTERN]);
    buf_free(&c->full_name);
    buf_free(&c->data);
    buf_free(&c->wrap);
    buf_free(&c->sse);
    mem_free(c);
    *core = NULL;
}

void core_attach(struct core *core, struct broker *broker)
{
    core->broker = broker;
}

struct span core_full_name(struct core *core, enum topic_kind kind, struct span name)
{
    buf_reset(&core->full_name);
    buf_span(&core->full_name, buf_view(&core->prefix[kind]));
    buf_span(&core->full_name, name);
    return buf_view(&core->full_name);
}

bool core_strip(const struct core *core, enum topic_kind kind, struct span *name)
{
    size_t n = core->prefix[kind].len;
    if (name->len < n || (n && memcmp(name->ptr, core->prefix[kind].data, n) != 0))
        return false;
    *name = span_make(name->ptr + n, name->len - n);
    return true;
}

/* The topic that the broker's name of it means; NULL when it is none of ours. */
static struct topic *topic_of(struct core *core, enum topic_kind kind, struct span full)
{
    return core_strip(core, kind, &full) ? topics_find(core->topics, kind, full) : NULL;
}

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

static void topic_drop(struct core *core, struct topic *t)
{
    topics_remove(core->topics, t);
    count_topics(core);
}

static void topic_ask(struct core *core, struct topic *t)
{
    t->state = core->up ? TOPIC_ASKED : TOPIC_OFF;
    if (core->broker)
        core->broker->ops->subscribe(core->broker, t->kind,
                                     core_full_name(core, t->kind, topic_span(t)));
}

/* The last one left: the subscription is kept a while, since a page reload is the usual reason. */
static void topic_unwanted(struct core *core, struct topic *t)
{
    t->linger_until_us = clock_mono_us(core->options.clock) + core->options.linger_us;
    list_append(&core->lingering, &t->linger);
}

static void topic_leave(struct core *core, struct topic *t)
{
    struct span full = core_full_name(core, t->kind, topic_span(t));
    enum topic_kind kind = t->kind;
    if (!core->up || t->refused) {
        topic_drop(core, t);
    } else {
        /* Until the broker confirms: messages may still be on their way. */
        t->state = TOPIC_LEAVING;
        list_append(&core->leaving, &t->linger);
    }
    if (core->broker)
        core->broker->ops->unsubscribe(core->broker, kind, full);
}

static void post_refused(struct core *core, const struct topic *t, uint32_t slot)
{
    struct msg *m = msg_create(MSG_TOPIC_REFUSED, slot_worker(slot));
    m->topic = t->slots[slot].token;
    m->text = mem_strdup(t->refused);
    downlink_post(&core->options.downlinks[slot_worker(slot)], m);
}

static void on_subscribe(struct core *core, struct msg *m)
{
    struct span name = span_of(m->text);
    struct topic *t = topics_find(core->topics, m->kind, name);
    bool fresh = !t;
    if (fresh) {
        t = topics_add(core->topics, m->kind, name);
        count_topics(core);
    }
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

static void on_unsubscribe(struct core *core, struct msg *m)
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
    if (t->streams == 0 && t->state != TOPIC_LEAVING)
        topic_unwanted(core, t);
}

static void take_message(struct core *core, struct msg *m)
{
    switch (m->type) {
    case MSG_SUBSCRIBE:
        on_subscribe(core, m);
        break;
    case MSG_UNSUBSCRIBE:
        on_unsubscribe(core, m);
        break;
    case MSG_PUBLISH:
        core_publish(core, m);
        break;
    case MSG_CHANNELS:
        core_list_channels(core, m);
        break;
    case MSG_DRAINED:
        core_tell_lost(core, m->worker);
        break;
    case MSG_FENCED:
        core_fenced(core, &m->fence);
        break;
    case MSG_SETTINGS_TAKEN:
        core->settings_due--;
        break;
    case MSG_STOPPED:
        core->workers_stopped++;
        break;
    default:
        log_error("hub", "message %d came to the core, which is not for it", (int)m->type);
        break;
    }
}

void core_take_messages(struct core *core)
{
    struct msg *next;
    for (struct msg *m = mailbox_take(&core->options.uplink->control); m; m = next) {
        next = m->next;
        take_message(core, m);
        msg_free(m);
    }
}

uint64_t core_tick(struct core *core)
{
    uint64_t now = clock_mono_us(core->options.clock);
    for (struct list *n; (n = list_first(&core->lingering));) {
        struct topic *t = LIST_ENTRY(n, struct topic, linger);
        if (t->linger_until_us > now)
            return t->linger_until_us;
        list_remove(n);
        topic_leave(core, t);
    }
    return 0;
}

void core_end_turn(struct core *core)
{
    for (uint32_t w = 0; w < core->options.workers; w++)
        downlink_flush(&core->options.downlinks[w]);
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
}

/* One on its way out is out: it goes, or is asked for again when somebody came meanwhile. */
static void topic_left(struct core *core, struct topic *t)
{
    list_remove(&t->linger);
    if (t->streams)
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
    drop_leaving(core);
    for (int kind = 0; kind < 2; kind++) {
        size_t cursor = 0;
        for (struct topic *t; (t = topics_next(core->topics, kind, &cursor));) {
            t->had = t->had || t->state == TOPIC_ACTIVE;
            t->state = TOPIC_OFF;
            t->confirmed = false;
            mem_free(t->refused);
            t->refused = NULL;
        }
    }
    post_broker(core, why);
}

static void on_subscribed(void *ctx, enum topic_kind kind, struct span full)
{
    struct core *core = CAST_CHECKED(struct core, ctx, CORE_MAGIC);
    struct topic *t = topic_of(core, kind, full);
    if (!t)
        return;
    t->confirmed = true;
    if (t->state == TOPIC_LEAVING)
        return;
    t->state = TOPIC_ACTIVE;
    mem_free(t->refused);
    t->refused = NULL;
    /* The gap first: who reads "subscribed" may trust what comes after it. */
#ifndef SLUICE_MUTANT_no_gap_on_reconnect
    if (t->had)
        core_tell_gap(core, t, "redis");
#endif
    t->had = false;
    for (uint32_t slot = 0; slot < core->options.workers * 2; slot++)
        if (t->slots[slot].count)
            post_topic(core, MSG_TOPIC_READY, slot, t->slots[slot].token);
}

static void on_unsubscribed(void *ctx, enum topic_kind kind, struct span full)
{
    struct core *core = CAST_CHECKED(struct core, ctx, CORE_MAGIC);
    struct topic *t = topic_of(core, kind, full);
    if (!t)
        return;
    t->confirmed = false;
    if (t->state == TOPIC_LEAVING)
        topic_left(core, t);
}

static void on_refused(void *ctx, enum topic_kind kind, struct span full, const char *why)
{
    struct core *core = CAST_CHECKED(struct core, ctx, CORE_MAGIC);
    struct topic *t = topic_of(core, kind, full);
    if (!t)
        return;
    if (t->state == TOPIC_LEAVING) {
        topic_left(core, t);
        return;
    }
    mem_free(t->refused);
    t->refused = mem_strdup(why);
    t->state = TOPIC_OFF;
    for (uint32_t slot = 0; slot < core->options.workers * 2; slot++)
        if (t->slots[slot].count)
            post_refused(core, t, slot);
}

const struct broker_events core_broker_events = {
    .on_up = on_up,
    .on_down = on_down,
    .on_subscribed = on_subscribed,
    .on_unsubscribed = on_unsubscribed,
    .on_refused = on_refused,
    .on_message = core_on_message,
    .on_oversize = core_on_oversize,
};

void core_change(struct core *core, const struct core_settings *settings, const void *workers)
{
    core->options.namespaces = settings->namespaces;
    core->options.linger_us = settings->linger_us;
    core->options.message_bytes = settings->message_bytes;
    for (uint32_t w = 0; w < core->options.workers; w++) {
        struct msg *m = msg_create(MSG_SETTINGS, w);
        m->settings = workers;
        downlink_post(&core->options.downlinks[w], m);
        core->settings_due++;
    }
}

uint32_t core_settings_due(const struct core *core)
{
    return core->settings_due;
}

void core_drain_workers(struct core *core, uint32_t seconds)
{
    for (uint32_t w = 0; w < core->options.workers; w++) {
        struct msg *m = msg_create(MSG_DRAIN, w);
        m->seconds = seconds;
        downlink_post(&core->options.downlinks[w], m);
    }
}

void core_stop_workers(struct core *core)
{
    for (uint32_t w = 0; w < core->options.workers; w++)
        downlink_post(&core->options.downlinks[w], msg_create(MSG_STOP, w));
}

uint32_t core_workers_left(const struct core *core)
{
    return core->options.workers - core->workers_stopped;
}
