#include "cli/tail_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct sse_received received(const char *event, const char *data, const char *id)
{
    return (struct sse_received){span_of(event), span_of(data), span_of(id)};
}

static void assert_line(struct sse_received event, bool json, const char *want)
{
    struct buf out = {0};
    tail_line(&out, &event, json);
    assert_string_equal(buf_cstr(&out), want);
    buf_free(&out);
}

static void assert_notice(const char *event, const char *data, const char *want)
{
    struct sse_received got = received(event, data, "");
    struct buf out = {0};
    tail_notice(&out, &got);
    assert_string_equal(buf_cstr(&out), want);
    buf_free(&out);
}

static const char full[] =
    "{\"channel\":\"orders.1\",\"event\":\"created\",\"data\":\"{\\\"a\\\":1}\",\"id\":\"7-0\"}";
static const char bare[] =
    "{\"channel\":\"orders.1\",\"event\":null,\"data\":\"x\\ny\",\"id\":null}";

static void a_message_is_one_line_without_what_is_absent(void **state)
{
    assert_line(received("message", full, "7-0"), false, "orders.1 #7-0 [created] {\"a\":1}\n");
    assert_line(received("message", bare, "7-0"), false, "orders.1 x\\ny\n");
}

static void the_json_form_is_the_wrapped_form(void **state)
{
    assert_line(received("message", full, "7-0"), true,
                "{\"channel\":\"orders.1\",\"event\":\"created\",\"data\":\"{\\\"a\\\":1}\",\"id\":"
                "\"7-0\"}\n");
    assert_line(received("message", bare, "7-0"), true,
                "{\"channel\":\"orders.1\",\"event\":null,\"data\":\"x\\ny\",\"id\":null}\n");
}

static void unknown_members_of_the_wrapped_form_are_passed_over(void **state)
{
    assert_line(received("message", "{\"v\":[1],\"channel\":\"c\",\"data\":\"x\",\"at\":5}", ""),
                true, "{\"channel\":\"c\",\"event\":null,\"data\":\"x\",\"id\":null}\n");
}

static void an_event_that_is_not_wrapped_is_shown_as_it_came(void **state)
{
    assert_line(received("message", "{\"data\":\"x\"}", ""), false, "{\"data\":\"x\"}\n");
    assert_line(received("tick", full, "3"), true,
                "{\"channel\":null,\"event\":\"tick\",\"data\":\"{\\\"channel\\\":\\\"orders.1\\\","
                "\\\"event\\\":"
                "\\\"created\\\",\\\"data\\\":\\\"{\\\\\\\"a\\\\\\\":1}\\\",\\\"id\\\":\\\"7-0\\\"}"
                "\",\"id\":\"3\"}\n");
    assert_line(received("message", "plain\ntext", "3"), false, "#3 plain\\ntext\n");
}

static void control_events_are_told_apart_from_messages(void **state)
{
    static const struct {
        const char *event;
        enum tail_kind kind;
    } cases[] = {
        {"message", TAIL_MESSAGE},        {"sluice", TAIL_MESSAGE},
        {"sluice.gap", TAIL_GAP},         {"sluice.busy", TAIL_CLOSING},
        {"sluice.expired", TAIL_CLOSING}, {"sluice.head", TAIL_SILENT},
        {"sluice.ping", TAIL_SILENT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sse_received event = received(cases[i].event, "{}", "");
        assert_int_equal(tail_kind_of(&event), cases[i].kind);
    }
}

static void a_gap_is_told_with_its_channel_and_reason(void **state)
{
    assert_notice("sluice.gap", "{\"channel\":\"orders.1\",\"reason\":\"redis\",\"from\":null}",
                  "warning: gap in orders.1 (redis): messages may have been missed");
    assert_notice("sluice.gap", "{\"pattern\":\"orders.*\",\"reason\":\"overflow\"}",
                  "warning: gap in orders.* (overflow): messages may have been missed");
    assert_notice("sluice.gap", "", "warning: gap: messages may have been missed");
}

static void a_closing_gateway_is_quoted(void **state)
{
    assert_notice("sluice.busy", "{\"error\":\"too many connections\"}", "too many connections");
    assert_notice("sluice.expired", "?", "sluice.expired");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_one_line_without_what_is_absent),
        cmocka_unit_test(the_json_form_is_the_wrapped_form),
        cmocka_unit_test(unknown_members_of_the_wrapped_form_are_passed_over),
        cmocka_unit_test(an_event_that_is_not_wrapped_is_shown_as_it_came),
        cmocka_unit_test(control_events_are_told_apart_from_messages),
        cmocka_unit_test(a_gap_is_told_with_its_channel_and_reason),
        cmocka_unit_test(a_closing_gateway_is_quoted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
