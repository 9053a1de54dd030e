/* Publishes that came over HTTP: to the broker, and the answers back to the worker that asked. */
#include "base/err.h"
#include "base/mem.h"
#include "hub/core_private.h"
#include "proto/envelope.h"

/* One request of one worker, with one or more orders. */
struct ticket {
    struct list node;
    uint64_t number;
    struct core *core; /* borrowed */
    struct msg *msg;   /* owned: MSG_PUBLISH, becomes MSG_PUBLISHED */
    size_t open;       /* orders without an answer, and one for the loop that makes them */
    uint64_t bytes;
    size_t fenced;   /* the order that waits for fences (count_streams) */
    uint32_t fences; /* workers that have not answered yet */
};

struct order_ref {
    struct ticket *ticket;
    size_t index;
};

static void ticket_close(struct ticket *t)
{
    if (--t->open)
        return;
    struct core *core = t->core;
    struct msg *m = t->msg;
    list_remove(&t->node);
    core->publish_bytes -= t->bytes;
    m->type = MSG_PUBLISHED;
    downlink_post(&core->options.downlinks[m->worker], m);
    mem_free(t);
}

static void order_answer(struct ticket *t, size_t index, int err, const char *why,
                         int64_t receivers)
{
    struct publish_order *o = &t->msg->publish->orders[index];
    o->err = err;
    o->receivers = receivers;
    if (err)
        o->why = mem_strdup(why ? why : err_name(err));
    struct metrics *metrics = t->core->options.metrics;
    metrics_add(err ? &metrics->publishes_failed : &metrics->publishes, 1);
    ticket_close(t);
}

static void on_published(void *arg, int err, const char *why, int64_t receivers)
{
    struct order_ref *ref = arg;
    order_answer(ref->ticket, ref->index, err, why, receivers);
    mem_free(ref);
}

/* The payload that the channel's namespace wants. */
static struct span order_payload(struct core *core, const struct publish_order *o)
{
    const struct namespace_settings *ns = namespaces_find(core->options.namespaces, o->channel);
    if (ns->durable) /* the event has a field of its own */
        return core_as_utf8(core, o->data, &core->data);
    if (!ns->envelope)
        return o->data;
    buf_reset(&core->wrap);
    envelope_write(&core->wrap, o->event, core_as_utf8(core, o->data, &core->data));
    return buf_view(&core->wrap);
}

static void on_published_durable(void *arg, int err, const char *why, uint64_t id)
{
    struct order_ref *ref = arg;
    ref->ticket->msg->publish->orders[ref->index].id = id;
    dataset_heard(ref->ticket->core, err ? 0 : id);
    order_answer(ref->ticket, ref->index, err, why, 0);
    mem_free(ref);
}

static bool too_large(struct core *core, struct span payload)
{
    return payload.len > core->options.message_bytes;
}

static void order_send(struct ticket *t, size_t index)
{
    struct core *core = t->core;
    const struct publish_order *o = &t->msg->publish->orders[index];
    struct span payload = order_payload(core, o);
    if (!core->broker) {
        order_answer(t, index, ERR_UNAVAILABLE, "the gateway is stopping", 0);
        return;
    }
    if (too_large(core, payload)) {
        order_answer(t, index, ERR_TOO_LARGE,
                     "the message with its envelope is larger than message_bytes", 0);
        return;
    }
    struct order_ref *ref = mem_alloc(sizeof(*ref));
    *ref = (struct order_ref){.ticket = t, .index = index};
    const struct namespace_settings *ns = namespaces_find(core->options.namespaces, o->channel);
    if (ns->durable) {
        struct broker_publication p = {
            .channel = core_full_name(core, TOPIC_CHANNEL, o->channel),
            .event = o->event,
            .data = payload,
            .key = o->key,
            .messages = ns->history_messages,
            .seconds = ns->history_seconds,
        };
        core->broker->ops->publish_durable(core->broker, &p, on_published_durable, ref);
        return;
    }
    core->broker->ops->publish(core->broker, core_full_name(core, TOPIC_CHANNEL, o->channel),
                               payload, on_published, ref);
}

/*
 * Without a broker elsewhere the receivers are our own streams. A fence behind the publication's
 * frames asks each worker how many it gave it to.
 */
static void order_count(struct ticket *t, size_t index)
{
    struct core *core = t->core;
    uint64_t before = core->pubs;
    t->open++; /* the order is not answered before the fences are */
    order_send(t, index);
    struct publish_order *o = &t->msg->publish->orders[index];
    if (o->err || o->id || core->pubs == before) {
        t->open--;
        return;
    }
    o->receivers = 0;
    t->fenced = index;
    t->fences = core->options.workers;
    for (uint32_t w = 0; w < core->options.workers; w++) {
        struct msg *m = msg_create(MSG_FENCE, w);
        m->fence = (struct fence){.ticket = t->number, .pub = core->pubs};
        downlink_post(&core->options.downlinks[w], m);
    }
}

/* With fences orders go one after the other, since a ticket keeps account of one. */
static void ticket_go_on(struct ticket *t, size_t index)
{
    struct publish_request *r = t->msg->publish;
    for (; index < r->count; index++) {
        if (!t->core->options.count_streams) {
            order_send(t, index);
            continue;
        }
        order_count(t, index);
        if (t->fences)
            return;
    }
    ticket_close(t);
}

void core_fenced(struct core *core, const struct fence *fence)
{
    LIST_FOREACH (n, &core->tickets) {
        struct ticket *t = LIST_ENTRY(n, struct ticket, node);
        if (t->number != fence->ticket)
            continue;
        t->msg->publish->orders[t->fenced].receivers += fence->streams;
        if (--t->fences == 0) {
            t->open--;
            ticket_go_on(t, t->fenced + 1);
        }
        return;
    }
}

static uint64_t request_bytes(const struct publish_request *r)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < r->count; i++)
        bytes += r->orders[i].data.len + r->orders[i].event.len + r->orders[i].channel.len;
    return bytes;
}

/*
 * One message may be larger than the budget when nothing else is under way. A batch may not: a body
 * that names a thousand channels for one datum would be a thousand times its size.
 */
static int over_budget(const struct core *core, const struct ticket *t, const char **why)
{
    uint64_t budget = core->options.publish_bytes;
    *why = "the request is larger than all that may be under way";
    if (t->bytes > budget && t->msg->publish->count > 1)
        return ERR_TOO_LARGE;
    *why = "too many publishes are under way";
    if (core->publish_bytes > budget && core->publish_bytes != t->bytes)
        return ERR_FULL;
    return 0;
}

void core_publish(struct core *core, struct msg *m)
{
    struct ticket *t = mem_zalloc(sizeof(*t));
    t->core = core;
    t->number = ++core->tickets_made;
    /* The message that came is freed by its taker; the request goes over to one that travels back.
     */
    t->msg = msg_create(MSG_PUBLISHED, m->worker);
    t->msg->publish = m->publish;
    m->publish = NULL;
    t->bytes = request_bytes(t->msg->publish);
    t->open = t->msg->publish->count + 1;
    list_append(&core->tickets, &t->node);
    core->publish_bytes += t->bytes;
    const char *why = NULL;
    int err = over_budget(core, t, &why);
    if (!err) {
        ticket_go_on(t, 0);
        return;
    }
    for (size_t i = 0; i < t->msg->publish->count; i++)
        order_answer(t, i, err, why, 0);
    ticket_close(t);
}

void core_publish_end(struct core *core)
{
    for (struct list *n; (n = list_first(&core->tickets));) {
        struct ticket *t = LIST_ENTRY(n, struct ticket, node);
        list_remove(n);
        msg_free(t->msg);
        mem_free(t);
    }
}
