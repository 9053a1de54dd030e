#include "cli/printable.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_printed(struct span s, const char *want)
{
    struct buf out = {0};
    printable(&out, s);
    assert_string_equal(buf_cstr(&out), want);
    buf_free(&out);
}

static void text_stays_as_it_is(void **state)
{
    assert_printed(span_of("a \"b\" \\ caf\xc3\xa9 \xe2\x82\xac\xf0\x9f\x98\x80"),
                   "a \"b\" \\ caf\xc3\xa9 \xe2\x82\xac\xf0\x9f\x98\x80");
    assert_printed((struct span){0}, "");
}

static void no_control_character_reaches_the_terminal(void **state)
{
    assert_printed(span_of("a\nb\r\tc\x1b[2J\x7f"), "a\\nb\\r\\tc\\x1b[2J\\x7f");
    assert_printed(span_make("\0x", 2), "\\x00x");
}

static void nor_does_a_c1_control_in_its_two_bytes(void **state)
{
    assert_printed(span_of("\xc2\x9b"
                           "31m\xc2\x80\xc2\x9f\xc2\xa0"),
                   "\\x9b31m\\x80\\x9f\xc2\xa0");
}

static void ill_formed_utf8_is_replaced_before_it_is_looked_at(void **state)
{
    assert_printed(span_of("a\xff\n\xc2"), "a\xef\xbf\xbd\\n\xef\xbf\xbd");
    assert_printed(span_of("\x9b"
                           "31m"),
                   "\xef\xbf\xbd"
                   "31m");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_stays_as_it_is),
        cmocka_unit_test(no_control_character_reaches_the_terminal),
        cmocka_unit_test(nor_does_a_c1_control_in_its_two_bytes),
        cmocka_unit_test(ill_formed_utf8_is_replaced_before_it_is_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
