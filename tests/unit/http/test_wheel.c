#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "http/wheel.h"

struct deadline {
    struct wheel_entry entry;
    char name;
    void (*then)(struct deadline *d); /* what its firing does beside being written down */
};

static struct wheel wheel;
static struct ev_loop *loop;
static uint64_t now_us;   /* the fake part of the clock */
static uint64_t began_us; /* with `ticking`: when it was set going */
static bool ticking;      /* the clock goes on from now_us by itself */
static struct buf fired;
static struct deadline a, b, c;

static uint64_t fake_mono(void *ctx)
{
    return now_us + (ticking ? clock_mono_us(&clock_system) - began_us : 0);
}

static const struct clock fake_clock = {.mono_us = fake_mono, .wall_us = fake_mono};

static void on_fire(void *ctx, struct wheel_entry *e)
{
    struct deadline *d = LIST_ENTRY(e, struct deadline, entry);
    assert_ptr_equal(ctx, &wheel);
    assert_false(list_linked(&e->node));
    buf_byte(&fired, d->name);
    if (d->then)
        d->then(d);
}

static int start(void **state)
{
    loop = ev_loop_new(EVFLAG_AUTO);
    ticking = false;
    now_us = 1000ull * 1000000;
    wheel_init(&wheel, loop, &fake_clock, on_fire, &wheel);
    a = (struct deadline){.name = 'a'};
    b = (struct deadline){.name = 'b'};
    c = (struct deadline){.name = 'c'};
    return 0;
}

static int stop(void **state)
{
    wheel_fini(&wheel);
    ev_loop_destroy(loop);
    buf_free(&fired);
    return 0;
}

/* The timer comes when `seconds` have passed: the fake clock goes on, the loop need not wait. */
static const char *after(uint64_t seconds)
{
    now_us += seconds * 1000000;
    buf_reset(&fired);
    if (ev_is_active(&wheel.timer))
        ev_feed_event(loop, &wheel.timer, EV_TIMER);
    ev_run(loop, EVRUN_NOWAIT);
    return buf_cstr(&fired);
}

static void set(struct deadline *d, uint32_t seconds)
{
    wheel_set(&wheel, &d->entry, seconds);
}

static void an_empty_wheel_has_no_timer(void **state)
{
    assert_false(ev_is_active(&wheel.timer));
    set(&a, 5);
    assert_true(ev_is_active(&wheel.timer));
    assert_string_equal(after(5), "a");
    assert_false(ev_is_active(&wheel.timer));
}

static void an_entry_fires_in_its_second_and_once(void **state)
{
    set(&a, 3);
    assert_string_equal(after(2), "");
    assert_string_equal(after(1), "a");
    assert_string_equal(after(1), "");
    assert_string_equal(after(200), "");
}

static void entries_fire_in_the_order_of_their_seconds(void **state)
{
    set(&c, 3);
    set(&a, 1);
    set(&b, 2);
    assert_string_equal(after(3), "abc");
}

static void the_timer_is_armed_for_the_first_entry(void **state)
{
    set(&a, 50);
    assert_true(ev_timer_remaining(loop, &wheel.timer) > 48);
    set(&b, 9);
    assert_true(ev_timer_remaining(loop, &wheel.timer) < 10);
    assert_true(ev_timer_remaining(loop, &wheel.timer) > 7);
    assert_string_equal(after(9), "b");
    assert_true(ev_timer_remaining(loop, &wheel.timer) > 39);
}

static void no_seconds_count_as_one(void **state)
{
    set(&a, 0);
    assert_string_equal(after(0), "");
    assert_string_equal(after(1), "a");
}

static void a_cleared_entry_does_not_fire(void **state)
{
    set(&a, 1);
    set(&b, 1);
    wheel_clear(&wheel, &a.entry);
    wheel_clear(&wheel, &a.entry);
    wheel_clear(&wheel, &c.entry);
    assert_string_equal(after(1), "b");
}

static void an_entry_that_is_set_again_fires_at_the_later_time_only(void **state)
{
    set(&a, 1);
    set(&a, 4);
    assert_int_equal(wheel.count, 1);
    assert_string_equal(after(3), "");
    assert_string_equal(after(1), "a");
}

static void an_entry_that_is_set_again_for_sooner_fires_sooner(void **state)
{
    set(&b, 90);
    set(&a, 60);
    set(&a, 2);
    assert_true(ev_timer_remaining(loop, &wheel.timer) < 3);
    assert_string_equal(after(2), "a");
    assert_string_equal(after(88), "b");
}

static void an_entry_beyond_one_round_waits_for_its_own(void **state)
{
    set(&a, WHEEL_SLOTS + 5);
    set(&b, 5);
    set(&c, 2 * WHEEL_SLOTS + 5);
    assert_string_equal(after(5), "b");
    assert_string_equal(after(WHEEL_SLOTS - 1), "");
    assert_string_equal(after(1), "a");
    assert_string_equal(after(WHEEL_SLOTS), "c");
}

static void after_a_long_stop_all_that_is_due_fires_at_once(void **state)
{
    set(&a, 1);
    set(&b, 100);
    set(&c, 5000);
    assert_int_equal(strlen(after(1000)), 2);
    assert_string_equal(after(4000), "c");
}

static void a_wheel_that_stood_empty_for_long_starts_where_it_is(void **state)
{
    now_us += 100000ull * 1000000;
    set(&a, 2);
    assert_string_equal(after(1), "");
    assert_string_equal(after(1), "a");
}

static void rearm(struct deadline *d)
{
    set(d, 2);
}

static void a_firing_entry_may_set_itself_again(void **state)
{
    a.then = rearm;
    set(&a, 2);
    for (int i = 0; i < 100; i++) {
        assert_string_equal(after(1), "");
        assert_string_equal(after(1), "a");
    }
}

static void clear_others(struct deadline *d)
{
    struct deadline *all[] = {&a, &b, &c};
    for (int i = 0; i < 3; i++)
        if (all[i] != d)
            wheel_clear(&wheel, &all[i]->entry);
}

static void a_firing_entry_may_clear_others_that_are_due_too(void **state)
{
    a.then = b.then = c.then = clear_others;
    set(&a, 1);
    set(&b, 1);
    set(&c, 2);
    assert_string_equal(after(2), "a");
    assert_int_equal(wheel.count, 0);
    assert_false(ev_is_active(&wheel.timer));
}

static void put_off_b(struct deadline *d)
{
    set(&b, 3);
}

static void a_firing_entry_may_put_off_another_that_is_due_too(void **state)
{
    a.then = put_off_b;
    set(&a, 1);
    set(&b, 1);
    assert_string_equal(after(1), "a");
    assert_int_equal(wheel.count, 1);
    assert_string_equal(after(2), "");
    assert_string_equal(after(1), "b");
}

/* With a clock that goes, on the way from one second to the next, and libev's own timer. */
static void the_loops_timer_fires_it_without_help_and_never_early(void **state)
{
    now_us = 1000ull * 1000000 + 980000;
    began_us = clock_mono_us(&clock_system);
    ticking = true;
    set(&a, 1);
    set(&b, 300);
    ev_now_update(loop);
    for (int i = 0; i < 100 && fired.len == 0; i++)
        ev_run(loop, EVRUN_ONCE);
    assert_string_equal(buf_cstr(&fired), "a");
    assert_true(fake_mono(NULL) >= 1001ull * 1000000 + 980000);
    assert_true(fake_mono(NULL) < 1010ull * 1000000);
    assert_true(ev_is_active(&wheel.timer));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
        T(an_empty_wheel_has_no_timer),
        T(an_entry_fires_in_its_second_and_once),
        T(entries_fire_in_the_order_of_their_seconds),
        T(the_timer_is_armed_for_the_first_entry),
        T(no_seconds_count_as_one),
        T(a_cleared_entry_does_not_fire),
        T(an_entry_that_is_set_again_fires_at_the_later_time_only),
        T(an_entry_that_is_set_again_for_sooner_fires_sooner),
        T(an_entry_beyond_one_round_waits_for_its_own),
        T(after_a_long_stop_all_that_is_due_fires_at_once),
        T(a_wheel_that_stood_empty_for_long_starts_where_it_is),
        T(a_firing_entry_may_set_itself_again),
        T(a_firing_entry_may_clear_others_that_are_due_too),
        T(a_firing_entry_may_put_off_another_that_is_due_too),
        T(the_loops_timer_fires_it_without_help_and_never_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
