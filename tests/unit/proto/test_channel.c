#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "proto/channel.h"

enum { LIMIT = 200 };

static void check_name(const char *name, const char *want)
{
    const char *error = channel_name_error(span_of(name), LIMIT);
    if (want)
        assert_string_equal(error ? error : "no error", want);
    else
        assert_null(error);
}

static void names_are_utf8_of_any_script(void **state)
{
    check_name("orders", NULL);
    check_name("orders.eu:7/x y-z_!", NULL);
    check_name("\xc3\xa9t\xc3\xa9", NULL);
    check_name("\xf0\x9f\x98\x80", NULL);
    check_name("\xc2\xa0", NULL); /* the first behind the C1 controls */
    check_name("", "is empty");
    check_name("a\xff", "is not valid UTF-8");
    check_name("a\xc3", "is not valid UTF-8");
}

static void names_are_bounded_in_bytes(void **state)
{
    char name[LIMIT + 2];
    memset(name, 'n', sizeof(name));
    name[LIMIT + 1] = '\0';
    check_name(name, "is longer than the limit of name_bytes");
    name[LIMIT] = '\0';
    check_name(name, NULL);
    assert_non_null(channel_name_error(span_of("abcd"), 3));
    assert_null(channel_name_error(span_of("abc"), 3));
    assert_string_equal(channel_pattern_error(span_of("abc*"), 3),
                        "is longer than the limit of name_bytes");
}

static void names_have_no_control_characters(void **state)
{
    char name[3] = "a";
    for (int c = 1; c < 0x80; c++) {
        name[1] = (char)c;
        if (c < 0x20 || c == 0x7f)
            check_name(name, "has a control character");
    }
    assert_non_null(channel_name_error(span_make("a\0b", 3), LIMIT));
    for (int c = 0x80; c <= 0x9f; c++)
        check_name((char[]){'a', '\xc2', (char)c, '\0'}, "has a control character");
    check_name("\xc4\x80\xe2\x80\x80", NULL); /* 80 behind another lead byte is no control */
}

static void names_have_none_of_the_bytes_of_globs_and_segments(void **state)
{
    for (const char *c = "*?[]{}\\"; *c; c++)
        check_name((char[]){'a', *c, 'b', '\0'}, "has one of * ? [ ] { } \\");
}

static void names_that_begin_with_a_reserved_prefix_are_refused(void **state)
{
    const char *const reserved[] = {"sluice:",    "sluice:log:a", "sluice.",
                                    "sluice.gap", "__",           "__keyspace@0__:a"};
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        check_name(reserved[i], "begins with a reserved prefix (sluice: sluice. __)");
        assert_true(channel_reserved(span_of(reserved[i])));
    }
    const char *const free_names[] = {
        "sluice", "sluice-x", "Sluice:", "asluice:", "_", "a__", "_a_"};
    for (size_t i = 0; i < sizeof(free_names) / sizeof(free_names[0]); i++) {
        check_name(free_names[i], NULL);
        assert_false(channel_reserved(span_of(free_names[i])));
    }
    assert_false(channel_reserved(span_of("")));
}

static void patterns_may_be_globs_but_keep_the_other_rules(void **state)
{
    const struct span globs[] = {span_of("*"), span_of("orders.*"), span_of("a?[b-c]"),
                                 span_of("\\*"), span_of("plain")};
    for (size_t i = 0; i < sizeof(globs) / sizeof(globs[0]); i++)
        assert_null(channel_pattern_error(globs[i], LIMIT));
    assert_string_equal(channel_pattern_error(span_of("a{b"), LIMIT), "has one of { }");
    assert_string_equal(channel_pattern_error(span_of("a}"), LIMIT), "has one of { }");
    assert_string_equal(channel_pattern_error(span_of(""), LIMIT), "is empty");
    assert_string_equal(channel_pattern_error(span_of("*\n"), LIMIT), "has a control character");
    assert_string_equal(channel_pattern_error(span_of("*\xff"), LIMIT), "is not valid UTF-8");
    assert_string_equal(channel_pattern_error(span_of("sluice:*"), LIMIT),
                        "begins with a reserved prefix (sluice: sluice. __)");
    assert_null(channel_pattern_error(span_of("sl*"), LIMIT));
}

static void a_match_without_segments_is_a_plain_glob(void **state)
{
    assert_true(namespace_match(span_of("*"), span_of("a.b")));
    assert_true(namespace_match(span_of("orders.[a-c]?"), span_of("orders.b1")));
    assert_false(namespace_match(span_of("orders.*"), span_of("order")));
    assert_false(namespace_match(span_of("*"), span_of("")));
    assert_false(namespace_match(span_make(NULL, 0), span_of("a")));
}

static void a_segment_is_one_or_more_bytes_without_a_dot(void **state)
{
    const struct span match = span_of("user.{id}.cart");
    assert_true(namespace_match(match, span_of("user.7.cart")));
    assert_true(namespace_match(match, span_of("user.a:b-\xc3\xa9.cart")));
    assert_false(namespace_match(match, span_of("user..cart")));
    assert_false(namespace_match(match, span_of("user.7.8.cart")));
    assert_false(namespace_match(match, span_of("user.7.cart2")));
    assert_false(namespace_match(match, span_of("user.7")));
    assert_false(namespace_match(match, span_of("")));
    assert_false(namespace_match(span_of("ab{x}"), span_of("bx")));
    assert_true(namespace_match(span_of("{all}"), span_of("x")));
    assert_false(namespace_match(span_of("{all}"), span_of("x.y")));
}

static void segments_stand_beside_any_part_of_a_glob(void **state)
{
    assert_true(namespace_match(span_of("*.{id}"), span_of("a.b.c")));
    assert_true(namespace_match(span_of("{a}*"), span_of("a.b.c")));
    assert_true(namespace_match(span_of("{a}-{b}"), span_of("x-y-z")));
    assert_true(namespace_match(span_of("{a}xa"), span_of("xaxaxa")));
    assert_true(namespace_match(span_of("*{a}b*c"), span_of("..xb.bc")));
    assert_false(namespace_match(span_of("*{a}b*c"), span_of("..b.bd")));
    assert_true(namespace_match(span_of("{a}?[x-z]\\*"), span_of("aay*")));
    assert_false(namespace_match(span_of("{a}?[x-z]"), span_of("ay")));
    assert_true(namespace_match(span_of("a{w}[{]"), span_of("ab{")));
}

static void long_ambiguous_matches_take_no_longer_than_match_times_name(void **state)
{
    struct buf match = {0}, name = {0};
    for (int i = 0; i < 200; i++)
        buf_str(&match, "*{a}x");
    buf_str(&match, "y");
    for (int i = 0; i < 2000; i++)
        buf_str(&name, "x");
    assert_false(namespace_match(buf_view(&match), buf_view(&name)));
    match.data[match.len - 1] = '*';
    assert_true(namespace_match(buf_view(&match), buf_view(&name)));
    buf_free(&match);
    buf_free(&name);
}

static void check_match(const char *match, const char *error_begins)
{
    const char *error = namespace_match_error(span_of(match));
    if (error_begins)
        assert_true(error && span_starts(span_of(error), error_begins));
    else
        assert_null(error);
}

static void a_match_with_bad_braces_is_refused(void **state)
{
    const char *open = "has a { that does not begin {word}", *close = "has a } that does not end";
    check_match("orders.*", NULL);
    check_match("{a}.{Z_9}", NULL);
    check_match("[{}]", NULL);
    check_match("\\{a\\}", NULL);
    check_match("{abcdefghijklmnopqrstuvwxyz012345}", NULL);
    check_match("{abcdefghijklmnopqrstuvwxyz0123456}", open);
    check_match("{}", open);
    check_match("{", open);
    check_match("{a", open);
    check_match("{a-b}", open);
    check_match("{{a}}", open);
    check_match("{a}}", close);
    check_match("}", close);
    check_match("", "is empty");
    check_match("a\x01", "has a control character");
    check_match("a\xff", "is not valid UTF-8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_utf8_of_any_script),
        cmocka_unit_test(names_are_bounded_in_bytes),
        cmocka_unit_test(names_have_no_control_characters),
        cmocka_unit_test(names_have_none_of_the_bytes_of_globs_and_segments),
        cmocka_unit_test(names_that_begin_with_a_reserved_prefix_are_refused),
        cmocka_unit_test(patterns_may_be_globs_but_keep_the_other_rules),
        cmocka_unit_test(a_match_without_segments_is_a_plain_glob),
        cmocka_unit_test(a_segment_is_one_or_more_bytes_without_a_dot),
        cmocka_unit_test(segments_stand_beside_any_part_of_a_glob),
        cmocka_unit_test(long_ambiguous_matches_take_no_longer_than_match_times_name),
        cmocka_unit_test(a_match_with_bad_braces_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
