#include "broker/broker_redis/publications.h"

#include "base/cast.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/random.h"
#include "broker/broker_redis/reply.h"
#include "proto/event_id.h"

#include <ev.h>
#include <inttypes.h>
#include <stdio.h>

enum { PUBLICATIONS_MAGIC = 0x7075626c, KEY_TEXT = 32, NUMBER_TEXT = 24, ARGUMENTS = 14 };

/* The hub has judged the name, by the gateway's own limit; this is the largest one there is. */
#define NAME_BYTES "1100"

/* Memory that a key of our own takes at each publish: no longer than it may be of use. */
#define OWN_KEY_SECONDS "60"

struct publications {
    uint32_t magic;
    struct ev_loop *loop;    /* borrowed */
    struct guard *guard;     /* borrowed */
    struct scripts *scripts; /* borrowed */
    uint64_t timeout_us;
    bool attached;
    struct list all;  /* struct publication, owned, oldest first: still to be answered */
    struct list lost; /* those of them that wait for a connection, in their order */
    ev_timer timer;   /* for the head of `all` */
};

struct publication {
    struct publications *owner; /* borrowed */
    struct list node, lost;
    struct script_call *call; /* owned */
    /* Both NULL: the time limit answered it, Redis's answer is still to come. */
    broker_durable_cb *cb; /* of a publish */
    broker_text_cb *text;  /* of any other function */
    bool again;            /* it has a key: it is made again */
    void *arg;             /* borrowed: the caller's */
    uint64_t deadline;     /* by clock_mono_us */
};

static void arm(struct publications *p)
{
    struct list *first = list_first(&p->all);
    ev_timer_stop(p->loop, &p->timer);
    if (!first)
        return;
    uint64_t now = clock_mono_us(&clock_system);
    uint64_t deadline = LIST_ENTRY(first, struct publication, node)->deadline;
    ev_timer_set(&p->timer, deadline > now ? (double)(deadline - now) / 1e6 : 0., 0.);
    ev_timer_start(p->loop, &p->timer);
}

static void free_publication(struct publication *x)
{
    script_call_destroy(&x->call);
    mem_free(x);
}

static bool is_open(const struct publication *x)
{
    return x->cb || x->text;
}

/* Everybody forgets it before the caller is told, who may call anything. */
static void answer(struct publication *x, int err, const char *why, uint64_t id, struct span text)
{
    broker_durable_cb *cb = x->cb;
    broker_text_cb *text_cb = x->text;
    x->cb = NULL;
    x->text = NULL;
    list_remove(&x->node);
    list_remove(&x->lost);
    if (cb)
        cb(x->arg, err, why, id);
    else if (text_cb)
        text_cb(x->arg, err, why, text);
}

static const struct span nothing = {0};

/* One that waits for a connection has nobody else who will free it. */
static void answer_early(struct publication *x, int err, const char *why)
{
    bool lost = list_linked(&x->lost);
    answer(x, err, why, 0, nothing);
    if (lost)
        free_publication(x);
}

static void too_late(struct publication *x)
{
    char why[128];
    bool lost = list_linked(&x->lost);
    snprintf(why, sizeof(why), "%s within %u ms; it may or may not have been %s",
             lost ? "the connection to Redis was lost and did not come back"
                  : "Redis did not answer",
             (unsigned)(x->owner->timeout_us / 1000), x->text ? "carried out" : "published");
    answer_early(x, lost ? ERR_UNAVAILABLE : ERR_TIMEOUT, why);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct publications *p = CAST_CHECKED(struct publications, w->data, PUBLICATIONS_MAGIC);
    struct guard *guard = p->guard;
    uint64_t now = clock_mono_us(&clock_system);
    struct list *first;
    guard_enter(guard);
    while ((first = list_first(&p->all))) {
        struct publication *x = LIST_ENTRY(first, struct publication, node);
        if (x->deadline > now)
            break;
        too_late(x);
    }
    arm(p);
    guard_leave(guard);
}

struct publications *publications_create(struct ev_loop *loop, struct guard *guard,
                                         struct scripts *scripts, uint32_t timeout_ms)
{
    struct publications *p = mem_zalloc(sizeof(*p));
    p->magic = PUBLICATIONS_MAGIC;
    p->loop = loop;
    p->guard = guard;
    p->scripts = scripts;
    p->timeout_us = timeout_ms * UINT64_C(1000);
    list_init(&p->all);
    list_init(&p->lost);
    ev_timer_init(&p->timer, on_timer, 0., 0.);
    p->timer.data = p;
    return p;
}

void publications_destroy(struct publications **p)
{
    ev_timer_stop((*p)->loop, &(*p)->timer);
    (*p)->magic = 0;
    mem_free(*p);
    *p = NULL;
}

/* One that is lost at once, by a callback's doing, ends the loop, since we are detached then. */
void publications_attach(struct publications *p)
{
    struct list *first;
    p->attached = true;
    while (p->attached && (first = list_first(&p->lost))) {
        struct publication *x = LIST_ENTRY(first, struct publication, lost);
        list_remove(first);
        scripts_send(p->scripts, x->call);
    }
}

void publications_detach(struct publications *p)
{
    p->attached = false;
}

void publications_end(struct publications *p)
{
    struct list *first;
    p->attached = false;
    while ((first = list_first(&p->all)))
        answer_early(LIST_ENTRY(first, struct publication, node), ERR_UNAVAILABLE,
                     "the gateway is stopping; it may or may not have been published");
    ev_timer_stop(p->loop, &p->timer);
}

static void answer_as_redis_did(struct publication *x, const struct redisReply *reply)
{
    uint64_t id = 0;
    if (x->text && reply_bytes(reply).ptr) {
        answer(x, 0, NULL, 0, reply_bytes(reply));
        return;
    }
    if (x->cb && event_id_parse(reply_bytes(reply), &id) == 0 && id > 0) {
        answer(x, 0, NULL, id, nothing);
        return;
    }
    answer(x, ERR_UNAVAILABLE,
           x->text ? "Redis did not answer with a text" : "Redis did not answer with an id", 0,
           nothing);
}

static void on_answer(void *arg, int err, const char *why, const struct redisReply *reply)
{
    struct publication *x = arg;
    if (is_open(x) && x->again && err == ERR_UNAVAILABLE && !reply) {
        list_append(&x->owner->lost, &x->lost);
        return;
    }
    if (is_open(x) && err)
        answer(x, err, why, 0, nothing);
    else if (is_open(x))
        answer_as_redis_did(x, reply);
    free_publication(x);
}

static struct span random_key(char out[KEY_TEXT + 1])
{
    random_hex(out, KEY_TEXT);
    return span_make(out, KEY_TEXT);
}

static struct span number(char out[NUMBER_TEXT], uint64_t n)
{
    return span_make(out, (size_t)snprintf(out, NUMBER_TEXT, "%" PRIu64, n));
}

static struct script_call *make_call(struct publication *x, const struct broker_publication *given)
{
    bool own_key = !given->key.ptr;
    char key[KEY_TEXT + 1], messages[NUMBER_TEXT], seconds[NUMBER_TEXT];
    struct span argv[ARGUMENTS] = {
        given->channel,        given->data,
        span_of("messages"),   number(messages, given->messages),
        span_of("seconds"),    number(seconds, given->seconds),
        span_of("key"),        own_key ? random_key(key) : given->key,
        span_of("name_bytes"), span_of(NAME_BYTES),
    };
    size_t n = 10;
    if (own_key) {
        argv[n++] = span_of("key_seconds");
        argv[n++] = span_of(OWN_KEY_SECONDS);
    }
    if (given->event.len > 0) {
        argv[n++] = span_of("event");
        argv[n++] = given->event;
    }
    return script_call_create("sluice_publish", n, argv, on_answer, x);
}

static struct publication *create(struct publications *p, void *arg)
{
    struct publication *x = mem_zalloc(sizeof(*x));
    x->owner = p;
    x->arg = arg;
    x->deadline = clock_mono_us(&clock_system) + p->timeout_us;
    return x;
}

static void begin(struct publications *p, struct publication *x)
{
    list_append(&p->all, &x->node);
    if (!ev_is_active(&p->timer))
        arm(p);
    scripts_send(p->scripts, x->call);
}

void publications_add(struct publications *p, const struct broker_publication *publication,
                      broker_durable_cb *cb, void *arg)
{
    struct publication *x = create(p, arg);
    x->cb = cb;
    x->again = true;
    x->call = make_call(x, publication);
    begin(p, x);
}

static bool has_key(const struct span *args, size_t count)
{
    for (size_t i = 0; i + 1 < count; i++)
        if (span_is(args[i], "key"))
            return true;
    return false;
}

void publications_call(struct publications *p, const char *function, const struct span *args,
                       size_t count, broker_text_cb *cb, void *arg)
{
    struct publication *x = create(p, arg);
    x->text = cb;
    x->again = has_key(args, count);
    x->call = script_call_create(function, count, args, on_answer, x);
    begin(p, x);
}
