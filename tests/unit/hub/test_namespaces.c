#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hub/namespaces.h"

#include <string.h>

static const struct namespace_settings some[] = {
    {.match = "orders.{shop}.new", .envelope = true},
    {.match = "orders.*", .envelope = false},
    {.match = "o*", .envelope = true},
};

static const char *match_of(const struct namespaces *n, const char *channel)
{
    const char *match = namespaces_find(n, span_of(channel))->match;
    return match ? match : "none";
}

static void the_first_that_matches_is_the_channels(void **state)
{
    struct namespaces *n = namespaces_create(some, 3);
    assert_string_equal(match_of(n, "orders.7.new"), "orders.{shop}.new");
    assert_string_equal(match_of(n, "orders.7.8.new"), "orders.*");
    assert_string_equal(match_of(n, "orders"), "o*");
    assert_true(namespaces_find(n, span_of("orders.7.new"))->envelope);
    assert_false(namespaces_find(n, span_of("orders.x"))->envelope);
    namespaces_destroy(&n);
    assert_null(n);
}

static void a_channel_that_none_matches_is_raw(void **state)
{
    struct namespaces *n = namespaces_create(some, 3);
    assert_false(namespaces_find(n, span_of("news"))->envelope);
    assert_string_equal(match_of(n, "news"), "none");
    namespaces_destroy(&n);
}

static void without_any_every_channel_is_raw(void **state)
{
    struct namespaces *n = namespaces_create(NULL, 0);
    assert_false(namespaces_find(n, span_of("orders.7"))->envelope);
    namespaces_destroy(&n);
    namespaces_destroy(&n);
}

static void the_settings_are_copied(void **state)
{
    char match[] = "a*";
    struct namespace_settings one = {.match = match, .envelope = true};
    struct namespaces *n = namespaces_create(&one, 1);
    memset(match, 'z', 2);
    one.envelope = false;
    assert_true(namespaces_find(n, span_of("abc"))->envelope);
    namespaces_destroy(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_that_matches_is_the_channels),
        cmocka_unit_test(a_channel_that_none_matches_is_raw),
        cmocka_unit_test(without_any_every_channel_is_raw),
        cmocka_unit_test(the_settings_are_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
