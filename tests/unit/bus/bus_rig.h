/* A bus with a store that answers as it is told, later or from within the call, and its clock. */
#ifndef UNIT_BUS_RIG_H
#define UNIT_BUS_RIG_H

#include "base/err.h"
#include "base/mem.h"
#include "bus/bus.h"

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>
#include <string.h>

enum { RIG_CALLS = 128, RIG_ARGS = 10, RIG_ANSWERS = 512 };

#define MS     UINT64_C(1000)
#define SECOND (UINT64_C(1000) * MS)

/* A call that was made; sweeps have their pattern as the first argument. */
struct rig_call {
    char function[32];
    struct buf args[RIG_ARGS];
    size_t count;
    bus_text_cb *text;
    bus_count_cb *swept;
    void *arg;
    bool answered;
};

struct rig {
    struct bus *bus;
    struct metrics *metrics;
    struct clock clock;
    uint64_t now;
    struct rig_call calls[RIG_CALLS];
    size_t call_count;
    struct bus_request *answers[RIG_ANSWERS];
    size_t answer_count;
    const char *at_once; /* what calls are answered from within: text; NULL: they wait */
    int at_once_err;
    size_t listened;
};

static struct rig rig;

static inline struct rig_call *rig_new_call(const char *function, void *arg)
{
    assert_true(rig.call_count < RIG_CALLS);
    struct rig_call *c = &rig.calls[rig.call_count++];
    snprintf(c->function, sizeof(c->function), "%s", function);
    c->arg = arg;
    return c;
}

static inline void rig_on_call(void *ctx, const char *function, const struct span *args,
                               size_t count, bus_text_cb *cb, void *arg)
{
    struct rig_call *c = rig_new_call(function, arg);
    assert_true(count <= RIG_ARGS);
    c->text = cb;
    c->count = count;
    for (size_t i = 0; i < count; i++)
        buf_span(&c->args[i], args[i]);
    if (!rig.at_once && !rig.at_once_err)
        return;
    c->answered = true;
    cb(arg, rig.at_once_err, rig.at_once_err ? "gone" : NULL,
       span_of(rig.at_once ? rig.at_once : ""));
}

static inline void rig_on_sweep(void *ctx, struct span pattern, bus_count_cb *cb, void *arg)
{
    struct rig_call *c = rig_new_call("sweep", arg);
    c->swept = cb;
    c->count = 1;
    buf_span(&c->args[0], pattern);
    if (!rig.at_once && !rig.at_once_err)
        return;
    c->answered = true;
    cb(arg, rig.at_once_err, NULL, 1);
}

static inline void rig_on_listen(void *ctx, const char *channel)
{
    rig.listened++;
}

static inline void rig_on_answer(void *ctx, uint32_t worker, struct bus_request *answer)
{
    assert_true(rig.answer_count < RIG_ANSWERS);
    rig.answers[rig.answer_count++] = answer;
}

static inline uint64_t rig_now(void *ctx)
{
    return rig.now;
}

static inline int rig_begin(void **state)
{
    rig = (struct rig){.now = 1000 * SECOND};
    rig.clock = (struct clock){.mono_us = rig_now, .wall_us = rig_now};
    rig.metrics = mem_zalloc(sizeof(*rig.metrics));
    const struct bus_options options = {
        .store = {.call = rig_on_call,
                  .sweep = rig_on_sweep,
                  .listen = rig_on_listen,
                  .answer = rig_on_answer},
        .clock = &rig.clock,
        .metrics = rig.metrics,
        .tag_prefix = "tag:",
    };
    rig.bus = bus_create(&options);
    bus_broker(rig.bus, true);
    return 0;
}

static inline void rig_answer_call(struct rig_call *c, int err, const char *text)
{
    assert_false(c->answered);
    c->answered = true;
    if (c->swept)
        c->swept(c->arg, err, err ? text : NULL, err ? 0 : 1);
    else
        c->text(c->arg, err, err ? text : NULL, span_of(err ? "" : text));
}

/* As a broker that is lost does: whatever is under way is answered. */
static inline void rig_lose(void)
{
    rig.at_once = NULL;
    rig.at_once_err = ERR_UNAVAILABLE;
    for (size_t i = 0; i < rig.call_count; i++)
        if (!rig.calls[i].answered)
            rig_answer_call(&rig.calls[i], ERR_UNAVAILABLE, "gone");
}

static inline int rig_end(void **state)
{
    rig_lose();
    bus_destroy(&rig.bus);
    for (size_t i = 0; i < rig.call_count; i++)
        for (size_t k = 0; k < RIG_ARGS; k++)
            buf_free(&rig.calls[i].args[k]);
    for (size_t i = 0; i < rig.answer_count; i++)
        bus_request_free(rig.answers[i]);
    mem_free(rig.metrics);
    return 0;
}

/* The nth call of a function, from 0; NULL when there was none. */
static inline struct rig_call *rig_nth(const char *function, size_t n)
{
    for (size_t i = 0; i < rig.call_count; i++)
        if (strcmp(rig.calls[i].function, function) == 0 && n-- == 0)
            return &rig.calls[i];
    return NULL;
}

static inline size_t rig_count(const char *function)
{
    size_t n = 0;
    while (rig_nth(function, n))
        n++;
    return n;
}

static inline void rig_reply(const char *function, size_t n, const char *text)
{
    struct rig_call *c = rig_nth(function, n);
    assert_non_null(c);
    rig_answer_call(c, 0, text);
}

static inline const char *rig_arg(const char *function, size_t n, size_t i)
{
    struct rig_call *c = rig_nth(function, n);
    assert_non_null(c);
    return buf_cstr(&c->args[i]);
}

static inline struct bus_request *rig_request(enum bus_kind kind, const char *body)
{
    struct bus_request *r = bus_request_create(kind);
    r->exchange = 7;
    r->accepted_us = rig.now;
    buf_str(&r->body, body);
    return r;
}

/* POST /invalidate; timeout_ms 0: without wait=all. */
static inline void rig_invalidate(const char *body, uint32_t timeout_ms)
{
    struct bus_request *r = rig_request(BUS_INVALIDATE, body);
    r->wait = timeout_ms > 0;
    r->timeout_ms = timeout_ms;
    bus_take(rig.bus, 0, r);
}

static inline void rig_feed(enum bus_kind kind, const char *peer, const char *session)
{
    struct bus_request *r = rig_request(kind, "");
    r->exchange = 0;
    snprintf(r->peer, sizeof(r->peer), "%s", peer);
    snprintf(r->session, sizeof(r->session), "%s", session);
    bus_take(rig.bus, 0, r);
}

static inline void rig_hear(const char *channel, const char *payload)
{
    bus_heard(rig.bus, span_of(channel), span_of(payload));
}

static inline uint64_t rig_pass(uint64_t us)
{
    rig.now += us;
    return bus_tick(rig.bus, rig.now);
}

/* How long it is, when time has passed, until the bus wants to be called again. */
static inline uint64_t rig_left(uint64_t us)
{
    uint64_t due = rig_pass(us);
    return due ? due - rig.now : 0;
}

/* The only answer so far. */
static inline void rig_expect(int status, const char *json)
{
    assert_int_equal(rig.answer_count, 1);
    assert_int_equal(rig.answers[0]->status, status);
    assert_string_equal(buf_cstr(&rig.answers[0]->json), json);
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_begin, rig_end)

#endif
