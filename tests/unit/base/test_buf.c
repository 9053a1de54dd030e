#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"

#define assert_holds(b, text) assert_true(span_is(buf_view(b), text))

static void a_zeroed_struct_is_an_empty_buffer(void **state)
{
    struct buf b = {0};
    assert_string_equal(buf_cstr(&b), "");
    assert_int_equal(b.len, 0);
    buf_free(&b);
    buf_append(&b, NULL, 0);
    buf_consume(&b, 1);
    buf_reset(&b);
    buf_free(&b);
    assert_null(b.data);
}

static void every_way_of_appending_appends(void **state)
{
    struct buf b = {0};
    buf_str(&b, "a");
    buf_byte(&b, '\0');
    buf_append(&b, "bc", 2);
    buf_span(&b, span_of("de"));
    buf_printf(&b, "%d", 42);
    assert_true(span_eq(buf_view(&b), span_make("a\0bcde42", 8)));
    buf_free(&b);
}

static void growing_keeps_what_was_there(void **state)
{
    struct buf b = {0};
    for (unsigned i = 0; i < 100000; i++)
        buf_byte(&b, (char)i);
    assert_int_equal(b.len, 100000);
    assert_true(b.cap < 400000);
    for (unsigned i = 0; i < 100000; i++)
        assert_int_equal(b.data[i], (char)i);
    buf_free(&b);
}

static void printf_writes_the_whole_text_at_any_length(void **state)
{
    for (int len = 0; len < 300; len++) {
        struct buf b = {0};
        buf_str(&b, "x");
        buf_printf(&b, "%*s|", len, "");
        assert_int_equal(b.len, len + 2);
        assert_int_equal(b.data[0], 'x');
        assert_int_equal(b.data[len + 1], '|');
        buf_free(&b);
    }
}

static void reserved_bytes_are_the_callers_to_fill(void **state)
{
    struct buf b = {0};
    buf_str(&b, "a");
    char *to = buf_reserve(&b, 1000);
    memset(to, 'z', 1000);
    b.len += 1000;
    assert_int_equal(b.data[0], 'a');
    assert_int_equal(b.data[1000], 'z');
    buf_free(&b);
}

static void consuming_drops_the_front(void **state)
{
    struct buf b = {0};
    buf_str(&b, "abcdef");
    buf_consume(&b, 0);
    assert_holds(&b, "abcdef");
    buf_consume(&b, 2);
    assert_holds(&b, "cdef");
    buf_consume(&b, 4);
    assert_holds(&b, "");
    buf_str(&b, "more");
    buf_consume(&b, 99);
    assert_holds(&b, "");
    buf_free(&b);
}

static void a_c_string_has_its_nul_outside_of_the_length(void **state)
{
    struct buf b = {0};
    for (size_t len = 0; len < 130; len++) {
        assert_int_equal(strlen(buf_cstr(&b)), len);
        assert_int_equal(b.len, len);
        buf_byte(&b, 'q');
    }
    buf_free(&b);
}

static void taking_gives_the_bytes_away_and_leaves_it_empty(void **state)
{
    struct buf b = {0};
    buf_str(&b, "mine");
    char *bytes = buf_take(&b);
    assert_string_equal(bytes, "mine");
    assert_null(b.data);
    assert_int_equal(b.len, 0);
    assert_int_equal(b.cap, 0);
    mem_free(bytes);
    bytes = buf_take(&b);
    assert_string_equal(bytes, "");
    mem_free(bytes);
}

static void resetting_keeps_the_memory(void **state)
{
    struct buf b = {0};
    buf_str(&b, "abc");
    const char *data = b.data;
    buf_reset(&b);
    assert_int_equal(b.len, 0);
    assert_ptr_equal(b.data, data);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_zeroed_struct_is_an_empty_buffer),
        cmocka_unit_test(every_way_of_appending_appends),
        cmocka_unit_test(growing_keeps_what_was_there),
        cmocka_unit_test(printf_writes_the_whole_text_at_any_length),
        cmocka_unit_test(reserved_bytes_are_the_callers_to_fill),
        cmocka_unit_test(consuming_drops_the_front),
        cmocka_unit_test(a_c_string_has_its_nul_outside_of_the_length),
        cmocka_unit_test(taking_gives_the_bytes_away_and_leaves_it_empty),
        cmocka_unit_test(resetting_keeps_the_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
