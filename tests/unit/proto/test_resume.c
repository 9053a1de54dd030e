/* Where a stream is asked to begin. */
#include "proto/resume.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct span maybe(const char *text)
{
    return text ? span_of(text) : (struct span){0};
}

static void assert_begins(const char *id, const char *since, const char *last,
                          enum resume_from from, uint64_t value)
{
    struct resume r;
    char why[RESUME_WHY_BYTES] = "";
    if (resume_parse(maybe(id), maybe(since), maybe(last), &r, why))
        fail_msg("%s", why);
    assert_int_equal(r.from, from);
    assert_int_equal(r.value, value);
}

static void assert_refused(const char *id, const char *since, const char *last, const char *begins)
{
    struct resume r = {.value = 77};
    char why[RESUME_WHY_BYTES] = "";
    assert_int_equal(resume_parse(maybe(id), maybe(since), maybe(last), &r, why), ERR_INVALID);
    if (strncmp(why, begins, strlen(begins)) != 0)
        fail_msg("%s", why);
    assert_int_equal(r.value, 77);
}

static void without_a_wish_it_begins_now(void **state)
{
    assert_begins(NULL, NULL, NULL, RESUME_NOW, 0);
    assert_begins("", "", "", RESUME_NOW, 0);
}

static void a_last_event_id_goes_before_everything_else(void **state)
{
    assert_begins("1700000000000-5", NULL, NULL, RESUME_AFTER, UINT64_C(1700000000000005));
    assert_begins("0-0", NULL, NULL, RESUME_AFTER, 0);
    assert_begins("1-1", "60", NULL, RESUME_AFTER, 1001);
    assert_begins("1-1", NULL, "5", RESUME_AFTER, 1001);
}

static void a_last_event_id_that_is_none_is_unknown_and_no_error(void **state)
{
    static const char *const ids[] = {
        "x",    "5",    "-5",    "1-",     "1-1000",
        "01-1", "1-1 ", "1-1-1", "sluice", "99999999999999999999999-1"};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
        assert_begins(ids[i], "60", NULL, RESUME_UNKNOWN, 0);
}

static void since_is_an_id_or_seconds(void **state)
{
    assert_begins(NULL, "1-1", NULL, RESUME_AFTER, 1001);
    assert_begins(NULL, "0", NULL, RESUME_SINCE, 0);
    assert_begins(NULL, "31536000", NULL, RESUME_SINCE, 31536000);
}

static void last_is_a_number_of_messages(void **state)
{
    assert_begins(NULL, NULL, "1", RESUME_LAST, 1);
    assert_begins(NULL, NULL, "1000", RESUME_LAST, 1000);
}

static void a_since_or_last_that_is_malformed_is_an_error(void **state)
{
    static const char *const bad_since[] = {
        "31536001", "-1", "1.5", "5m", " 5", "1-1000", "18446744073709551617"};
    for (size_t i = 0; i < sizeof(bad_since) / sizeof(bad_since[0]); i++)
        assert_refused(NULL, bad_since[i], NULL, "since: expected an event id");
    static const char *const bad_last[] = {"0", "1001", "-1", "x", "1-1", "18446744073709551617"};
    for (size_t i = 0; i < sizeof(bad_last) / sizeof(bad_last[0]); i++)
        assert_refused(NULL, NULL, bad_last[i], "last: expected a number");
    assert_refused(NULL, "5", "5", "since and last:");
    assert_refused("1-1", "x", NULL, "since:"); /* it would have been one at first, too */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_wish_it_begins_now),
        cmocka_unit_test(a_last_event_id_goes_before_everything_else),
        cmocka_unit_test(a_last_event_id_that_is_none_is_unknown_and_no_error),
        cmocka_unit_test(since_is_an_id_or_seconds),
        cmocka_unit_test(last_is_a_number_of_messages),
        cmocka_unit_test(a_since_or_last_that_is_malformed_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
