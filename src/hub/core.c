#include "hub/core.h"

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
    core->posted = mem_zalloc((size_t)options->workers * 2 * sizeof(*core->posted));
    list_init(&core->lingering);
    list_init(&core->leaving);
    list_init(&core->tickets);
    durable_init(core, options->replay_bytes);
    return core;
}

void core_destroy(struct core **core)
{
    struct core *c = *core;
    if (!c)
        return;
    core_publish_end(c);
    durable_fini(c);
    topics_destroy(&c->topics);
    mem_free(c->overflowed);
    mem_free(c->posted);
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

void core_listen(struct core *core, const char *channel)
{
    assert(span_starts(span_of(channel), "sluice:"));
    if (core->broker)
        core->broker->ops->subscribe(core->broker, TOPIC_CHANNEL, span_of(channel));
}

void core_answer_bus(struct core *core, uint32_t worker, struct bus_request *answer)
{
    struct msg *m = msg_create(MSG_BUS_DONE, worker);
    m->bus = answer;
    downlink_post(&core->options.downlinks[worker], m);
}

static void take_message(struct core *core, struct msg *m)
{
    switch (m->type) {
    case MSG_SUBSCRIBE:
        core_subscribe(core, m);
        break;
    case MSG_UNSUBSCRIBE:
        core_unsubscribe(core, m);
        break;
    case MSG_REPLAY:
        replay_ask(core, m);
        break;
    case MSG_REPLAY_END:
        replay_forget(core, m->worker, m->stream);
        break;
    case MSG_BUS:
        if (core->options.hooks.bus)
            core->options.hooks.bus(core->options.hooks.ctx, m->worker, m->bus);
        m->bus = core->options.hooks.bus ? NULL : m->bus;
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
    uint64_t linger = core_linger(core, now), durable = durable_tick(core, now);
    return durable && (!linger || durable < linger) ? durable : linger;
}

void core_end_turn(struct core *core)
{
    replay_pump(core);
    for (uint32_t w = 0; w < core->options.workers; w++)
        downlink_flush(&core->options.downlinks[w]);
}

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
    for (int kind = 0; kind < 2; kind++) {
        size_t cursor = 0;
        for (struct topic *t; (t = topics_next(core->topics, kind, &cursor));)
            core_reconsider(core, t);
    }
    durable_settings(core);
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
    core_end_turn(core);
}

uint32_t core_workers_left(const struct core *core)
{
    return core->options.workers - core->workers_stopped;
}
