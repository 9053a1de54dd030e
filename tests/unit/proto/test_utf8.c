#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/utf8.h"

#define R "\xef\xbf\xbd"

struct repair {
    const char *text, *repaired;
    size_t replaced;
};

static void check(const struct repair *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct buf out = {0};
        assert_int_equal(utf8_repair(&out, span_of(cases[i].text)), cases[i].replaced);
        assert_string_equal(buf_cstr(&out), cases[i].repaired);
        assert_int_equal(utf8_valid(span_of(cases[i].text)), cases[i].replaced == 0);
        buf_free(&out);
    }
}

#define CHECK(...)                                                                                 \
    do {                                                                                           \
        static const struct repair cases[] = {__VA_ARGS__};                                        \
        check(cases, sizeof(cases) / sizeof(cases[0]));                                            \
    } while (0)

static void valid_text_stays_as_it_is(void **state)
{
    CHECK({"", "", 0}, {"a plain line of some length", "a plain line of some length", 0},
          {"\xc2\x80\xdf\xbf", "\xc2\x80\xdf\xbf", 0}, {"\xe0\xa0\x80", "\xe0\xa0\x80", 0},
          {"\xed\x9f\xbf\xee\x80\x80", "\xed\x9f\xbf\xee\x80\x80", 0},
          {"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 0},
          {"\xef\xbf\xbe", "\xef\xbf\xbe", 0});
}

static void a_byte_order_mark_is_kept(void **state)
{
    CHECK({"\xef\xbb\xbfx", "\xef\xbb\xbfx", 0});
}

static void bytes_that_begin_nothing_are_replaced_one_by_one(void **state)
{
    CHECK({"a\x80z", "a" R "z", 1}, {"\xbf\xbf", R R, 2}, {"\xfe\xff", R R, 2},
          {"\xf5\x80\x80\x80", R R R R, 4});
}

static void overlong_forms_are_replaced_byte_by_byte(void **state)
{
    CHECK({"\xc0\xaf", R R, 2}, {"\xc1\xbf", R R, 2}, {"\xe0\x80\xaf", R R R, 3},
          {"\xe0\x9f\xbf", R R R, 3}, {"\xf0\x8f\xbf\xbf", R R R R, 4});
}

static void surrogates_and_what_lies_beyond_unicode_are_replaced(void **state)
{
    CHECK({"\xed\xa0\x80", R R R, 3}, {"\xed\xbf\xbf", R R R, 3}, {"\xf4\x90\x80\x80", R R R R, 4});
}

static void a_sequence_cut_short_is_replaced_as_one(void **state)
{
    CHECK({"\xc3", R, 1}, {"\xe2\x82", R, 1}, {"\xf0\x9f\x98", R, 1}, {"\xf0\x9f\x98z", R "z", 1},
          {"\xe2\x82\xe2\x82\xac", R "\xe2\x82\xac", 1},
          {"\xf1\x80\x80\xe1\x80\xc2 ", R R R " ", 3});
}

/* The example of the Unicode standard, chapter 3.9, table 3-8 and onward. */
static void the_standards_own_example_comes_out_as_printed_there(void **state)
{
    CHECK({"\x61\xf1\x80\x80\xe1\x80\xc2\x62\x80\x63\x80\xbf\x64", "a" R R R "b" R "c" R R "d", 6});
}

static void a_nul_is_a_character_like_any_other(void **state)
{
    struct buf out = {0};
    assert_true(utf8_valid(span_make("a\0b", 3)));
    assert_int_equal(utf8_repair(&out, span_make("a\0\xff", 3)), 1);
    assert_true(span_eq(buf_view(&out), span_make("a\0" R, 5)));
    buf_free(&out);
}

static void what_the_buffer_held_before_stays(void **state)
{
    struct buf out = {0};
    buf_str(&out, "before ");
    utf8_repair(&out, span_of("\xff"));
    assert_string_equal(buf_cstr(&out), "before " R);
    buf_free(&out);
}

static void a_bad_byte_is_found_wherever_it_stands(void **state)
{
    char text[40];
    for (size_t at = 0; at < sizeof(text); at++) {
        memset(text, 'x', sizeof(text));
        assert_true(utf8_valid(span_make(text, sizeof(text))));
        text[at] = '\xff';
        assert_false(utf8_valid(span_make(text, sizeof(text))));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_text_stays_as_it_is),
        cmocka_unit_test(a_byte_order_mark_is_kept),
        cmocka_unit_test(bytes_that_begin_nothing_are_replaced_one_by_one),
        cmocka_unit_test(overlong_forms_are_replaced_byte_by_byte),
        cmocka_unit_test(surrogates_and_what_lies_beyond_unicode_are_replaced),
        cmocka_unit_test(a_sequence_cut_short_is_replaced_as_one),
        cmocka_unit_test(the_standards_own_example_comes_out_as_printed_there),
        cmocka_unit_test(a_nul_is_a_character_like_any_other),
        cmocka_unit_test(what_the_buffer_held_before_stays),
        cmocka_unit_test(a_bad_byte_is_found_wherever_it_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
