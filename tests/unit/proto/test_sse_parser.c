#include "base/err.h"
#include "proto/sse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A parser and what it said, as text: "event|data|id;", "retry=N;", "#comment;". */
struct reader {
    struct sse_parser *parser;
    struct buf said;
};

static void on_event(void *ctx, const struct sse_received *e)
{
    struct reader *r = ctx;
    buf_span(&r->said, e->event);
    buf_byte(&r->said, '|');
    buf_span(&r->said, e->data);
    buf_byte(&r->said, '|');
    buf_span(&r->said, e->last_id);
    buf_byte(&r->said, ';');
}

static void on_retry(void *ctx, uint32_t ms)
{
    struct reader *r = ctx;
    buf_printf(&r->said, "retry=%u;", (unsigned)ms);
}

static void on_comment(void *ctx, struct span text)
{
    struct reader *r = ctx;
    buf_byte(&r->said, '#');
    buf_span(&r->said, text);
    buf_byte(&r->said, ';');
}

static void reader_begin(struct reader *r, size_t max)
{
    struct sse_handler handler = {on_event, on_retry, on_comment, r};
    *r = (struct reader){.parser = sse_parser_create(&handler, max)};
}

static void reader_end(struct reader *r)
{
    sse_parser_destroy(&r->parser);
    assert_null(r->parser);
    buf_free(&r->said);
}

static int feed(struct reader *r, const char *text)
{
    return sse_parser_feed(r->parser, span_of(text));
}

static void assert_said(struct reader *r, const char *want)
{
    assert_string_equal(buf_cstr(&r->said), want);
    buf_reset(&r->said);
}

static void assert_reads(const char *stream, const char *want)
{
    struct reader r;
    reader_begin(&r, 1000);
    assert_int_equal(feed(&r, stream), 0);
    assert_said(&r, want);
    reader_end(&r);
}

static void an_event_is_told_at_its_blank_line_and_not_before(void **state)
{
    assert_reads("event: a\ndata: x\nid: 7\n", "");
    assert_reads("event: a\ndata: x\nid: 7\n\n", "a|x|7;");
}

static void an_event_without_a_name_is_a_message(void **state)
{
    assert_reads("data: x\n\nevent\ndata: y\n\n", "message|x|;message|y|;");
}

static void data_lines_are_joined_with_line_feeds(void **state)
{
    assert_reads("data: a\ndata:\ndata\ndata: b\n\n", "message|a\n\n\nb|;");
}

static void one_empty_data_line_is_an_event_and_none_is_not(void **state)
{
    assert_reads("data\n\nevent: x\n\ndata: y\n\n", "message||;message|y|;");
}

static void lines_end_with_lf_cr_and_crlf(void **state)
{
    assert_reads("data: a\r\rdata: b\r\n\r\ndata: c\n\n", "message|a|;message|b|;message|c|;");
    assert_reads("data: a\rdata: b\n\r", "message|a\nb|;");
}

static void just_one_space_behind_the_colon_is_stripped(void **state)
{
    assert_reads("data:  a\ndata:b\n\n", "message| a\nb|;");
}

static void a_byte_order_mark_at_the_start_is_no_part_of_the_first_line(void **state)
{
    assert_reads("\xef\xbb\xbf"
                 "data: a\n\n\xef\xbb\xbf"
                 "data: b\n\n",
                 "message|a|;");
}

static void the_id_stays_in_force_until_it_is_set_again(void **state)
{
    assert_reads("id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n",
                 "message|a|1;message|b|1;message|c|;");
}

static void an_event_without_data_still_sets_the_id(void **state)
{
    struct reader r;
    reader_begin(&r, 1000);
    feed(&r, "id: 5\n");
    assert_int_equal(sse_parser_last_id(r.parser).len, 0);
    feed(&r, "\n");
    assert_true(span_is(sse_parser_last_id(r.parser), "5"));
    reader_end(&r);
}

static void an_id_with_a_nul_is_ignored(void **state)
{
    struct reader r;
    reader_begin(&r, 1000);
    sse_parser_feed(r.parser, span_make("id: 1\nid: 2\0003\ndata: x\n\n", 23));
    assert_said(&r, "message|x|1;");
    reader_end(&r);
}

static void retry_is_told_when_it_is_all_digits(void **state)
{
    assert_reads("retry: 250\nretry: 2s\nretry:\nretry: -1\nretry: 99999999999\n",
                 "retry=250;retry=4294967295;");
}

static void comments_are_told_and_unknown_fields_are_not(void **state)
{
    assert_reads(": subscribed\n:\nwhatever: x\ncolourless\n", "#subscribed;#;");
}

static void ill_formed_utf8_is_replaced(void **state)
{
    assert_reads("data: a\xff"
                 "b\xe2\x82\n\n",
                 "message|a\xef\xbf\xbd"
                 "b\xef\xbf\xbd|;");
}

static void the_chunks_do_not_matter(void **state)
{
    static const char stream[] = "\xef\xbb\xbf"
                                 "retry: 9\r\n: hi\r\n\r\nid: 1\revent: e\r\ndata: \xe2\x82\xac\r\n"
                                 "data: b\n\ndata: c\r\n\r\n\ndata: d\r\r";
    static const char want[] = "retry=9;#hi;e|\xe2\x82\xac\nb|1;message|c|1;message|d|1;";
    for (size_t size = 1; size < sizeof stream; size++) {
        struct reader r;
        reader_begin(&r, 1000);
        for (size_t at = 0; at < sizeof stream - 1; at += size) {
            size_t left = sizeof stream - 1 - at;
            sse_parser_feed(r.parser, span_make(stream + at, left < size ? left : size));
        }
        assert_said(&r, want);
        reader_end(&r);
    }
}

static void a_restart_forgets_what_was_half_read_and_keeps_the_id(void **state)
{
    struct reader r;
    reader_begin(&r, 1000);
    feed(&r, "id: 1\ndata: a\n\nid: 2\nevent: e\ndata: b\ndata: ha");
    sse_parser_restart(r.parser);
    assert_true(span_is(sse_parser_last_id(r.parser), "1"));
    feed(&r, "\ndata: c\n\n");
    assert_said(&r, "message|a|1;message|c|1;");
    reader_end(&r);
}

static void a_line_beyond_the_limit_is_an_error_until_the_restart(void **state)
{
    struct reader r;
    reader_begin(&r, 8);
    assert_int_equal(feed(&r, "data: ab\n\n"), 0);
    assert_int_equal(feed(&r, "data: a"), 0);
    assert_int_equal(feed(&r, "bc"), ERR_TOO_LARGE);
    assert_int_equal(feed(&r, "\n\n"), ERR_TOO_LARGE);
    assert_said(&r, "message|ab|;");
    sse_parser_restart(r.parser);
    assert_int_equal(feed(&r, "data: c\n\n"), 0);
    assert_said(&r, "message|c|;");
    assert_int_equal(feed(&r, "data: abc\n\n"), ERR_TOO_LARGE);
    assert_said(&r, "");
    reader_end(&r);
}

static void data_of_many_lines_beyond_the_limit_is_an_error(void **state)
{
    struct reader r;
    reader_begin(&r, 8);
    assert_int_equal(feed(&r, "data:abc\ndata:abc\ndata\n\n"), 0);
    assert_said(&r, "message|abc\nabc\n|;");
    assert_int_equal(feed(&r, "data:abc\ndata:abc\ndata:a\n"), ERR_TOO_LARGE);
    reader_end(&r);
    reader_begin(&r, 8);
    assert_int_equal(feed(&r, "data\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\n"), 0);
    assert_int_equal(feed(&r, "data\n"), ERR_TOO_LARGE);
    reader_end(&r);
}

static void handlers_may_be_left_out(void **state)
{
    struct sse_handler none = {0};
    struct sse_parser *parser = sse_parser_create(&none, 100);
    assert_int_equal(sse_parser_feed(parser, span_of("retry: 1\n:c\nid: 4\ndata: x\n\n")), 0);
    assert_true(span_is(sse_parser_last_id(parser), "4"));
    sse_parser_destroy(&parser);
    sse_parser_destroy(&parser);
}

static void what_is_encoded_is_read_back_with_its_line_ends_made_lf(void **state)
{
    struct sse_event event = {
        .id = span_of("7-0"), .event = span_of(" e: "), .data = span_of(" a\r\nb\r\n: c\n\rd")};
    struct buf out = {0};
    sse_encode(&out, &event);
    assert_reads(buf_cstr(&out), " e: | a\nb\n: c\n\nd|7-0;");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_told_at_its_blank_line_and_not_before),
        cmocka_unit_test(an_event_without_a_name_is_a_message),
        cmocka_unit_test(data_lines_are_joined_with_line_feeds),
        cmocka_unit_test(one_empty_data_line_is_an_event_and_none_is_not),
        cmocka_unit_test(lines_end_with_lf_cr_and_crlf),
        cmocka_unit_test(just_one_space_behind_the_colon_is_stripped),
        cmocka_unit_test(a_byte_order_mark_at_the_start_is_no_part_of_the_first_line),
        cmocka_unit_test(the_id_stays_in_force_until_it_is_set_again),
        cmocka_unit_test(an_event_without_data_still_sets_the_id),
        cmocka_unit_test(an_id_with_a_nul_is_ignored),
        cmocka_unit_test(retry_is_told_when_it_is_all_digits),
        cmocka_unit_test(comments_are_told_and_unknown_fields_are_not),
        cmocka_unit_test(ill_formed_utf8_is_replaced),
        cmocka_unit_test(the_chunks_do_not_matter),
        cmocka_unit_test(a_restart_forgets_what_was_half_read_and_keeps_the_id),
        cmocka_unit_test(a_line_beyond_the_limit_is_an_error_until_the_restart),
        cmocka_unit_test(data_of_many_lines_beyond_the_limit_is_an_error),
        cmocka_unit_test(handlers_may_be_left_out),
        cmocka_unit_test(what_is_encoded_is_read_back_with_its_line_ends_made_lf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
