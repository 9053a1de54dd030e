#include "proto/publish_body.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Writes a batch as text: channel|event|data|key, an absent field as "-". */
static void describe(const struct publish_batch *b, struct buf *out)
{
    for (size_t i = 0; i < b->count; i++) {
        const struct span fields[] = {b->items[i].channel, b->items[i].event, b->items[i].data,
                                      b->items[i].key};
        for (size_t f = 0; f < 4; f++) {
            buf_str(out, f ? "|" : "");
            buf_span(out, fields[f].ptr ? fields[f] : span_of("-"));
        }
        buf_byte(out, ';');
    }
}

static void assert_batch(const char *body, bool single, const char *want)
{
    struct publish_batch b;
    struct buf text = {0};
    char why[200] = "";
    if (publish_body_parse(span_of(body), 10, &b, why, sizeof why))
        fail_msg("%s: %s", body, why);
    describe(&b, &text);
    assert_string_equal(buf_cstr(&text), want);
    assert_int_equal(b.single, single);
    buf_free(&text);
    publish_batch_free(&b);
    assert_null(b.items);
}

static void assert_refused(const char *body, const char *want)
{
    struct publish_batch b = {.count = 77};
    char why[200] = "";
    assert_int_equal(publish_body_parse(span_of(body), 10, &b, why, sizeof why), ERR_INVALID);
    assert_string_equal(why, want);
    assert_int_equal(b.count, 77);
}

static void one_object_with_one_channel_is_single(void **state)
{
    assert_batch("{\"channel\":\"c\",\"data\":\"x\"}", true, "c|-|x|-;");
    assert_batch("{\"key\":\"k\",\"data\":{\"a\": 1.0},\"event\":\"e\",\"channel\":\"c\"}", true,
                 "c|e|{\"a\":1.0}|k;");
}

static void one_object_with_an_array_of_channels_makes_an_item_for_each(void **state)
{
    assert_batch("{\"channel\":[\"a\",\"b\"],\"data\":\"x\",\"event\":\"e\",\"key\":\"k\"}", false,
                 "a|e|x|k;b|e|x|k;");
    assert_batch("{\"data\":\"x\",\"channel\":[\"a\"]}", false, "a|-|x|-;");
}

static void an_array_of_objects_keeps_their_order(void **state)
{
    assert_batch(
        " [{\"channel\":\"a\",\"data\":1},{\"channel\":[\"b\",\"a\"],\"data\":2,\"event\":\"e\"}] ",
        false, "a|-|1|-;b|e|2|-;a|e|2|-;");
    assert_batch("[{\"channel\":\"a\",\"data\":1}]", false, "a|-|1|-;");
}

static void null_and_an_empty_event_are_absent_ones(void **state)
{
    assert_batch("{\"channel\":\"c\",\"data\":null,\"event\":null,\"key\":null}", true,
                 "c|-|null|-;");
    assert_batch("{\"channel\":\"c\",\"data\":\"\",\"event\":\"\"}", true, "c|-||-;");
}

static void the_channels_of_one_message_share_its_bytes(void **state)
{
    struct publish_batch b;
    char why[200];
    assert_int_equal(publish_body_parse(span_of("{\"channel\":[\"a\",\"b\"],\"data\":\"payload\"}"),
                                        2, &b, why, sizeof why),
                     0);
    assert_ptr_equal(b.items[0].data.ptr, b.items[1].data.ptr);
    publish_batch_free(&b);
}

static void a_channel_may_hold_any_bytes_since_its_check_is_elsewhere(void **state)
{
    struct publish_batch b;
    char why[200];
    assert_int_equal(publish_body_parse(span_of("{\"channel\":\"a\\u0000b\",\"data\":1}"), 2, &b,
                                        why, sizeof why),
                     0);
    assert_true(span_eq(b.items[0].channel, span_make("a\0b", 3)));
    publish_batch_free(&b);
}

static void a_body_that_is_no_json_is_told_with_the_place(void **state)
{
    assert_refused("", "body is not JSON: unexpected end at byte 0");
    assert_refused("hello", "body is not JSON: unexpected character at byte 0");
    assert_refused("{\"channel\":\"c\",\"data\":1,}",
                   "body is not JSON: unexpected character at byte 24");
    assert_refused("{\"channel\":}", "body is not JSON: unexpected character at byte 11");
    assert_refused("{\"channel\":[\"a\",]}", "body is not JSON: unexpected character at byte 16");
    assert_refused("{\"event\":x}", "body is not JSON: unexpected character at byte 9");
    assert_refused("{\"event\":\"a", "body is not JSON: unexpected end at byte 11");
    assert_refused("{\"key\":\"\\q\"}", "body is not JSON: bad escape in a string at byte 8");
    assert_refused("{\"data\":\"\xff\"}",
                   "body is not JSON: ill-formed UTF-8 in the string at byte 8");
    assert_refused("{\"channel\":\"c\",\"data\":1} {}",
                   "body is not JSON: unexpected character at byte 25");
    assert_refused("[{\"channel\":\"c\",\"data\":1},]",
                   "body is not JSON: unexpected character at byte 26");
    assert_refused("[", "body is not JSON: unexpected end at byte 1");
}

static void a_body_of_another_kind_is_told(void **state)
{
    assert_refused("\"text\"", "body: expected an object or an array of objects");
    assert_refused("null", "body: expected an object or an array of objects");
    assert_refused("[]", "body: expected at least one message");
    assert_refused("[{\"channel\":\"c\",\"data\":1},7]", "[1]: expected an object");
    assert_refused("[[]]", "[0]: expected an object");
}

static void a_member_of_the_wrong_kind_is_told_with_its_path(void **state)
{
    assert_refused("{\"channel\":7,\"data\":1}",
                   "channel: expected a string or an array of strings");
    assert_refused("{\"channel\":null,\"data\":1}",
                   "channel: expected a string or an array of strings");
    assert_refused("[{\"channel\":\"a\",\"data\":1},{\"channel\":\"a\",\"data\":1},{\"channel\":["
                   "\"a\",1],\"data\":1}]",
                   "[2].channel: expected a string or an array of strings");
    assert_refused("{\"channel\":[],\"data\":1}", "channel: expected at least one channel");
    assert_refused("{\"event\":1,\"channel\":\"c\",\"data\":1}", "event: expected a string");
    assert_refused("[{\"key\":[],\"channel\":\"c\",\"data\":1}]", "[0].key: expected a string");
}

static void a_missing_or_a_needless_member_is_told_with_its_path(void **state)
{
    assert_refused("{\"data\":1}", "channel: missing");
    assert_refused("{\"channel\":\"c\"}", "data: missing");
    assert_refused("[{\"channel\":\"c\",\"data\":1},{\"channel\":\"c\"}]", "[1].data: missing");
    assert_refused("[{\"channel\":\"c\",\"data\":1},{\"colour\":1}]", "[1].colour: unknown member");
    assert_refused("{\"channel\":\"c\",\"data\":1,\"key\":\"a\",\"key\":\"b\"}",
                   "key: given twice");
    assert_refused("{\"channel\":\"c\",\"data\":1,\"event\":null,\"event\":\"b\"}",
                   "event: given twice");
}

static void an_event_or_key_of_no_use_is_told(void **state)
{
    assert_refused("[{\"event\":\"a\\nb\",\"channel\":\"c\",\"data\":1}]",
                   "[0].event: has a line end");
    assert_refused("{\"event\":\"a\\u0000\",\"channel\":\"c\",\"data\":1}", "event: has a NUL");
    assert_refused("{\"key\":\"\",\"channel\":\"c\",\"data\":1}", "key: is empty");
}

static void the_name_of_an_unknown_member_is_cut(void **state)
{
    struct buf body = {0};
    char why[200];
    struct publish_batch b;
    buf_str(&body, "{\"");
    for (int i = 0; i < 1000; i++)
        buf_byte(&body, 'x');
    buf_str(&body, "\":1}");
    assert_int_equal(publish_body_parse(buf_view(&body), 2, &b, why, sizeof why), ERR_INVALID);
    assert_int_equal(strlen(why), 64 + strlen(": unknown member"));
    buf_free(&body);
}

static void more_items_than_allowed_are_too_many(void **state)
{
    static const char *const bodies[] = {
        "{\"channel\":[\"a\",\"b\",\"c\"],\"data\":1}",
        "[{\"channel\":\"a\",\"data\":1},{\"channel\":\"a\",\"data\":1},{\"channel\":\"a\","
        "\"data\":1}]",
    };
    for (size_t i = 0; i < 2; i++) {
        struct publish_batch b = {.count = 77};
        char why[200];
        assert_int_equal(publish_body_parse(span_of(bodies[i]), 2, &b, why, sizeof why),
                         ERR_TOO_LARGE);
        assert_string_equal(why, "body: more than 2 messages");
        assert_int_equal(b.count, 77);
        assert_int_equal(publish_body_parse(span_of(bodies[i]), 3, &b, why, sizeof why), 0);
        publish_batch_free(&b);
    }
}

static void nesting_beyond_the_limit_is_told(void **state)
{
    assert_refused("{\"data\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
                   "body is not JSON: nested too deeply at byte 39");
}

static void a_key_is_up_to_200_bytes_of_printable_text(void **state)
{
    char longest[202];
    memset(longest, 'k', sizeof(longest));
    assert_null(publish_key_error(span_of("order 17: \xc3\xa9")));
    assert_null(publish_key_error(span_make(longest, 200)));
    assert_string_equal(publish_key_error(span_make(longest, 201)), "is longer than 200 bytes");
    assert_string_equal(publish_key_error(span_of("")), "is empty");
    assert_string_equal(publish_key_error(span_of("a\tb")), "has a control character");
    assert_string_equal(publish_key_error(span_of("\x7f")), "has a control character");
    assert_string_equal(publish_key_error(span_of("\xff")), "is not valid UTF-8");
    assert_refused("{\"channel\":\"c\",\"data\":1,\"key\":\"a\\nb\"}",
                   "key: has a control character");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_object_with_one_channel_is_single),
        cmocka_unit_test(one_object_with_an_array_of_channels_makes_an_item_for_each),
        cmocka_unit_test(an_array_of_objects_keeps_their_order),
        cmocka_unit_test(null_and_an_empty_event_are_absent_ones),
        cmocka_unit_test(the_channels_of_one_message_share_its_bytes),
        cmocka_unit_test(a_channel_may_hold_any_bytes_since_its_check_is_elsewhere),
        cmocka_unit_test(a_body_that_is_no_json_is_told_with_the_place),
        cmocka_unit_test(a_body_of_another_kind_is_told),
        cmocka_unit_test(a_member_of_the_wrong_kind_is_told_with_its_path),
        cmocka_unit_test(a_missing_or_a_needless_member_is_told_with_its_path),
        cmocka_unit_test(an_event_or_key_of_no_use_is_told),
        cmocka_unit_test(the_name_of_an_unknown_member_is_cut),
        cmocka_unit_test(more_items_than_allowed_are_too_many),
        cmocka_unit_test(nesting_beyond_the_limit_is_told),
        cmocka_unit_test(a_key_is_up_to_200_bytes_of_printable_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
