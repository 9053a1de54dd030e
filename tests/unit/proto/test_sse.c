#include "proto/sse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_encoded(struct sse_event event, const char *want)
{
    struct buf out = {0};
    sse_encode(&out, &event);
    assert_string_equal(buf_cstr(&out), want);
    buf_free(&out);
}

static void assert_data(const char *data, const char *want)
{
    assert_encoded((struct sse_event){.data = span_of(data)}, want);
}

static void an_event_is_its_data_line_and_a_blank_one(void **state)
{
    assert_data("hello", "data: hello\n\n");
}

static void absent_and_empty_data_is_still_a_data_line(void **state)
{
    assert_encoded((struct sse_event){0}, "data:\n\n");
    assert_data("", "data:\n\n");
}

static void the_order_is_id_event_data(void **state)
{
    assert_encoded(
        (struct sse_event){.id = span_of("7-0"), .event = span_of("created"), .data = span_of("x")},
        "id: 7-0\nevent: created\ndata: x\n\n");
}

static void an_empty_id_is_a_line_because_it_takes_the_last_one_back(void **state)
{
    assert_encoded((struct sse_event){.id = span_of(""), .data = span_of("x")},
                   "id: \ndata: x\n\n");
}

static void the_name_message_and_the_empty_one_make_no_line(void **state)
{
    assert_encoded((struct sse_event){.event = span_of("message"), .data = span_of("x")},
                   "data: x\n\n");
    assert_encoded((struct sse_event){.event = span_of(""), .data = span_of("x")}, "data: x\n\n");
    assert_encoded((struct sse_event){.event = span_of("messages"), .data = span_of("x")},
                   "event: messages\ndata: x\n\n");
}

static void a_line_feed_inside_a_payload_begins_a_new_data_line(void **state)
{
    assert_data("a\nb", "data: a\ndata: b\n\n");
}

static void a_carriage_return_inside_a_payload_begins_a_new_data_line(void **state)
{
    assert_data("a\rb", "data: a\ndata: b\n\n");
}

static void a_crlf_inside_a_payload_splits_the_data_line_once(void **state)
{
    assert_data("a\r\nb", "data: a\ndata: b\n\n");
    assert_data("a\n\rb", "data: a\ndata:\ndata: b\n\n");
    assert_data("a\r\r\nb", "data: a\ndata:\ndata: b\n\n");
    assert_data("a\nb\nc\r\nd\re\r\n\r\nf",
                "data: a\ndata: b\ndata: c\ndata: d\ndata: e\ndata:\ndata: f\n\n");
}

static void a_line_end_at_the_edge_of_a_payload_is_kept_as_an_empty_line(void **state)
{
    assert_data("a\n", "data: a\ndata:\n\n");
    assert_data("a\r", "data: a\ndata:\n\n");
    assert_data("a\r\n", "data: a\ndata:\n\n");
    assert_data("\r\na", "data:\ndata: a\n\n");
    assert_data("\n", "data:\ndata:\n\n");
}

static void no_payload_can_forge_a_field_or_an_event(void **state)
{
    assert_data("x\n\nid: 9\revent: sluice.gap\r\n: c",
                "data: x\ndata:\ndata: id: 9\ndata: event: sluice.gap\ndata: : c\n\n");
}

static void a_space_at_the_front_of_the_data_survives_the_one_that_a_reader_strips(void **state)
{
    assert_data(" x", "data:  x\n\n");
}

static void a_nul_in_the_data_is_passed_on(void **state)
{
    struct sse_event event = {.data = span_make("a\0b\nc", 5)};
    struct buf out = {0};
    sse_encode(&out, &event);
    static const char want[] = "data: a\0b\ndata: c\n\n";
    assert_int_equal(out.len, sizeof want - 1);
    assert_memory_equal(out.data, want, sizeof want - 1);
    buf_free(&out);
}

static void encoding_reserves_once_and_never_too_little(void **state)
{
    for (size_t lines = 1; lines < 200; lines++) {
        struct buf out = {0}, data = {0};
        for (size_t i = 1; i < lines; i++)
            buf_byte(&data, i % 3 ? '\n' : '\r');
        struct sse_event event = {.data = buf_view(&data)};
        size_t ends = 1;
        for (size_t i = 0; i < data.len; i++)
            ends += data.data[i] == '\n' ? i == 0 || data.data[i - 1] != '\r' : 1;
        sse_encode(&out, &event);
        assert_int_equal(out.len, ends * 6 + 1);
        assert_true(out.len <= out.cap);
        buf_free(&out);
        buf_free(&data);
    }
}

static void encoding_appends_to_what_is_there(void **state)
{
    struct buf out = {0};
    struct sse_event event = {.data = span_of("x")};
    sse_retry(&out, 2000);
    sse_comment(&out, "subscribed");
    sse_encode(&out, &event);
    assert_string_equal(buf_cstr(&out), "retry: 2000\n\n: subscribed\n\ndata: x\n\n");
    buf_free(&out);
}

static void a_line_end_or_a_nul_makes_a_name_unfit(void **state)
{
    assert_null(sse_field_error((struct span){0}));
    assert_null(sse_field_error(span_of("created: caf\xc3\xa9 ")));
    assert_string_equal(sse_field_error(span_of("a\nb")), "has a line end");
    assert_string_equal(sse_field_error(span_of("a\rb")), "has a line end");
    assert_string_equal(sse_field_error(span_make("a\0b", 3)), "has a NUL");
}

static void a_message_cannot_have_the_name_of_one_of_the_gateways_own_events(void **state)
{
    assert_non_null(sse_event_error(span_of("sluice.gap")));
    assert_non_null(sse_event_error(span_of("sluice.")));
    assert_non_null(sse_event_error(span_of("a\nb")));
    assert_null(sse_event_error((struct span){0}));
    assert_null(sse_event_error(span_of("sluice")));
    assert_null(sse_event_error(span_of("my.sluice.gap")));
}

static void assert_wrapped(struct sse_event event, const char *want)
{
    struct buf out = {0};
    sse_wrap(&out, span_of("orders.1"), &event);
    assert_string_equal(buf_cstr(&out), want);
    buf_free(&out);
}

static void the_wrapped_form_has_null_for_what_is_absent(void **state)
{
    assert_wrapped((struct sse_event){.data = span_of("x")},
                   "{\"channel\":\"orders.1\",\"event\":null,\"data\":\"x\",\"id\":null}");
    assert_wrapped((struct sse_event){0},
                   "{\"channel\":\"orders.1\",\"event\":null,\"data\":\"\",\"id\":null}");
}

static void the_wrapped_form_is_one_line_whatever_the_data(void **state)
{
    assert_wrapped(
        (struct sse_event){
            .event = span_of("e"), .id = span_of("7-0"), .data = span_of("a\r\n\"b\"")},
        "{\"channel\":\"orders.1\",\"event\":\"e\",\"data\":\"a\\r\\n\\\"b\\\"\",\"id\":\"7-0\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_its_data_line_and_a_blank_one),
        cmocka_unit_test(absent_and_empty_data_is_still_a_data_line),
        cmocka_unit_test(the_order_is_id_event_data),
        cmocka_unit_test(an_empty_id_is_a_line_because_it_takes_the_last_one_back),
        cmocka_unit_test(the_name_message_and_the_empty_one_make_no_line),
        cmocka_unit_test(a_line_feed_inside_a_payload_begins_a_new_data_line),
        cmocka_unit_test(a_carriage_return_inside_a_payload_begins_a_new_data_line),
        cmocka_unit_test(a_crlf_inside_a_payload_splits_the_data_line_once),
        cmocka_unit_test(a_line_end_at_the_edge_of_a_payload_is_kept_as_an_empty_line),
        cmocka_unit_test(no_payload_can_forge_a_field_or_an_event),
        cmocka_unit_test(a_space_at_the_front_of_the_data_survives_the_one_that_a_reader_strips),
        cmocka_unit_test(a_nul_in_the_data_is_passed_on),
        cmocka_unit_test(encoding_reserves_once_and_never_too_little),
        cmocka_unit_test(encoding_appends_to_what_is_there),
        cmocka_unit_test(a_line_end_or_a_nul_makes_a_name_unfit),
        cmocka_unit_test(a_message_cannot_have_the_name_of_one_of_the_gateways_own_events),
        cmocka_unit_test(the_wrapped_form_has_null_for_what_is_absent),
        cmocka_unit_test(the_wrapped_form_is_one_line_whatever_the_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
