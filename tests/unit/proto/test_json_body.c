#include "proto/json_body.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static char why[200];

static struct json_body begin(const char *text)
{
    struct json_body b;
    why[0] = '\0';
    json_body_begin(&b, span_of(text), why, sizeof(why));
    return b;
}

static void only_the_first_fault_is_told(void **state)
{
    struct json_body b = begin("{}");
    assert_true(json_body_ok(&b));
    json_body_complain(&b, span_of("colour"), "is red");
    json_body_complain(&b, span_of("shape"), "is round");
    json_body_too_many(&b, 3, "names");
    assert_false(json_body_ok(&b));
    assert_int_equal(b.err, ERR_INVALID);
    assert_string_equal(why, "colour: is red");
}

static void a_place_within_an_element_begins_with_its_index(void **state)
{
    struct json_body b = begin("[]");
    b.index = 3;
    json_body_complain(&b, span_of("data"), "missing");
    assert_string_equal(why, "[3].data: missing");
    b = begin("[]");
    b.index = 3;
    json_body_complain(&b, (struct span){0}, "expected an object");
    assert_string_equal(why, "[3]: expected an object");
}

static void a_long_place_is_cut(void **state)
{
    struct json_body b = begin("{}");
    json_body_complain(
        &b, span_of("0123456789012345678901234567890123456789012345678901234567890123456789"),
        "unknown member");
    assert_string_equal(
        why, "0123456789012345678901234567890123456789012345678901234567890123: unknown member");
}

static void too_many_things_are_too_large(void **state)
{
    struct json_body b = begin("[]");
    b.index = 3;
    json_body_too_many(&b, 3, "messages");
    assert_int_equal(b.err, ERR_TOO_LARGE);
    assert_string_equal(why, "body: more than 3 messages");
}

static void that_the_body_is_no_json_goes_before_what_it_should_have_been(void **state)
{
    struct buf text = {0};
    struct json_body b = begin("[1, 2");
    assert_false(json_body_string(&b, span_of("id"), &text));
    assert_string_equal(why, "body is not JSON: unexpected end at byte 5");
    b = begin("[1, 2]");
    assert_false(json_body_enter(&b, span_of("body")));
    assert_string_equal(why, "body: expected an object");
    buf_free(&text);
}

static void an_object_is_read_member_by_member_until_something_is_wrong(void **state)
{
    struct buf name = {0}, text = {0};
    bool seen = false;
    struct json_body b = begin("{\"a\":\"x\",\"a\":\"y\",\"b\":\"z\"}");
    assert_true(json_body_enter(&b, span_of("body")));
    assert_true(json_body_member(&b, &name));
    assert_true(json_body_first(&b, buf_view(&name), &seen));
    assert_true(json_body_string(&b, buf_view(&name), &text));
    assert_string_equal(buf_cstr(&text), "x");
    assert_true(json_body_member(&b, &name));
    assert_false(json_body_first(&b, buf_view(&name), &seen));
    assert_string_equal(why, "a: given twice");
    assert_false(json_body_member(&b, &name));
    assert_false(json_body_end(&b));
    buf_free(&name);
    buf_free(&text);
}

static void nothing_may_follow_the_body(void **state)
{
    struct buf name = {0};
    struct json_body b = begin("{} ");
    assert_true(json_body_enter(&b, span_of("body")));
    assert_false(json_body_member(&b, &name));
    assert_true(json_body_end(&b));
    b = begin("{}x");
    assert_true(json_body_enter(&b, span_of("body")));
    assert_false(json_body_member(&b, &name));
    assert_false(json_body_end(&b));
    assert_string_equal(why, "body is not JSON: unexpected character at byte 2");
    buf_free(&name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_first_fault_is_told),
        cmocka_unit_test(a_place_within_an_element_begins_with_its_index),
        cmocka_unit_test(a_long_place_is_cut),
        cmocka_unit_test(too_many_things_are_too_large),
        cmocka_unit_test(that_the_body_is_no_json_goes_before_what_it_should_have_been),
        cmocka_unit_test(an_object_is_read_member_by_member_until_something_is_wrong),
        cmocka_unit_test(nothing_may_follow_the_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
