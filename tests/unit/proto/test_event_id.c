#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "proto/event_id.h"

static const struct {
    const char *text;
    uint64_t id;
} ids[] = {
    {"0-0", 0},
    {"0-1", 1},
    {"0-999", 999},
    {"1-0", 1000},
    {"10-100", 10100},
    {"1690000000000-5", 1690000000000005},
    {"9007199254740-991", EVENT_ID_MAX},
};

static void an_id_is_milliseconds_and_the_microseconds_behind_them(void **state)
{
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        uint64_t id = 7;
        char text[EVENT_ID_TEXT];
        assert_int_equal(event_id_parse(span_of(ids[i].text), &id), 0);
        assert_true(id == ids[i].id);
        assert_int_equal(event_id_format(text, ids[i].id), strlen(ids[i].text));
        assert_string_equal(text, ids[i].text);
    }
}

static void assert_refused(struct span text, int err)
{
    uint64_t id = 7;
    if (event_id_parse(text, &id) != err)
        fail_msg("\"%.*s\" was taken for an id", (int)text.len, text.ptr);
    assert_true(id == 7);
}

static void assert_no_id(struct span text)
{
    assert_refused(text, ERR_INVALID);
}

static void one_id_has_one_text(void **state)
{
    static const char *const bad[] = {
        "",       "-",     "0",    "1690",  "1690-", "-5",       "01-5", "1-05",       "00-0",
        "0-00",   "+1-5",  "1-+5", " 1-5",  "1-5 ",  "1 -5",     "1- 5", "1--5",       "1-5-6",
        "1-1000", "1-5\n", "1_5",  "1.0-5", "0x1-5", "1-0x5",    "a-5",  "1-a",        "*",
        "1-*",    "$",     "(1-5", "-1-5",  "1e3-5", "1690-5,6", "null", "1-\xd9\xa1",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_no_id(span_of(bad[i]));
    assert_no_id(span_make(NULL, 0));
    assert_no_id(span_make("1-5\0", 4));
}

static void what_a_double_cannot_hold_is_no_id(void **state)
{
    static const char *const bad[] = {
        "9007199254740-992",      "9007199254741-0",
        "18446744073709551-615", /* 2^64 - 1 microseconds */
        "18446744073709551-616", /* 2^64, which would wrap to 0 */
        "18446744073709551615-0", "18446744073709551616-0",
        "18446744073709551617-0", "99999999999999999999999999999999999999-0",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_refused(span_of(bad[i]), ERR_TOO_LARGE);
    assert_no_id(span_of("1-18446744073709551616"));
    assert_no_id(span_of("1-99999999999999999999999999999999999999"));
    assert_no_id(span_of("99999999999999999999x-0"));
    assert_no_id(span_of("99999999999999999999-1000"));
}

static void any_number_has_room_in_the_text(void **state)
{
    char text[EVENT_ID_TEXT];
    assert_int_equal(event_id_format(text, UINT64_MAX), strlen("18446744073709551-615"));
    assert_string_equal(text, "18446744073709551-615");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_milliseconds_and_the_microseconds_behind_them),
        cmocka_unit_test(one_id_has_one_text),
        cmocka_unit_test(what_a_double_cannot_hold_is_no_id),
        cmocka_unit_test(any_number_has_room_in_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
