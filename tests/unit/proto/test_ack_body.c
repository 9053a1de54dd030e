#include "proto/ack_body.h"

#include "base/err.h"
#include "proto/event_id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct ack_body parse(const char *body)
{
    struct ack_body ack;
    char why[200] = "";
    if (ack_body_parse(span_of(body), &ack, why, sizeof why))
        fail_msg("%s: %s", body, why);
    return ack;
}

static void assert_refused(const char *body, const char *want)
{
    struct ack_body ack = {.id = 77};
    char why[200] = "";
    assert_int_equal(ack_body_parse(span_of(body), &ack, why, sizeof why), ERR_INVALID);
    assert_string_equal(why, want);
    assert_int_equal(ack.id, 77);
}

static void a_confirmation_has_a_session_and_an_id(void **state)
{
    struct ack_body ack = parse("{\"session\":\"5e55\",\"id\":\"1760000000000-123\"}");
    assert_string_equal(ack.session, "5e55");
    assert_string_equal(ack.peer, "");
    assert_true(ack.id == UINT64_C(1760000000000123));
    assert_false(ack.close);
}

static void a_confirmation_may_say_whose_it_is(void **state)
{
    struct ack_body ack = parse(" {\"id\":\"1-0\",\"peer\":\"app-1\",\"session\":\"s\","
                                "\"close\":false} ");
    assert_string_equal(ack.peer, "app-1");
    assert_true(ack.id == 1000);
    assert_false(ack.close);
}

static void a_peer_that_closes_needs_no_id_but_its_name(void **state)
{
    struct ack_body ack = parse("{\"session\":\"s\",\"peer\":\"app-1\",\"close\":true}");
    assert_true(ack.close);
    assert_true(ack.id == 0);
    assert_refused("{\"session\":\"s\",\"close\":true}", "peer: missing: who closes says its name");
}

static void an_id_too_large_to_be_given_is_later_than_all(void **state)
{
    static const char *const late[] = {"9007199254740-992", "9007199254741-0",
                                       "99999999999999999999999999-0"};
    for (size_t i = 0; i < sizeof(late) / sizeof(late[0]); i++) {
        char body[128];
        snprintf(body, sizeof(body), "{\"session\":\"s\",\"id\":\"%s\"}", late[i]);
        assert_true(parse(body).id == EVENT_ID_MAX);
    }
}

static void what_is_missing_is_named(void **state)
{
    assert_refused("{}", "session: missing");
    assert_refused("{\"id\":\"1-0\"}", "session: missing");
    assert_refused("{\"session\":\"s\"}", "id: missing");
    assert_refused("{\"session\":\"s\",\"peer\":\"p\",\"close\":false}", "id: missing");
}

static void a_wrong_type_is_told_with_its_place(void **state)
{
    assert_refused("[]", "body: expected an object");
    assert_refused("{\"session\":7}", "session: expected a string");
    assert_refused("{\"session\":\"s\",\"id\":7}", "id: expected a string");
    assert_refused("{\"peer\":null}", "peer: expected a string");
    assert_refused("{\"close\":\"true\"}", "close: expected true or false");
}

static void a_bad_value_is_told_with_its_place(void **state)
{
    assert_refused("{\"session\":\"\"}", "session: is empty");
    assert_refused("{\"session\":\"a b\"}", "session: has something else than a-z A-Z 0-9 . _ -");
    assert_refused("{\"session\":\"012345678901234567890123456789012\"}",
                   "session: is longer than 32 bytes");
    assert_refused("{\"peer\":\"a\\u0000b\"}", "peer: has something else than a-z A-Z 0-9 . _ -");
    assert_refused("{\"id\":\"12\"}", "id: is not an id such as 1760000000000-123");
    assert_refused("{\"id\":\"\"}", "id: is not an id such as 1760000000000-123");
}

static void an_unknown_member_or_one_that_is_given_twice_is_refused(void **state)
{
    assert_refused("{\"sessions\":1}", "sessions: unknown member");
    assert_refused("{\"id\":\"1-0\",\"id\":\"1-0\"}", "id: given twice");
    assert_refused("{\"close\":true,\"close\":true}", "close: given twice");
}

static void a_body_that_is_no_json_is_told_with_the_place(void **state)
{
    assert_refused("", "body is not JSON: unexpected end at byte 0");
    assert_refused("{\"session\":\"s\",\"id\":\"1-0\"",
                   "body is not JSON: unexpected end at byte 25");
    assert_refused("{\"session\":\"s\",\"id\":\"1-0\"}}",
                   "body is not JSON: unexpected character at byte 26");
    assert_refused("{\"close\":yes}", "body is not JSON: unexpected character at byte 9");
    assert_refused("{\"id\":\"1", "body is not JSON: unexpected end at byte 8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_confirmation_has_a_session_and_an_id),
        cmocka_unit_test(a_confirmation_may_say_whose_it_is),
        cmocka_unit_test(a_peer_that_closes_needs_no_id_but_its_name),
        cmocka_unit_test(an_id_too_large_to_be_given_is_later_than_all),
        cmocka_unit_test(what_is_missing_is_named),
        cmocka_unit_test(a_wrong_type_is_told_with_its_place),
        cmocka_unit_test(a_bad_value_is_told_with_its_place),
        cmocka_unit_test(an_unknown_member_or_one_that_is_given_twice_is_refused),
        cmocka_unit_test(a_body_that_is_no_json_is_told_with_the_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
