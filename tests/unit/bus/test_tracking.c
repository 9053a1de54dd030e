/* What a single tracker asks of the store, and when; test_tracking_model.c has several of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "bus/tracking.h"

#include <stdio.h>
#include <string.h>

enum { SECOND = 1000000, CALLS = 8 };

struct call {
    char function[32], first[400], second[100];
    bus_text_cb *cb;
    void *arg;
};

static struct {
    struct tracker *tracker;
    uint64_t now;
    struct call calls[CALLS]; /* that are not answered */
    size_t count;
    unsigned stamp, swaps;
    struct metrics metrics;
} rig;

static uint64_t rig_now(void *ctx)
{
    return rig.now;
}

static const struct clock rig_clock = {.mono_us = rig_now, .wall_us = rig_now};

static void on_call(void *ctx, const char *function, const struct span *args, size_t count,
                    bus_text_cb *cb, void *arg)
{
    assert_true(rig.count < CALLS);
    struct call *c = &rig.calls[rig.count++];
    *c = (struct call){.cb = cb, .arg = arg};
    snprintf(c->function, sizeof(c->function), "%s", function);
    snprintf(c->first, sizeof(c->first), "%.*s", (int)args[0].len, args[0].ptr);
    if (count > 1)
        snprintf(c->second, sizeof(c->second), "%.*s", (int)args[1].len, args[1].ptr);
}

/* The call that has waited longest, as its function and first argument. */
static const char *asked(void)
{
    static char text[450];
    snprintf(text, sizeof(text), "%s %s", rig.count ? rig.calls[0].function : "nothing",
             rig.count ? rig.calls[0].first : "");
    return text;
}

static void answer(int err, const char *json)
{
    assert_true(rig.count > 0);
    struct call c = rig.calls[0];
    memmove(&rig.calls[0], &rig.calls[1], --rig.count * sizeof(c));
    c.cb(c.arg, err, err ? "by script" : NULL, err ? span_make(NULL, 0) : span_of(json));
}

/* Answers a beacon, which comes back, too. */
static void answer_beacon(void)
{
    char json[500], key[200];
    assert_string_equal(rig.calls[0].function, "sluice_recorder");
    snprintf(json, sizeof(json), "{\"recorder\":\"%s\",\"swaps\":%u}", rig.calls[0].first,
             rig.swaps);
    snprintf(key, sizeof(key), "sluice:track:%u:%s", ++rig.stamp, rig.calls[0].second);
    answer(0, json);
    tracker_key(rig.tracker, span_of(key));
}

static void tick(void)
{
    tracker_tick(rig.tracker, rig.now);
}

/* Time passes, and whatever is asked is answered well; what was announced, a word each. */
static const char *pass(uint64_t us)
{
    static char told[1000];
    told[0] = '\0';
    rig.now += us;
    tick();
    for (int i = 0; rig.count; i++, tick()) {
        assert_true(i < 100);
        if (strcmp(rig.calls[0].function, "sluice_recorder") == 0) {
            answer_beacon();
            continue;
        }
        size_t used = strlen(told);
        snprintf(told + used, sizeof(told) - used, "%s ", asked());
        answer(0, "{\"id\":\"1-1\"}");
    }
    return told;
}

static void on_restart(void *ctx, const char *why)
{
    fail_msg("%s", why);
}

/* It records, and has announced the doubt with which it begins. */
static int start(void **state)
{
    static const char *const prefixes[] = {"product:"};
    memset(&rig, 0, sizeof(rig));
    rig.now = SECOND;
    const struct bus_store store = {.call = on_call};
    const struct tracker_options options = {.store = &store,
                                            .restart = on_restart,
                                            .clock = &rig_clock,
                                            .metrics = &rig.metrics,
                                            .gateway = "gw",
                                            .prefixes = prefixes,
                                            .prefix_count = 1};
    rig.swaps = 7;
    rig.tracker = tracker_create(&options);
    tracker_up(rig.tracker);
    assert_string_equal(pass(0), "sluice_flush tracking ");
    return 0;
}

static int stop(void **state)
{
    tracker_down(rig.tracker);
    while (rig.count)
        answer(ERR_UNAVAILABLE, NULL);
    tracker_destroy(&rig.tracker);
    return 0;
}

static void a_swap_of_databases_is_a_flush(void **state)
{
    assert_string_equal(pass(2 * SECOND), "");
    rig.swaps++;
    assert_string_equal(pass(2 * SECOND), "sluice_flush swapped ");
    assert_string_equal(pass(2 * SECOND), "");
}

static void a_count_of_swaps_that_was_set_back_is_none(void **state)
{
    rig.swaps = 0;
    assert_string_equal(pass(2 * SECOND), "");
    rig.swaps = 1;
    assert_string_equal(pass(2 * SECOND), "sluice_flush swapped ");
}

static void who_leaves_announces_first_what_it_was_told(void **state)
{
    tracker_key(rig.tracker, span_of("product:1"));
    tracker_leave(rig.tracker);
    tick();
    assert_non_null(strstr(asked(), "sluice_invalidate {\"keys\":[\"product:1\"]"));
    tracker_key(rig.tracker, span_of("product:2"));
    tick();
    assert_int_equal(rig.count, 1);
    answer(0, "{\"id\":\"1-1\"}");
    tick();
    assert_non_null(strstr(asked(), "sluice_invalidate {\"keys\":[\"product:2\"]"));
    answer(0, "{\"id\":\"1-2\"}");
    tick();
    assert_non_null(strstr(asked(), "sluice_recorder_leave "));
    assert_non_null(strstr(asked(), "-gw.1"));
    assert_false(tracker_left(rig.tracker));
    answer(0, "{\"recorder\":\"\"}");
    assert_true(tracker_left(rig.tracker));
    rig.now += 10 * (uint64_t)SECOND;
    tick();
    assert_string_equal(asked(), "nothing ");
}

static void nobody_waits_longer_than_a_second_for_who_leaves(void **state)
{
    tracker_key(rig.tracker, span_of("product:1"));
    tracker_leave(rig.tracker);
    tick();
    answer(ERR_UNAVAILABLE, NULL);
    uint64_t due = tracker_tick(rig.tracker, rig.now);
    assert_in_range(due, rig.now + 1, rig.now + SECOND);
    rig.now += SECOND;
    assert_true(tracker_left(rig.tracker));
    tick();
    assert_string_equal(asked(), "nothing "); /* it keeps the lease: something is not announced */
}

static void who_does_not_record_has_left_at_once(void **state)
{
    rig.now += 2 * (uint64_t)SECOND;
    tick();
    answer(0, "{\"recorder\":\"other-gw.1\"}");
    tracker_key(rig.tracker, span_of("product:1"));
    tracker_leave(rig.tracker);
    assert_true(tracker_left(rig.tracker));
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_swap_of_databases_is_a_flush),
        T(a_count_of_swaps_that_was_set_back_is_none),
        T(who_leaves_announces_first_what_it_was_told),
        T(nobody_waits_longer_than_a_second_for_who_leaves),
        T(who_does_not_record_has_left_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
