#include "proto/envelope.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_envelope(const char *payload, const char *event, const char *data)
{
    struct envelope e;
    assert_int_equal(envelope_parse(span_of(payload), &e), 0);
    assert_string_equal(buf_cstr(&e.event), event);
    assert_string_equal(buf_cstr(&e.data), data);
    envelope_free(&e);
}

static void assert_none(const char *payload)
{
    struct envelope e = {.event = {.len = 7}};
    assert_int_equal(envelope_parse(span_of(payload), &e), ERR_INVALID);
    assert_int_equal(e.event.len, 7);
    assert_null(e.data.data);
}

static void string_data_is_taken_as_it_is(void **state)
{
    assert_envelope("{\"event\":\"created\",\"data\":\"line\\n\\u20ac\"}", "created",
                    "line\n\xe2\x82\xac");
    assert_envelope("{\"event\":\"created\",\"data\":\"\"}", "created", "");
}

static void other_data_comes_out_compact_and_else_unchanged(void **state)
{
    assert_envelope("{\"data\": {\"n\" : [1.0, 1e3, 12345678901234567890], \"s\":\"a b\"}}", "",
                    "{\"n\":[1.0,1e3,12345678901234567890],\"s\":\"a b\"}");
    assert_envelope("{\"data\":null}", "", "null");
    assert_envelope("{\"data\": 0 }", "", "0");
}

static void a_null_event_is_an_absent_one(void **state)
{
    assert_envelope("{\"event\":null,\"data\":\"x\"}", "", "x");
}

static void unknown_members_are_allowed(void **state)
{
    assert_envelope(" {\"v\":[{}],\"data\":\"x\",\"z\":{\"data\":1}} ", "", "x");
}

static void the_last_of_two_members_of_one_name_counts(void **state)
{
    assert_envelope("{\"event\":1,\"data\":[1],\"event\":\"b\",\"data\":\"y\"}", "b", "y");
    assert_envelope("{\"event\":\"b\",\"event\":null,\"data\":\"y\"}", "", "y");
}

static void what_is_no_object_with_data_is_no_envelope(void **state)
{
    assert_none("");
    assert_none("plain text");
    assert_none("\"data\"");
    assert_none("[{\"data\":1}]");
    assert_none("{}");
    assert_none("{\"event\":\"e\"}");
    assert_none("{\"Data\":1}");
    assert_none("{\"data\":1");
    assert_none("{\"data\":1} x");
    assert_none("{\"data\":01}");
    assert_none("{\"data\":\"\xff\"}");
}

static void an_event_that_sse_cannot_carry_is_no_envelope(void **state)
{
    assert_none("{\"event\":1,\"data\":1}");
    assert_none("{\"event\":{\"a\":1},\"data\":1}");
    assert_none("{\"event\":\"a\\nb\",\"data\":1}");
    assert_none("{\"data\":1,\"event\":\"a\\rb\"}");
    assert_none("{\"event\":\"a\\u0000\",\"data\":1}");
    assert_none("{\"event\":\"sluice.gap\",\"data\":1}");
}

static void nesting_beyond_the_limit_is_no_envelope(void **state)
{
    struct buf text = {0};
    buf_str(&text, "{\"data\":");
    for (int i = 0; i < 31; i++)
        buf_byte(&text, '[');
    for (int i = 0; i < 31; i++)
        buf_byte(&text, ']');
    buf_byte(&text, '}');
    struct envelope e;
    assert_int_equal(envelope_parse(buf_view(&text), &e), 0);
    assert_int_equal(e.data.len, 62);
    envelope_free(&e);
    buf_reset(&text);
    buf_str(&text, "{\"data\":");
    for (int i = 0; i < 32; i++)
        buf_byte(&text, '[');
    for (int i = 0; i < 32; i++)
        buf_byte(&text, ']');
    buf_byte(&text, '}');
    assert_none(buf_cstr(&text));
    buf_free(&text);
}

static void what_is_written_is_read_back(void **state)
{
    struct buf out = {0};
    envelope_write(&out, span_of("a \"b\""), span_of("1\n\\2\x01\xe2\x82\xac"));
    assert_envelope(buf_cstr(&out), "a \"b\"", "1\n\\2\x01\xe2\x82\xac");
    buf_reset(&out);
    envelope_write(&out, (struct span){0}, span_of("x"));
    assert_string_equal(buf_cstr(&out), "{\"data\":\"x\"}");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(string_data_is_taken_as_it_is),
        cmocka_unit_test(other_data_comes_out_compact_and_else_unchanged),
        cmocka_unit_test(a_null_event_is_an_absent_one),
        cmocka_unit_test(unknown_members_are_allowed),
        cmocka_unit_test(the_last_of_two_members_of_one_name_counts),
        cmocka_unit_test(what_is_no_object_with_data_is_no_envelope),
        cmocka_unit_test(an_event_that_sse_cannot_carry_is_no_envelope),
        cmocka_unit_test(nesting_beyond_the_limit_is_no_envelope),
        cmocka_unit_test(what_is_written_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
