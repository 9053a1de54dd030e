#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/prom_text.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

static struct buf out;

static void expect(const char *want)
{
    assert_string_equal(buf_cstr(&out), want);
    buf_free(&out);
}

static void a_head_names_help_and_type(void **state)
{
    prom_head(&out, "sluice_connections", PROM_GAUGE, "Streams that are open now.");
    prom_head(&out, "sluice_messages_total", PROM_COUNTER, "Messages.");
    prom_head(&out, "sluice_wait_seconds", PROM_HISTOGRAM, "Waits.");
    expect("# HELP sluice_connections Streams that are open now.\n# TYPE sluice_connections gauge\n"
           "# HELP sluice_messages_total Messages.\n# TYPE sluice_messages_total counter\n"
           "# HELP sluice_wait_seconds Waits.\n# TYPE sluice_wait_seconds histogram\n");
}

static void help_escapes_backslash_and_line_end_but_no_quote(void **state)
{
    prom_head(&out, "m", PROM_GAUGE, "a \\ \"b\"\nc");
    expect("# HELP m a \\\\ \"b\"\\nc\n# TYPE m gauge\n");
}

static void a_sample_may_have_labels(void **state)
{
    prom_value(&out, "m", NULL, 1);
    prom_value(&out, "m", (const char *const[]){NULL}, 2);
    prom_value(&out, "m", (const char *const[]){"reason", "slow", NULL}, 3);
    prom_value(&out, "m", (const char *const[]){"a", "", "b", "x", NULL}, 4);
    expect("m 1\nm 2\nm{reason=\"slow\"} 3\nm{a=\"\",b=\"x\"} 4\n");
}

static void a_labels_value_escapes_backslash_quote_and_line_end(void **state)
{
    prom_value(&out, "m", (const char *const[]){"l", "a\\b\"c\nd\xc3\xa9", NULL}, 0);
    expect("m{l=\"a\\\\b\\\"c\\nd\xc3\xa9\"} 0\n");
}

static void numbers_are_short_and_lose_nothing(void **state)
{
    prom_value(&out, "m", NULL, 0.1);
    prom_value(&out, "m", NULL, 1234567890123);
    prom_value(&out, "m", NULL, -2.5);
    prom_value(&out, "m", NULL, 0.000025);
    expect("m 0.1\nm 1234567890123\nm -2.5\nm 2.5e-05\n");
    const double exact[] = {1.0 / 3, 9007199254740993.0, DBL_MAX, DBL_TRUE_MIN, 5.000000000000001};
    for (size_t i = 0; i < sizeof(exact) / sizeof(exact[0]); i++) {
        prom_value(&out, "m", NULL, exact[i]);
        assert_true(strtod(buf_cstr(&out) + 2, NULL) == exact[i]);
        buf_free(&out);
    }
}

static void what_is_no_number_is_spelt_as_prometheus_does(void **state)
{
    prom_value(&out, "m", NULL, INFINITY);
    prom_value(&out, "m", NULL, -INFINITY);
    prom_value(&out, "m", NULL, NAN);
    expect("m +Inf\nm -Inf\nm NaN\n");
}

static void a_histogram_cumulates_its_buckets(void **state)
{
    prom_histogram(&out, "h", (const double[]){0.001, 0.5, 10}, (const uint64_t[]){3, 0, 2, 1}, 3,
                   12.75);
    expect("h_bucket{le=\"0.001\"} 3\nh_bucket{le=\"0.5\"} 3\nh_bucket{le=\"10\"} 5\n"
           "h_bucket{le=\"+Inf\"} 6\nh_sum 12.75\nh_count 6\n");
}

static void counts_beyond_what_a_double_holds_are_exact(void **state)
{
    prom_histogram(&out, "h", NULL, (const uint64_t[]){9007199254740993}, 0, 0);
    expect("h_bucket{le=\"+Inf\"} 9007199254740993\nh_sum 0\nh_count 9007199254740993\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_names_help_and_type),
        cmocka_unit_test(help_escapes_backslash_and_line_end_but_no_quote),
        cmocka_unit_test(a_sample_may_have_labels),
        cmocka_unit_test(a_labels_value_escapes_backslash_quote_and_line_end),
        cmocka_unit_test(numbers_are_short_and_lose_nothing),
        cmocka_unit_test(what_is_no_number_is_spelt_as_prometheus_does),
        cmocka_unit_test(a_histogram_cumulates_its_buckets),
        cmocka_unit_test(counts_beyond_what_a_double_holds_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
