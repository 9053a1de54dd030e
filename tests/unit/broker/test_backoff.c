#include "broker/broker_redis/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void the_longest_wait_doubles_from_100_ms_to_5_s(void **state)
{
    static const uint32_t most[] = {100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000};
    struct backoff b = {0};
    for (size_t i = 0; i < sizeof(most) / sizeof(most[0]); i++)
        assert_in_range(backoff_next(&b, UINT32_MAX), most[i] - 1, most[i]);
}

static void the_shortest_wait_is_20_ms_and_the_middle_is_in_the_middle(void **state)
{
    struct backoff b = {.failures = 1000};
    assert_int_equal(backoff_next(&b, 0), 20);
    assert_in_range(backoff_next(&b, UINT32_MAX / 2), 2500, 2520);
}

static void after_a_reset_it_begins_anew(void **state)
{
    struct backoff b = {.failures = 9};
    backoff_reset(&b);
    assert_in_range(backoff_next(&b, UINT32_MAX), 99, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_wait_doubles_from_100_ms_to_5_s),
        cmocka_unit_test(the_shortest_wait_is_20_ms_and_the_middle_is_in_the_middle),
        cmocka_unit_test(after_a_reset_it_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
