/* Heads on which two readers could differ about where the request ends, or whom it is for. */
#include "http1_check.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void a_length_beside_chunks_is_refused_in_either_order(void **state)
{
    const struct bad_head cases[] = {
        {BYTES(POST "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX"), 400,
         "header line 3: Transfer-Encoding beside Content-Length"},
        {BYTES(POST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n1\r\nX\r\n"), 400,
         "header line 3: Content-Length beside Transfer-Encoding"},
        {BYTES(POST "Content-Length: 6\r\nTransfer-Encoding: xchunked\r\n\r\n"), 400,
         "header line 3: Transfer-Encoding beside Content-Length"},
        {BYTES(POST "Content-Length: 0\r\nX: 1\r\ntransfer-encoding:chunked\r\n\r\n"), 400,
         "header line 4: Transfer-Encoding beside Content-Length"},
    };
    check_all_bad(cases, COUNT(cases));
}

static void a_transfer_encoding_that_is_not_chunked_alone_is_not_implemented(void **state)
{
    static const char text[] = "header line 2: a Transfer-Encoding other than chunked alone";
#define ENCODING(value)                                                                            \
    {                                                                                              \
        BYTES(POST "Transfer-Encoding:" value "\r\n\r\n"), 501, text                               \
    }
    const struct bad_head cases[] = {
        ENCODING(""),
        ENCODING(" xchunked"),
        ENCODING(" chunkedx"),
        ENCODING(" chunked, identity"),
        ENCODING(" identity, chunked"),
        ENCODING(" gzip, chunked"),
        ENCODING(" identity"),
        ENCODING(" chunked, chunked"),
        ENCODING(" chunked;q=1"),
        ENCODING(" chunked,"),
        ENCODING(" ,chunked"),
        ENCODING(" \"chunked\""),
        ENCODING(" chu\tnked"),
        ENCODING(" \xa0"
                 "chunked"),
        {BYTES(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), 400,
         "header line 3: a second Transfer-Encoding"},
        {BYTES(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n"), 400,
         "header line 3: a second Transfer-Encoding"},
        {BYTES(POST_0 "Transfer-Encoding: chunked\r\n\r\n"), 400,
         "header line 1: Transfer-Encoding in HTTP/1.0"},
    };
    check_all_bad(cases, COUNT(cases));
}

static void a_transfer_encoding_hidden_from_other_readers_is_refused(void **state)
{
    static const char space[] = "header line 2: a space before the colon";
    static const char control[] = "header line 2: a control character in the value";
    static const char folded[] = "header line 3: begins with a space (folded lines are refused)";
    static const char name[] = "header line 2: a byte in the name that is not allowed there";
    const struct bad_head cases[] = {
        {BYTES(POST "Transfer-Encoding : chunked\r\n\r\n"), 400, space},
        {BYTES(POST "Transfer-Encoding\t: chunked\r\n\r\n"), 400, space},
        {BYTES(POST "Transfer-Encoding: \x0b"
                    "chunked\r\n\r\n"),
         400, control},
        {BYTES(POST "Transfer-Encoding: chunked\0\r\n\r\n"), 400, control},
        {BYTES(POST "Transfer-Encoding\0: chunked\r\n\r\n"), 400, name},
        {BYTES(POST "X: x\r\n Transfer-Encoding: chunked\r\n\r\n"), 400, folded},
        {BYTES(POST "X: x\nTransfer-Encoding: chunked\r\n\r\n"), 400, "header line 2: a bare LF"},
        {BYTES(POST "X: x\rTransfer-Encoding: chunked\r\n\r\n"), 400, "header line 2: a bare CR"},
    };
    check_all_bad(cases, COUNT(cases));
    struct span folded_value = BYTES(POST "Transfer-Encoding:\r\n chunked\r\n\r\n");
    check_bad(&(struct bad_head){folded_value, 501,
                                 "header line 2: a Transfer-Encoding other than chunked alone"},
              &usual_limits);
}

static void a_content_length_is_digits_and_there_is_one(void **state)
{
    static const char second[] = "header line 3: a second Content-Length";
    static const char digits[] = "header line 2: Content-Length is not just digits";
    static const char large[] = "header line 2: Content-Length is too large";
#define LENGTH(value, status, text)                                                                \
    {                                                                                              \
        BYTES(POST "Content-Length:" value "\r\n\r\n"), status, text                               \
    }
    const struct bad_head cases[] = {
        {BYTES(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"), 400, second},
        {BYTES(POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), 400, second},
        {BYTES(POST "Content-Length: 0\r\ncontent-length:\r\n\r\n"), 400, second},
        LENGTH("", 400, "header line 2: Content-Length is empty"),
        LENGTH(" \t", 400, "header line 2: Content-Length is empty"),
        LENGTH(" +5", 400, digits),
        LENGTH(" -5", 400, digits),
        LENGTH(" -0", 400, digits),
        LENGTH(" 5 5", 400, digits),
        LENGTH(" 5, 5", 400, digits),
        LENGTH(" 5,", 400, digits),
        LENGTH(" 0x5", 400, digits),
        LENGTH(" 5x", 400, digits),
        LENGTH(" 1e1", 400, digits),
        LENGTH(" 5.0", 400, digits),
        LENGTH(" \"5\"", 400, digits),
        LENGTH(" \xd9\xa5", 400, digits),
        LENGTH(" 99999999999999999999999x", 400, digits),
        LENGTH(" 9223372036854775808", 413, large),
        LENGTH(" 18446744073709551615", 413, large),
        LENGTH(" 18446744073709551616", 413, large),
        LENGTH(" 18446744073709551621", 413, large),
        LENGTH(" 184467440737095516160000005", 413, large),
    };
    check_all_bad(cases, COUNT(cases));
}

static void a_header_whose_name_only_resembles_a_framing_header_frames_nothing(void **state)
{
    struct http1_request r = check_good_str(POST "Transfer_Encoding: chunked\r\n"
                                                 "Content-Length_: 9\r\nXContent-Length: 8\r\n"
                                                 "Content-Lengt: 7\r\n\r\n");
    assert_false(r.chunked);
    assert_false(r.has_content_length);
    assert_int_equal(r.header_count, 5);
}

static void a_request_names_one_host_and_no_other(void **state)
{
    static const char not_a_host[] = "header line 1: Host is not a host and port";
    static const char differs[] = "Host is not the host of the target";
    static const char no_host[] = "no Host, which HTTP/1.1 requires";
    const struct bad_head cases[] = {
        {BYTES(GET "\r\n"), 400, no_host},
        {BYTES("GET http://a/ HTTP/1.1\r\n\r\n"), 400, no_host},
        {BYTES(GET "X-Host: a\r\n\r\n"), 400, no_host},
        {BYTES(GET HOST HOST "\r\n"), 400, "header line 2: a second Host"},
        {BYTES(GET "Host:\r\nhost: b\r\n\r\n"), 400, "header line 2: a second Host"},
        {BYTES("GET / HTTP/1.0\r\n" HOST HOST "\r\n"), 400, "header line 2: a second Host"},
        {BYTES(GET "Host: a b\r\n\r\n"), 400, not_a_host},
        {BYTES(GET "Host: a/b\r\n\r\n"), 400, not_a_host},
        {BYTES(GET "Host: u@a\r\n\r\n"), 400, not_a_host},
        {BYTES(GET "Host: a?b\r\n\r\n"), 400, not_a_host},
        {BYTES(GET "Host: \xc3\xa9\r\n\r\n"), 400, not_a_host},
        {BYTES("GET http://b/ HTTP/1.1\r\n" HOST "\r\n"), 400, differs},
        {BYTES("GET http://a:80/ HTTP/1.1\r\n" HOST "\r\n"), 400, differs},
        {BYTES("GET http://b/ HTTP/1.0\r\n" HOST "\r\n"), 400, differs},
    };
    check_all_bad(cases, COUNT(cases));
    check_good_str(GET "Host: [::1]:8080\r\n\r\n");
    check_good_str(GET "Host: a_b-c.example:80\r\n\r\n");
    check_good_str("GET http://A.b:80/ HTTP/1.1\r\nHost: a.B:80\r\n\r\n");
}

static void a_second_request_is_left_for_the_next_reading(void **state)
{
    static const char two[] = POST "Content-Length: 0\r\n\r\n" GET "Host: b\r\n\r\n";
    struct span rest = span_make(two, sizeof(two) - 1);
    struct http1_request req;
    struct http1_error error;
    size_t consumed;
    assert_int_equal(http1_parse_head(rest, &usual_limits, &req, &consumed, &error), 0);
    assert_int_equal(req.method, HTTP1_POST);
    rest = span_make(rest.ptr + consumed, rest.len - consumed);
    assert_int_equal(http1_parse_head(rest, &usual_limits, &req, &consumed, &error), 0);
    assert_int_equal(req.method, HTTP1_GET);
    assert_span(http1_header(&req, "Host"), "b");
    assert_int_equal(consumed, rest.len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_length_beside_chunks_is_refused_in_either_order),
        cmocka_unit_test(a_transfer_encoding_that_is_not_chunked_alone_is_not_implemented),
        cmocka_unit_test(a_transfer_encoding_hidden_from_other_readers_is_refused),
        cmocka_unit_test(a_content_length_is_digits_and_there_is_one),
        cmocka_unit_test(a_header_whose_name_only_resembles_a_framing_header_frames_nothing),
        cmocka_unit_test(a_request_names_one_host_and_no_other),
        cmocka_unit_test(a_second_request_is_left_for_the_next_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
