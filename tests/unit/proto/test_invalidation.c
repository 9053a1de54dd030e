#include "proto/invalidation.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* What is written is what the library takes. */
static void assert_written(const char *body, const char *want)
{
    struct invalidation inv;
    struct buf text = {0};
    char why[200] = "";
    if (invalidation_parse(span_of(body), &inv, why, sizeof why))
        fail_msg("%s: %s", body, why);
    invalidation_write(&inv, "api", &text);
    assert_string_equal(buf_cstr(&text), want);
    buf_free(&text);
    invalidation_free(&inv);
    assert_null(inv.lists[INVALIDATION_KEYS].data);
}

static void assert_refused(struct span body, int err, const char *want)
{
    struct invalidation inv = {.count = 77};
    char why[200] = "";
    assert_int_equal(invalidation_parse(body, &inv, why, sizeof why), err);
    assert_string_equal(why, want);
    assert_int_equal(inv.count, 77);
}

static void assert_invalid(const char *body, const char *want)
{
    assert_refused(span_of(body), ERR_INVALID, want);
}

static void lists_that_were_not_given_are_written_empty(void **state)
{
    assert_written("{\"keys\":[\"a\"]}", "{\"keys\":[\"a\"],\"tags\":[],\"paths\":[],"
                                         "\"patterns\":[],\"origin\":\"\",\"cause\":\"api\"}");
    assert_written("{\"keys\":[],\"patterns\":[\"a*\"]}",
                   "{\"keys\":[],\"tags\":[],\"paths\":[],\"patterns\":[\"a*\"],"
                   "\"origin\":\"\",\"cause\":\"api\"}");
}

static void members_are_written_in_one_order_and_names_in_theirs(void **state)
{
    assert_written(" {\"origin\":\"app-1\",\"patterns\":[\"d:?\"],\"paths\":[\"/c\"],"
                   "\"tags\":[\"b2\",\"b1\"],\"keys\":[\"a\", \"a\"]} ",
                   "{\"keys\":[\"a\",\"a\"],\"tags\":[\"b2\",\"b1\"],\"paths\":[\"/c\"],"
                   "\"patterns\":[\"d:?\"],\"origin\":\"app-1\",\"cause\":\"api\"}");
}

static void names_come_out_as_they_went_in_whatever_is_in_them(void **state)
{
    assert_written("{\"keys\":[\"\\u00fc \\\"x\\\" \\\\ \\u002f\"]}",
                   "{\"keys\":[\"ü \\\"x\\\" \\\\ /\"],\"tags\":[],\"paths\":[],\"patterns\":[],"
                   "\"origin\":\"\",\"cause\":\"api\"}");
}

static void an_origin_that_is_null_is_none(void **state)
{
    assert_written("{\"tags\":[\"t\"],\"origin\":null}",
                   "{\"keys\":[],\"tags\":[\"t\"],\"paths\":[],\"patterns\":[],"
                   "\"origin\":\"\",\"cause\":\"api\"}");
}

static void a_body_that_is_no_json_is_told_with_the_place(void **state)
{
    assert_invalid("", "body is not JSON: unexpected end at byte 0");
    assert_invalid("hello", "body is not JSON: unexpected character at byte 0");
    assert_invalid("{\"keys\":[\"a\"],}", "body is not JSON: unexpected character at byte 14");
    assert_invalid("{\"keys\":[\"a\",]}", "body is not JSON: unexpected character at byte 13");
    assert_invalid("{\"keys\":[\"a\"]} x", "body is not JSON: unexpected character at byte 15");
    assert_invalid("{\"keys\":[\"a\n\"]}",
                   "body is not JSON: control character in a string at byte 11");
    assert_invalid("{\"origin\":\"", "body is not JSON: unexpected end at byte 11");
    assert_invalid("{\"keys\":x}", "body is not JSON: unexpected character at byte 8");
    assert_invalid("[{}", "body is not JSON: unexpected end at byte 3");
}

static void a_body_that_names_nothing_is_refused(void **state)
{
    assert_invalid("{}", "body: names nothing");
    assert_invalid("{\"keys\":[],\"tags\":[]}", "body: names nothing");
    assert_invalid("{\"origin\":\"app-1\"}", "body: names nothing");
}

static void a_wrong_type_is_told_with_its_place(void **state)
{
    assert_invalid("[\"a\"]", "body: expected an object");
    assert_invalid("\"a\"", "body: expected an object");
    assert_invalid("{\"keys\":\"a\"}", "keys: expected an array of strings");
    assert_invalid("{\"keys\":null}", "keys: expected an array of strings");
    assert_invalid("{\"tags\":{\"a\":1}}", "tags: expected an array of strings");
    assert_invalid("{\"keys\":[\"a\"],\"paths\":[\"/\",7]}", "paths[1]: expected a string");
    assert_invalid("{\"patterns\":[null]}", "patterns[0]: expected a string");
    assert_invalid("{\"keys\":[\"a\"],\"origin\":7}", "origin: expected a string");
}

static void an_unknown_member_or_one_that_is_given_twice_is_refused(void **state)
{
    assert_invalid("{\"keys\":[\"a\"],\"colour\":1}", "colour: unknown member");
    assert_invalid("{\"keys\":[\"a\"],\"cause\":\"api\"}", "cause: unknown member");
    assert_invalid("{\"keys\":[\"a\"],\"keys\":[\"b\"]}", "keys: given twice");
    assert_invalid("{\"origin\":null,\"origin\":\"a\"}", "origin: given twice");
    assert_invalid("{\"0123456789012345678901234567890123456789012345678901234567890123456\":1}",
                   "0123456789012345678901234567890123456789012345678901234567890123: unknown "
                   "member");
}

static void a_bad_name_is_told_with_its_place(void **state)
{
    assert_invalid("{\"keys\":[\"a\",\"\"]}", "keys[1]: is empty");
    assert_invalid("{\"tags\":[\"a\\nb\"]}", "tags[0]: has a control character");
    assert_invalid("{\"tags\":[\"a\\u0000\"]}", "tags[0]: has a control character");
    assert_invalid("{\"paths\":[\"/\\u007f\"]}", "paths[0]: has a control character");
    assert_invalid("{\"patterns\":[\"\\u0085*\"]}", "patterns[0]: has a control character");
    assert_invalid("{\"keys\":[\"sluice:clock\"]}",
                   "keys[0]: begins with sluice:, as the gateways' own keys do");
}

static void the_gateways_prefix_is_refused_for_keys_alone(void **state)
{
    assert_null(invalidation_name_error(INVALIDATION_TAGS, span_of("sluice:x")));
    assert_null(invalidation_name_error(INVALIDATION_PATTERNS, span_of("sluice:*")));
    assert_null(invalidation_name_error(INVALIDATION_KEYS, span_of("sluice")));
}

static void a_name_has_at_most_1024_bytes(void **state)
{
    char name[1026];
    memset(name, 'x', sizeof name);
    assert_null(invalidation_name_error(INVALIDATION_KEYS, span_make(name, 1024)));
    assert_string_equal(invalidation_name_error(INVALIDATION_KEYS, span_make(name, 1025)),
                        "is longer than 1024 bytes");
}

static void a_name_that_is_no_utf8_cannot_be_added(void **state)
{
    struct invalidation inv = {0};
    assert_string_equal(invalidation_add(&inv, INVALIDATION_KEYS, span_of("\xff")),
                        "is not valid UTF-8");
    assert_int_equal(inv.count, 0);
    assert_null(invalidation_add(&inv, INVALIDATION_KEYS, span_of("\xc3\x9f\xc2\xa0")));
    assert_int_equal(inv.count, 1);
    invalidation_free(&inv);
}

/* `count` names over two lists. */
static void write_many(struct buf *body, size_t count)
{
    buf_str(body, "{\"keys\":[\"k\"");
    for (size_t i = 1; i < count - 1; i++)
        buf_printf(body, ",\"k%zu\"", i);
    buf_str(body, "],\"tags\":[\"t\"]}");
}

static void ten_thousand_names_in_all_lists_together_are_the_most(void **state)
{
    struct buf body = {0};
    struct invalidation inv;
    char why[200];
    write_many(&body, 10000);
    assert_int_equal(invalidation_parse(buf_view(&body), &inv, why, sizeof why), 0);
    assert_int_equal(inv.count, 10000);
    invalidation_free(&inv);
    buf_reset(&body);
    write_many(&body, 10001);
    assert_refused(buf_view(&body), ERR_TOO_LARGE, "body: more than 10000 names");
    buf_free(&body);
}

static void an_origin_is_a_peers_name(void **state)
{
    char long_name[66];
    memset(long_name, 'x', sizeof long_name);
    assert_null(peer_name_error(span_of("App_1.example-7")));
    assert_null(peer_name_error(span_make(long_name, 64)));
    assert_string_equal(peer_name_error(span_make(long_name, 65)), "is longer than 64 bytes");
    assert_invalid("{\"keys\":[\"a\"],\"origin\":\"\"}", "origin: is empty");
    assert_invalid("{\"keys\":[\"a\"],\"origin\":\"-\"}", "origin: is - alone");
    assert_invalid("{\"keys\":[\"a\"],\"origin\":\"app 1\"}",
                   "origin: has something else than a-z A-Z 0-9 . _ -");
}

static void assert_origin(const char *event, const char *want)
{
    char origin[INVALIDATION_PEER_BYTES + 1] = "before";
    assert_int_equal(invalidation_origin(span_of(event), origin), *want != '\0');
    assert_string_equal(origin, want);
}

static void the_origin_of_an_event_is_read_and_everything_else_has_none(void **state)
{
    assert_origin("{\"keys\":[\"origin\"],\"tags\":[],\"origin\":\"app-1\",\"cause\":\"api\"}",
                  "app-1");
    assert_origin("{\"keys\":[\"a\"],\"origin\":\"\",\"cause\":\"tracking\"}", "");
    assert_origin("{\"reason\":\"start\"}", "");
    assert_origin("{\"origin\":7}", "");
    assert_origin("{\"origin\":\"a b\"}", "");
    assert_origin("{\"deep\":{\"origin\":\"app-2\"}}", "");
    assert_origin("{\"origin\":\"app", "");
    assert_origin("origin", "");
    assert_origin("", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_that_were_not_given_are_written_empty),
        cmocka_unit_test(members_are_written_in_one_order_and_names_in_theirs),
        cmocka_unit_test(names_come_out_as_they_went_in_whatever_is_in_them),
        cmocka_unit_test(an_origin_that_is_null_is_none),
        cmocka_unit_test(a_body_that_is_no_json_is_told_with_the_place),
        cmocka_unit_test(a_body_that_names_nothing_is_refused),
        cmocka_unit_test(a_wrong_type_is_told_with_its_place),
        cmocka_unit_test(an_unknown_member_or_one_that_is_given_twice_is_refused),
        cmocka_unit_test(a_bad_name_is_told_with_its_place),
        cmocka_unit_test(the_gateways_prefix_is_refused_for_keys_alone),
        cmocka_unit_test(a_name_has_at_most_1024_bytes),
        cmocka_unit_test(a_name_that_is_no_utf8_cannot_be_added),
        cmocka_unit_test(ten_thousand_names_in_all_lists_together_are_the_most),
        cmocka_unit_test(an_origin_is_a_peers_name),
        cmocka_unit_test(the_origin_of_an_event_is_read_and_everything_else_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
