#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"

#include <time.h>

static void the_real_clock_counts_microseconds_since_1970(void **state)
{
    uint64_t now = (uint64_t)time(NULL), us = clock_wall_us(&clock_system);
    assert_true(us / 1000000 >= now - 1 && us / 1000000 <= now + 1);
}

static void the_monotonic_clock_counts_microseconds_and_never_goes_back(void **state)
{
    struct timespec raw;
    clock_gettime(CLOCK_MONOTONIC, &raw);
    uint64_t before = (uint64_t)raw.tv_sec * 1000000 + (uint64_t)raw.tv_nsec / 1000;
    for (int i = 0; i < 1000; i++) {
        uint64_t now = clock_mono_us(&clock_system);
        assert_true(now >= before && now < before + 60000000);
        before = now;
    }
}

static uint64_t read_ctx(void *ctx)
{
    return ++*(uint64_t *)ctx;
}

static void an_injected_clock_is_asked_with_its_context(void **state)
{
    uint64_t turns = 41;
    struct clock c = {.mono_us = read_ctx, .wall_us = read_ctx, .ctx = &turns};
    assert_int_equal(clock_mono_us(&c), 42);
    assert_int_equal(clock_wall_us(&c), 43);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_real_clock_counts_microseconds_since_1970),
        cmocka_unit_test(the_monotonic_clock_counts_microseconds_and_never_goes_back),
        cmocka_unit_test(an_injected_clock_is_asked_with_its_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
