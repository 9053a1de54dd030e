#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "bus/bus.h"

#include <stdio.h>
#include <string.h>

/* A store in which the peer `app` lives; its confirmation comes before the announcement's answer.
 */
struct fixture {
    struct bus *bus;
    uint64_t now;
    int status; /* of the last answer; 0: none */
};

static uint64_t now(void *ctx)
{
    return ((struct fixture *)ctx)->now;
}

static void hear(struct bus *bus, const char *name)
{
    char payload[128];
    snprintf(payload, sizeof(payload), "%s session 5-0", name);
    bus_heard(bus, span_of("sluice:acks"), span_of(payload));
}

static void call(void *ctx, const char *function, const struct span *args, size_t count,
                 bus_text_cb *cb, void *arg)
{
    struct fixture *f = ctx;
    bool invalidates = strcmp(function, "sluice_invalidate") == 0;
    if (invalidates)
        hear(f->bus, "app");
    cb(arg, 0, NULL,
       span_of(invalidates ? "{\"id\":\"5-0\",\"deleted\":0,\"tags\":{},\"pending\":null,"
                             "\"settling\":0,\"live\":[{\"name\":\"app\",\"acked\":\"0-0\","
                             "\"lease\":15000}]}"
                           : "{}"));
}

static void sweep(void *ctx, struct span pattern, bus_count_cb *cb, void *arg)
{
    cb(arg, 0, NULL, 0);
}

static void listen(void *ctx, const char *channel)
{
}

static void answer(void *ctx, uint32_t worker, struct bus_request *answer)
{
    ((struct fixture *)ctx)->status = answer->status;
    bus_request_free(answer);
}

static void invalidate(struct fixture *f)
{
    struct bus_request *r = bus_request_create(BUS_INVALIDATE);
    buf_str(&r->body, "{\"keys\":[\"k\"]}");
    r->exchange = 1;
    r->wait = true;
    r->timeout_ms = 500;
    f->status = 0;
    bus_take(f->bus, 0, r);
}

static void a_new_peer_is_heard_after_ten_thousand_others_have_come_and_gone(void **state)
{
    struct fixture f = {.now = 1000000};
    const struct clock clock = {.mono_us = now, .wall_us = now, .ctx = &f};
    struct metrics *metrics = mem_zalloc(sizeof(*metrics));
    char name[32];
    const struct bus_options options = {.store = {call, sweep, listen, answer, &f},
                                        .clock = &clock,
                                        .metrics = metrics,
                                        .tag_prefix = "tag:"};
    f.bus = bus_create(&options);
    bus_broker(f.bus, true);
    for (int i = 0; i < 10000; i++) {
        snprintf(name, sizeof(name), "container-%d", i);
        hear(f.bus, name);
    }
    f.now += UINT64_C(120000000);
    invalidate(&f);
    assert_int_equal(f.status, 200);
    bus_destroy(&f.bus);
    mem_free(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_peer_is_heard_after_ten_thousand_others_have_come_and_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
