#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/json_text.h"

static void check_string(struct span s, const char *want)
{
    struct buf out = {0};
    json_text_string(&out, s);
    assert_string_equal(buf_cstr(&out), want);
    buf_free(&out);
}

static void plain_text_stands_between_quotes(void **state)
{
    check_string(span_of("orders.new"), "\"orders.new\"");
    check_string(span_of(""), "\"\"");
    check_string(span_make(NULL, 0), "\"\"");
}

static void quotes_and_backslashes_are_escaped(void **state)
{
    check_string(span_of("\"a\\b\""), "\"\\\"a\\\\b\\\"\"");
}

static void control_characters_are_escaped(void **state)
{
    check_string(span_of("\b\t\n\f\r"), "\"\\b\\t\\n\\f\\r\"");
    check_string(span_make("a\0b\x1f", 4), "\"a\\u0000b\\u001f\"");
    check_string(span_of("\x1b[0m"), "\"\\u001b[0m\"");
}

static void nothing_else_is_escaped(void **state)
{
    check_string(span_of("/\x7f\xc2\x85\xe2\x80\xa8\xf0\x9f\x98\x80<>&'"),
                 "\"/\x7f\xc2\x85\xe2\x80\xa8\xf0\x9f\x98\x80<>&'\"");
}

static void an_error_is_an_object_with_the_message_repaired(void **state)
{
    struct buf out = {0};
    buf_str(&out, "x");
    json_text_error(&out, span_of("no \"\xff\" here\n"));
    assert_string_equal(buf_cstr(&out), "x{\"error\":\"no \\\"\xef\xbf\xbd\\\" here\\n\"}");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_text_stands_between_quotes),
        cmocka_unit_test(quotes_and_backslashes_are_escaped),
        cmocka_unit_test(control_characters_are_escaped),
        cmocka_unit_test(nothing_else_is_escaped),
        cmocka_unit_test(an_error_is_an_object_with_the_message_repaired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
