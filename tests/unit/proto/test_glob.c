#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/glob.h"

#include <stdlib.h>
#include <time.h>

/* What Redis 7.0.15 answers; test_glob_redis asks one for many more. */
static const struct {
    const char *pattern, *name;
    bool matches;
} cases[] = {
    {"orders.new", "orders.new", true},
    {"orders.new", "orders.New", false},
    {"orders", "orders.new", false},
    {"orders.new", "orders", false},
    {"*", "a", true},
    {"*", "", false},
    {"", "", true},
    {"", "a", false},
    {"a*", "a", true},
    {"a**", "a", true},
    {"orders.*", "orders.eu.new", true},
    {"*.new", "orders.eu.new", true},
    {"**a**b**", "xaybz", true},
    {"*aab", "aaaab", true},
    {"*a*b*c", "abcab", false},
    {"a?c", "abc", true},
    {"a?c", "ac", false},
    {"?", "\xc3", true},
    {"?", "\xc3\xa9", false},
    {"[abc]", "b", true},
    {"[abc]", "d", false},
    {"[^abc]", "d", true},
    {"[^abc]", "b", false},
    {"[a^]", "^", true},
    {"[a-c]", "b", true},
    {"[c-a]", "b", true},
    {"[a-c]", "-", false},
    {"[-a]", "-", true},
    {"[a-]", "a", true}, /* a range from ] to a; nothing closes the class: the pattern ends it */
    {"[a-]", "b", false},
    {"[a-]", "-", false},
    {"[a-]", "a]", false},
    {"[\\]]", "]", true},
    {"[\\-x]", "-", true},
    {"[a-\\]", "_", true}, /* a range whose end is the backslash: \ to a, swapped; then ] closes */
    {"[]", "a", false},
    {"[]a]", "a", false},
    {"[^]", "a", true},
    {"[^]a", "ba", true},
    {"[ab", "a", true},
    {"[ab", "b", true},
    {"[ab", "c", false},
    {"[", "[", false},
    {"[", "a", false},
    {"[^", "a", true},
    {"[a\\", "\\", true},
    {"[\\", "\\", true},
    {"x[", "x[", false},
    {"\\*", "*", true},
    {"\\*", "a", false},
    {"\\a", "a", true},
    {"a\\", "a\\", true},
    {"a\\", "a", false},
    {"]", "]", true},
    {"{a,b}", "a", false},
    {"{a,b}", "{a,b}", true},
};

static void the_answers_are_those_of_redis(void **state)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool matches = glob_match(span_of(cases[i].pattern), span_of(cases[i].name));
        if (matches != cases[i].matches)
            fail_msg("%s against %s: %d", cases[i].pattern, cases[i].name, matches);
    }
}

static void patterns_and_names_may_hold_nul(void **state)
{
    assert_true(glob_match(span_make("a\0?", 3), span_make("a\0b", 3)));
    assert_false(glob_match(span_make("a\0b", 3), span_make("a\0c", 3)));
    assert_true(glob_match(span_make("[\0]", 3), span_make("\0", 1)));
}

static void a_class_element_moves_behind_itself_whatever_it_answers(void **state)
{
    size_t at = 0;
    assert_false(glob_element(span_of("[ab]c"), &at, 'x'));
    assert_int_equal(at, 4);
    assert_true(glob_element(span_of("[ab]c"), &at, 'c'));
    assert_int_equal(at, 5);
    at = 0;
    assert_false(glob_element(span_of("\\*"), &at, 'x'));
    assert_int_equal(at, 2);
}

/* What takes recursion without a bound longer than the age of the universe. */
static void abusive_patterns_take_no_longer_than_pattern_times_name(void **state)
{
    struct buf pattern = {0}, name = {0};
    clock_t before = clock();
    for (int i = 0; i < 900; i++)
        buf_str(&pattern, "*a");
    buf_str(&pattern, "b");
    for (int i = 0; i < 10000; i++)
        buf_str(&name, "a");
    assert_false(glob_match(buf_view(&pattern), buf_view(&name)));
    assert_true(clock() - before < 10 * CLOCKS_PER_SEC);
    buf_free(&pattern);
    buf_free(&name);
}

static struct buf stars(size_t runs, const char *tail)
{
    struct buf b = {0};
    for (size_t i = 0; i < runs; i++)
        buf_str(&b, i % 2 ? "*a" : "***a");
    buf_str(&b, tail);
    return b;
}

static void more_than_a_thousand_runs_of_stars_match_nothing(void **state)
{
    struct buf name = {0}, most = stars(1000, ""), last = stars(1000, "*"), many = stars(1001, "");
    for (int i = 0; i < 1100; i++)
        buf_byte(&name, 'a');
    assert_true(glob_match(buf_view(&most), buf_view(&name)));
    assert_true(glob_match(buf_view(&last), buf_view(&name)));
    assert_false(glob_match(buf_view(&many), buf_view(&name)));
    buf_free(&name);
    buf_free(&most);
    buf_free(&last);
    buf_free(&many);
}

static void an_escaped_name_matches_itself_and_nothing_else(void **state)
{
    const char *const names[] = {"plain", "*", "a?b", "[a-z]", "\\", "a\\*", "[^x]", "]", "ends\\"};
    const size_t count = sizeof(names) / sizeof(names[0]);
    for (size_t i = 0; i < count; i++) {
        struct buf pattern = {0};
        glob_escape(&pattern, span_of(names[i]));
        for (size_t j = 0; j < count; j++)
            assert_int_equal(glob_match(buf_view(&pattern), span_of(names[j])), i == j);
        buf_free(&pattern);
    }
}

static void the_literal_prefix_ends_at_the_first_special_byte(void **state)
{
    assert_int_equal(glob_literal_prefix(span_of("orders.*")), 7);
    assert_int_equal(glob_literal_prefix(span_of("*")), 0);
    assert_int_equal(glob_literal_prefix(span_of("a?")), 1);
    assert_int_equal(glob_literal_prefix(span_of("ab[c]")), 2);
    assert_int_equal(glob_literal_prefix(span_of("ab\\c")), 2);
    assert_int_equal(glob_literal_prefix(span_of("ab\\")), 3);
    assert_int_equal(glob_literal_prefix(span_of("a]{b}")), 5);
    assert_int_equal(glob_literal_prefix(span_of("")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answers_are_those_of_redis),
        cmocka_unit_test(patterns_and_names_may_hold_nul),
        cmocka_unit_test(a_class_element_moves_behind_itself_whatever_it_answers),
        cmocka_unit_test(abusive_patterns_take_no_longer_than_pattern_times_name),
        cmocka_unit_test(more_than_a_thousand_runs_of_stars_match_nothing),
        cmocka_unit_test(an_escaped_name_matches_itself_and_nothing_else),
        cmocka_unit_test(the_literal_prefix_ends_at_the_first_special_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
