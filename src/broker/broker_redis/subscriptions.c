#include "broker/broker_redis/subscriptions.h"

#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "broker/broker_redis/reply.h"

enum { BATCH_NAMES = 256, BATCH_BYTES = 16 * 1024 };

enum topic_state {
    TOPIC_IDLE,          /* Redis knows nothing of it */
    TOPIC_SUBSCRIBING,   /* a SUBSCRIBE is under way */
    TOPIC_SUBSCRIBED,    /* confirmed */
    TOPIC_UNSUBSCRIBING, /* an UNSUBSCRIBE is under way */
    TOPIC_REFUSED,       /* not allowed; tried again at the next connection */
};

struct topic {
    struct list todo; /* linked: waits for its command to be sent */
    enum topic_state state;
    enum topic_kind kind;
    bool wanted;
    bool alone; /* was in a command that was refused: it goes into one of its own */
    size_t len;
    char name[];
};

/* One command under way. */
struct batch {
    struct list node;
    bool subscribe;
    size_t count, confirmed;
    struct topic *topics[]; /* borrowed; not freed before they are confirmed */
};

struct subscriptions {
    const struct broker *broker; /* borrowed */
    struct link *link;           /* borrowed; NULL: there is no connection */
    struct map *topics[2];       /* owned, by kind; values are struct topic, owned */
    struct list todo;            /* struct topic */
    struct list under_way;       /* struct batch, owned, in the order of the confirmations */
    unsigned connections;
};

static struct span topic_name(const struct topic *t)
{
    return span_make(t->name, t->len);
}

struct subscriptions *subscriptions_create(const struct broker *broker)
{
    struct subscriptions *s = mem_zalloc(sizeof(*s));
    s->broker = broker;
    s->topics[TOPIC_CHANNEL] = map_create();
    s->topics[TOPIC_PATTERN] = map_create();
    list_init(&s->todo);
    list_init(&s->under_way);
    return s;
}

static void free_batches(struct subscriptions *s)
{
    LIST_FOREACH_SAFE (node, &s->under_way) {
        list_remove(node);
        mem_free(LIST_ENTRY(node, struct batch, node));
    }
}

void subscriptions_destroy(struct subscriptions **s)
{
    for (int kind = 0; kind < 2; kind++) {
        size_t cursor = 0;
        for (void *t; (t = map_next((*s)->topics[kind], &cursor));)
            mem_free(t);
        map_destroy(&(*s)->topics[kind]);
    }
    free_batches(*s);
    mem_free(*s);
    *s = NULL;
}

static void queue(struct subscriptions *s, struct topic *t)
{
    if (!list_linked(&t->todo))
        list_append(&s->todo, &t->todo);
    if (s->link)
        link_wake(s->link);
}

/* The last word on a topic: the hub hears it, and the memory goes. */
static void forget(struct subscriptions *s, struct topic *t)
{
    list_remove(&t->todo);
    map_del(s->topics[t->kind], topic_name(t));
    s->broker->events->on_unsubscribed(s->broker->ctx, t->kind, topic_name(t));
    mem_free(t);
}

static struct topic *topic_create(struct subscriptions *s, enum topic_kind kind, struct span name)
{
    struct topic *t = mem_zalloc(sizeof(*t) + name.len);
    t->kind = kind;
    t->len = name.len;
    memcpy(t->name, name.ptr, name.len);
    map_put(s->topics[kind], topic_name(t), t);
    return t;
}

void subscriptions_want(struct subscriptions *s, enum topic_kind kind, struct span name)
{
    struct topic *t = map_get(s->topics[kind], name);
    if (!t)
        t = topic_create(s, kind, name);
    if (t->wanted)
        return;
    t->wanted = true;
    /* One that is still SUBSCRIBED is asked for once more: Redis confirms that too. */
    if (s->link && (t->state == TOPIC_IDLE || t->state == TOPIC_SUBSCRIBED))
        queue(s, t);
}

void subscriptions_unwant(struct subscriptions *s, enum topic_kind kind, struct span name)
{
    struct topic *t = map_get(s->topics[kind], name);
    if (!t || !t->wanted)
        return;
    t->wanted = false;
    if (t->state == TOPIC_IDLE || t->state == TOPIC_REFUSED)
        forget(s, t);
    else if (t->state == TOPIC_SUBSCRIBED)
        queue(s, t);
}

void subscriptions_attach(struct subscriptions *s, struct link *link)
{
    s->link = link;
    s->connections++;
#ifdef SLUICE_MUTANT_no_resubscribe
    if (s->connections > 1)
        return;
#endif
    for (int kind = 0; kind < 2; kind++) {
        size_t cursor = 0;
        for (struct topic *t; (t = map_next(s->topics[kind], &cursor));)
            queue(s, t);
    }
}

/* The hub may change the maps while it hears of these, so they are collected first. */
static void reset_topics(struct subscriptions *s, struct list *unwanted)
{
    for (int kind = 0; kind < 2; kind++) {
        size_t cursor = 0;
        for (struct topic *t; (t = map_next(s->topics[kind], &cursor));) {
            list_remove(&t->todo);
            t->state = TOPIC_IDLE;
            if (!t->wanted)
                list_append(unwanted, &t->todo);
        }
    }
}

void subscriptions_detach(struct subscriptions *s)
{
    struct list unwanted;
    list_init(&unwanted);
    s->link = NULL;
    free_batches(s);
    reset_topics(s, &unwanted);
    for (struct list *node; (node = list_first(&unwanted));) {
        struct topic *t = LIST_ENTRY(node, struct topic, todo);
        list_remove(node);
        if (!t->wanted)
            forget(s, t);
    }
}

/* May `t` go into the same command as those in `b`? */
static bool belongs(const struct batch *b, const struct topic *t, size_t bytes)
{
    const struct topic *first = b->topics[0];
    if (b->count == 0)
        return true;
    return b->count < BATCH_NAMES && bytes + t->len <= BATCH_BYTES && !t->alone && !first->alone &&
           t->kind == first->kind && t->wanted == b->subscribe;
}

static struct batch *next_batch(struct subscriptions *s)
{
    struct batch *b = mem_alloc(sizeof(*b) + BATCH_NAMES * sizeof(b->topics[0]));
    size_t bytes = 0;
    b->node = (struct list){0};
    b->count = b->confirmed = 0;
    for (struct list *node; (node = list_first(&s->todo));) {
        struct topic *t = LIST_ENTRY(node, struct topic, todo);
        if (!belongs(b, t, bytes))
            break;
        b->subscribe = t->wanted;
        b->topics[b->count++] = t;
        bytes += t->len;
        list_remove(node);
        t->state = t->wanted ? TOPIC_SUBSCRIBING : TOPIC_UNSUBSCRIBING;
    }
    return mem_realloc(b, sizeof(*b) + b->count * sizeof(b->topics[0]));
}

static void send_batch(struct subscriptions *s, struct batch *b)
{
    static const char *const verbs[2][2] = {
        [TOPIC_CHANNEL] = {"UNSUBSCRIBE", "SUBSCRIBE"},
        [TOPIC_PATTERN] = {"PUNSUBSCRIBE", "PSUBSCRIBE"},
    };
    struct span argv[1 + BATCH_NAMES];
    argv[0] = span_of(verbs[b->topics[0]->kind][b->subscribe]);
    for (size_t i = 0; i < b->count; i++)
        argv[1 + i] = topic_name(b->topics[i]);
    link_command(s->link, 1 + b->count, argv);
    list_append(&s->under_way, &b->node);
}

bool subscriptions_fill(struct subscriptions *s)
{
    while (s->link && !list_empty(&s->todo) && link_output(s->link) < LINK_OUTPUT_LOW)
        send_batch(s, next_batch(s));
    return s->link && !list_empty(&s->todo);
}

static void subscribed(struct subscriptions *s, struct topic *t)
{
    t->state = TOPIC_SUBSCRIBED;
    t->alone = false;
    if (t->wanted)
        s->broker->events->on_subscribed(s->broker->ctx, t->kind, topic_name(t));
    else
        queue(s, t);
}

static void unsubscribed(struct subscriptions *s, struct topic *t)
{
    t->state = TOPIC_IDLE;
    if (t->wanted)
        queue(s, t);
    else
        forget(s, t);
}

static struct batch *first_batch(const struct subscriptions *s)
{
    struct list *node = list_first(&s->under_way);
    return node ? LIST_ENTRY(node, struct batch, node) : NULL;
}

bool subscriptions_confirm(struct subscriptions *s, bool subscribe, enum topic_kind kind,
                           struct span name)
{
    struct batch *b = first_batch(s);
    struct topic *t = b ? b->topics[b->confirmed] : NULL;
    if (!t || b->subscribe != subscribe || t->kind != kind || !span_eq(topic_name(t), name))
        return false;
    if (++b->confirmed == b->count) {
        list_remove(&b->node);
        mem_free(b);
    }
    if (subscribe)
        subscribed(s, t);
    else
        unsubscribed(s, t);
    return true;
}

/* To the front of what is to be sent, in the old order, each in a command of its own. */
static void retry_alone(struct subscriptions *s, const struct batch *b)
{
    for (size_t i = b->count; i-- > 0;) {
        struct topic *t = b->topics[i];
        t->state = TOPIC_IDLE;
        t->alone = true;
        list_append(s->todo.next, &t->todo);
    }
    link_wake(s->link);
}

static void refused(struct subscriptions *s, struct topic *t, const struct redisReply *reply)
{
    char why[200];
    t->state = TOPIC_REFUSED;
    t->alone = true;
    if (t->wanted)
        s->broker->events->on_refused(s->broker->ctx, t->kind, topic_name(t),
                                      reply_explain(reply, why, sizeof(why)));
    else
        forget(s, t);
}

bool subscriptions_refuse(struct subscriptions *s, const struct redisReply *reply)
{
    struct batch *b = first_batch(s);
    if (!b || b->confirmed > 0 || !reply_has_code(reply, "NOPERM"))
        return false;
    list_remove(&b->node);
    if (!b->subscribe) {
        /* Redis goes on sending what nobody wants; the hub knows nothing of these names then. */
        for (size_t i = 0; i < b->count && s->link; i++)
            unsubscribed(s, b->topics[i]);
    } else if (b->count > 1) {
        retry_alone(s, b);
    } else {
        refused(s, b->topics[0], reply);
    }
    mem_free(b);
    return true;
}
