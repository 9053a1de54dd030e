#include "cli/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void a_stream_that_ran_is_asked_for_again_after_its_own_retry(void **state)
{
    assert_int_equal(backoff_ms(2000, 0, 0, 0), 2000);
    assert_int_equal(backoff_ms(60000, 0, 0, 0), 60000);
}

static void each_refusal_but_the_first_doubles_the_wait_up_to_a_limit(void **state)
{
    static const uint32_t want[] = {2000, 4000, 8000, 16000, BACKOFF_MOST_MS, BACKOFF_MOST_MS};
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(backoff_ms(2000, i + 1, 0, 0), want[i]);
    assert_int_equal(backoff_ms(2000, UINT32_MAX, 0, 0), BACKOFF_MOST_MS);
}

static void a_retry_above_the_limit_is_kept_and_not_doubled(void **state)
{
    assert_int_equal(backoff_ms(60000, 5, 0, 0), 60000);
    assert_int_equal(backoff_ms(UINT32_MAX, 9, 0, UINT32_MAX), UINT32_MAX);
}

static void a_retry_of_zero_does_not_spin(void **state)
{
    assert_int_equal(backoff_ms(0, 0, 0, 0), BACKOFF_LEAST_MS);
    assert_int_equal(backoff_ms(0, 3, 0, 0), 4 * BACKOFF_LEAST_MS);
}

static void the_jitter_adds_up_to_a_quarter_and_takes_nothing_away(void **state)
{
    uint32_t most = 0, least = UINT32_MAX;
    for (uint32_t chance = 0; chance < 5000; chance++) {
        uint32_t ms = backoff_ms(1000, 0, 0, chance);
        most = ms > most ? ms : most;
        least = ms < least ? ms : least;
    }
    assert_int_equal(least, 1000);
    assert_int_equal(most, 1250);
}

static void what_a_refusal_asks_for_is_waited_within_reason(void **state)
{
    assert_int_equal(backoff_ms(2000, 1, 7000, 0), 7000);
    assert_int_equal(backoff_ms(2000, 4, 7000, 0), 16000);
    assert_int_equal(backoff_ms(2000, 1, UINT32_MAX, 0), BACKOFF_MOST_ASKED_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_that_ran_is_asked_for_again_after_its_own_retry),
        cmocka_unit_test(each_refusal_but_the_first_doubles_the_wait_up_to_a_limit),
        cmocka_unit_test(a_retry_above_the_limit_is_kept_and_not_doubled),
        cmocka_unit_test(a_retry_of_zero_does_not_spin),
        cmocka_unit_test(the_jitter_adds_up_to_a_quarter_and_takes_nothing_away),
        cmocka_unit_test(what_a_refusal_asks_for_is_waited_within_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
