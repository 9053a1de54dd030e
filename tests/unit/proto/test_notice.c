#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/notice.h"

#include <stdlib.h>

#define EPOCH "0123456789abcdef"

static const char no_epoch[] = "has no epoch of 16 hexadecimal digits";
static const char bad_id[] = "has a malformed id";
static const char bad_previous[] = "has a malformed previous id, or one that is not before its own";
static const char bad_length[] = "has an event length that is malformed or more than there is";
static const char no_line[] = "has no line end behind its event length";
static const char bad_floor[] = "has a malformed floor, or one beyond its id";

static void a_notice_is_read_and_written_alike(void **state)
{
    static const char text[] = EPOCH " 1690000000000-5 1689-0 6\nupdateline 1\nline 2";
    struct notice notice;
    struct buf out = {0};
    assert_null(notice_parse(span_of(text), &notice));
    assert_true(span_is(notice.epoch, EPOCH));
    assert_true(notice.id == 1690000000000005);
    assert_true(notice.previous == 1689000);
    assert_true(span_is(notice.event, "update"));
    assert_true(span_is(notice.data, "line 1\nline 2"));
    notice_write(&out, &notice);
    assert_string_equal(buf_cstr(&out), text);
    buf_free(&out);
}

static void event_and_data_may_be_empty(void **state)
{
    struct notice notice;
    struct buf out = {0};
    assert_null(notice_parse(span_of(EPOCH " 0-1 0-0 0\n"), &notice));
    assert_true(notice.id == 1 && notice.previous == 0);
    assert_true(notice.event.len == 0 && notice.data.len == 0);
    notice_write(&out, &notice);
    assert_string_equal(buf_cstr(&out), EPOCH " 0-1 0-0 0\n");
    buf_free(&out);
    assert_null(notice_parse(span_of(EPOCH " 0-1 0-0 1\ne"), &notice));
    assert_true(span_is(notice.event, "e") && notice.data.len == 0);
}

static void data_may_be_any_bytes(void **state)
{
    static const char text[] = EPOCH " 1-0 0-0 1\ne\0\n\xff " EPOCH " 0-1 0-0 0\n";
    struct notice notice;
    assert_null(notice_parse(span_make(text, sizeof(text) - 1), &notice));
    assert_int_equal(notice.data.len, sizeof(text) - 1 - strlen(EPOCH " 1-0 0-0 1\ne"));
    assert_memory_equal(notice.data.ptr, "\0\n\xff ", 4);
}

static const struct {
    const char *text, *error;
} bad_notices[] = {
    {"", no_epoch},
    {EPOCH, no_epoch},
    {" 1-0 0-0 0\n", no_epoch},
    {"0123456789abcde 1-0 0-0 0\n", no_epoch},
    {"0123456789abcdef0 1-0 0-0 0\n", no_epoch},
    {"0123456789ABCDEF 1-0 0-0 0\n", no_epoch},
    {"0123456789abcdeg 1-0 0-0 0\n", no_epoch},
    {" " EPOCH " 1-0 0-0 0\n", no_epoch},
    {EPOCH " ", bad_id},
    {EPOCH " 1-0", bad_id},
    {EPOCH "  1-0 0-0 0\n", bad_id},
    {EPOCH " 1 0-0 0\n", bad_id},
    {EPOCH " 0-0 0-0 0\n", bad_id},
    {EPOCH " 9007199254740-992 0-0 0\n", bad_id},
    {EPOCH " 1-0 ", bad_previous},
    {EPOCH " 1-0 0 0\n", bad_previous},
    {EPOCH " 1-0 1-0 0\n", bad_previous},
    {EPOCH " 1-0 1-1 0\n", bad_previous},
    {EPOCH " 1-0 0-0 0", no_line},
    {EPOCH " 1-0 0-0 \n", bad_length},
    {EPOCH " 1-0 0-0 00\n", bad_length},
    {EPOCH " 1-0 0-0 01\ne", bad_length},
    {EPOCH " 1-0 0-0 -1\n", bad_length},
    {EPOCH " 1-0 0-0 +0\n", bad_length},
    {EPOCH " 1-0 0-0 0 \n", bad_length},
    {EPOCH " 1-0 0-0 0\r\n", bad_length},
    {EPOCH " 1-0 0-0 3\nab", bad_length},
    {EPOCH " 1-0 0-0 18446744073709551615\nab", bad_length},
    {EPOCH " 1-0 0-0 18446744073709551616\nab", bad_length},
    {EPOCH " 1-0 0-0 18446744073709551617\nab", bad_length},
    {EPOCH " 1-0 0-0 2\na\n", "has a line end"},
    {EPOCH " 1-0 0-0 2\n\rb", "has a line end"},
    {EPOCH " 1-0 0-0 10\nsluice.gap", "begins with sluice., as only the gateway's own events do"},
};

static void what_is_no_notice_is_refused_with_the_reason(void **state)
{
    for (size_t i = 0; i < sizeof(bad_notices) / sizeof(bad_notices[0]); i++) {
        struct notice notice = {.id = 7};
        const char *error = notice_parse(span_of(bad_notices[i].text), &notice);
        if (!error)
            fail_msg("was taken for a notice: %s", bad_notices[i].text);
        assert_string_equal(error, bad_notices[i].error);
        assert_true(notice.id == 7);
    }
}

/* Each cut in memory of its own, so that the sanitizer sees a read behind it. */
static void a_notice_that_is_cut_short_is_refused(void **state)
{
    static const char text[] = EPOCH " 1690-5 1689-0 6\nupdate";
    for (size_t len = 0; len < sizeof(text) - 1; len++) {
        struct notice notice;
        char *cut = malloc(len + 1);
        assert_non_null(cut);
        memcpy(cut, text, len + 1);
        char *end = realloc(cut, len ? len : 1);
        assert_non_null(end);
        assert_non_null(notice_parse(span_make(end, len), &notice));
        free(end);
    }
}

static void a_beat_is_read_and_written_alike(void **state)
{
    static const char text[] = EPOCH " 1690000000000-5 1689-999";
    struct beat beat;
    struct buf out = {0};
    assert_null(beat_parse(span_of(text), &beat));
    assert_true(span_is(beat.epoch, EPOCH));
    assert_true(beat.id == 1690000000000005 && beat.floor == 1689999);
    beat_write(&out, &beat);
    assert_string_equal(buf_cstr(&out), text);
    buf_free(&out);
    assert_null(beat_parse(span_of(EPOCH " 1-0 1-0"), &beat));
}

static void what_is_no_beat_is_refused_with_the_reason(void **state)
{
    static const struct {
        const char *text, *error;
    } bad[] = {
        {"", no_epoch},
        {"1-0 0-0", no_epoch},
        {EPOCH, no_epoch},
        {EPOCH " 1-0", bad_id},
        {EPOCH " 0-0 0-0", bad_id},
        {EPOCH " x 0-0", bad_id},
        {EPOCH " 1-0 ", bad_floor},
        {EPOCH " 1-0 1-1", bad_floor},
        {EPOCH " 1-0 0-0 ", bad_floor},
        {EPOCH " 1-0 0-0\n", bad_floor},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct beat beat = {.id = 7};
        const char *error = beat_parse(span_of(bad[i].text), &beat);
        if (!error)
            fail_msg("was taken for a beat: %s", bad[i].text);
        assert_string_equal(error, bad[i].error);
        assert_true(beat.id == 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_notice_is_read_and_written_alike),
        cmocka_unit_test(event_and_data_may_be_empty),
        cmocka_unit_test(data_may_be_any_bytes),
        cmocka_unit_test(what_is_no_notice_is_refused_with_the_reason),
        cmocka_unit_test(a_notice_that_is_cut_short_is_refused),
        cmocka_unit_test(a_beat_is_read_and_written_alike),
        cmocka_unit_test(what_is_no_beat_is_refused_with_the_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
