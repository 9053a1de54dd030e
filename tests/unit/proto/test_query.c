#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "proto/query.h"

enum { MAX = 10 };

/* Writes what was parsed as name=value; lines; an error as its sentence. */
static void check(const char *text, const char *want)
{
    struct query q = {0};
    struct buf got = {0};
    const char *why = NULL;
    if (query_parse(span_of(text), MAX, &q, &why) == 0) {
        for (size_t i = 0; i < q.count; i++) {
            buf_span(&got, q.params[i].name);
            buf_byte(&got, '=');
            buf_span(&got, q.params[i].value);
            buf_byte(&got, ';');
        }
    } else {
        buf_str(&got, why);
    }
    assert_string_equal(buf_cstr(&got), want);
    buf_free(&got);
    query_free(&q);
}

static void parameters_come_in_the_order_of_the_text(void **state)
{
    check("channel=a&channel=b&pattern=orders.*", "channel=a;channel=b;pattern=orders.*;");
    check("b=2&a=1", "b=2;a=1;");
}

static void names_and_values_are_decoded(void **state)
{
    check("a%20b=c%3D%26d", "a b=c=&d;");
    check("q=a+b%2Bc", "q=a b+c;");
    check("x=%c3%A9", "x=\xc3\xa9;");
    check("x=\xc3\xa9", "x=\xc3\xa9;");
}

static void only_the_first_equals_sign_divides(void **state)
{
    check("a=b=c", "a=b=c;");
    check("=v", "=v;");
    check("a=", "a=;");
    check("a", "a=;");
}

static void empty_pieces_are_no_parameters(void **state)
{
    check("", "");
    check("&&", "");
    check("&a=1&&b=2&", "a=1;b=2;");
}

static void a_percent_sign_without_two_hex_digits_is_an_error(void **state)
{
    const char *const bad[] = {"a=%",   "a=%4", "a=%zz",       "a=%4g",
                               "a=%g4", "%=1",  "a=1&b=%&c=2", "a=% 4"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        check(bad[i], "has a % that is not followed by two hex digits");
}

static void digits_behind_the_end_of_the_text_are_not_read(void **state)
{
    struct query q = {0};
    struct buf out = {0};
    const char *why = NULL;
    assert_int_equal(query_parse(span_make("a=%41", 4), MAX, &q, &why), ERR_INVALID);
    assert_int_equal(query_parse(span_make("a=%41", 3), MAX, &q, &why), ERR_INVALID);
    assert_int_equal(percent_decode(&out, span_make("%41", 2)), ERR_INVALID);
    buf_free(&out);
}

static void what_is_no_utf8_once_decoded_is_an_error(void **state)
{
    const char *const bad[] = {"a=%ff", "%c3=1", "a=%c3", "a=\xff", "a=%c3&%a9=1", "a%c3=%a9"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        check(bad[i], "is not valid UTF-8 once decoded");
}

static void too_many_parameters_are_refused_before_any_is_decoded(void **state)
{
    struct query q = {0};
    const char *why = NULL;
    check("a&b&c&d&e&f&g&h&i&j", "a=;b=;c=;d=;e=;f=;g=;h=;i=;j=;");
    assert_int_equal(query_parse(span_of("a&b&c&d&e&f&g&h&i&j&%"), MAX, &q, &why), ERR_TOO_LARGE);
    assert_non_null(why);
    assert_null(q.params);
}

static void failure_leaves_the_output_alone(void **state)
{
    struct query q = {.count = 77};
    const char *why = NULL;
    assert_int_equal(query_parse(span_of("good=1&bad=%"), MAX, &q, &why), ERR_INVALID);
    assert_int_equal(q.count, 77);
    assert_null(q.params);
    assert_null(q.bytes.data);
}

static void get_gives_the_first_of_a_name(void **state)
{
    struct query q;
    const char *why;
    assert_int_equal(query_parse(span_of("a=1&b=&a=2&n%00l=x"), MAX, &q, &why), 0);
    assert_true(span_is(query_get(&q, "a"), "1"));
    assert_non_null(query_get(&q, "b").ptr);
    assert_int_equal(query_get(&q, "b").len, 0);
    assert_null(query_get(&q, "c").ptr);
    assert_null(query_get(&q, "A").ptr);
    assert_null(query_get(&q, "n").ptr);
    query_free(&q);
    assert_null(query_get(&q, "a").ptr);
}

static void an_empty_query_may_have_no_bytes_at_all(void **state)
{
    struct query q;
    const char *why;
    assert_int_equal(query_parse(span_make(NULL, 0), 0, &q, &why), 0);
    assert_int_equal(q.count, 0);
    query_free(&q);
}

static void a_path_segment_is_decoded_behind_what_was_there(void **state)
{
    struct buf out = {0};
    buf_str(&out, "x:");
    assert_int_equal(percent_decode(&out, span_of("a%2Fb+c%20d%ff")), 0);
    assert_string_equal(buf_cstr(&out), "x:a/b+c d\xff");
    assert_int_equal(percent_decode(&out, span_of("good%2")), ERR_INVALID);
    assert_string_equal(buf_cstr(&out), "x:a/b+c d\xff");
    assert_int_equal(percent_decode(&out, span_make(NULL, 0)), 0);
    assert_int_equal(out.len, strlen("x:a/b+c d\xff"));
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_come_in_the_order_of_the_text),
        cmocka_unit_test(names_and_values_are_decoded),
        cmocka_unit_test(only_the_first_equals_sign_divides),
        cmocka_unit_test(empty_pieces_are_no_parameters),
        cmocka_unit_test(a_percent_sign_without_two_hex_digits_is_an_error),
        cmocka_unit_test(digits_behind_the_end_of_the_text_are_not_read),
        cmocka_unit_test(what_is_no_utf8_once_decoded_is_an_error),
        cmocka_unit_test(too_many_parameters_are_refused_before_any_is_decoded),
        cmocka_unit_test(failure_leaves_the_output_alone),
        cmocka_unit_test(get_gives_the_first_of_a_name),
        cmocka_unit_test(an_empty_query_may_have_no_bytes_at_all),
        cmocka_unit_test(a_path_segment_is_decoded_behind_what_was_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
