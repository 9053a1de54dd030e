#include "http1_check.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void a_request_is_taken_apart_without_being_changed(void **state)
{
    struct http1_request r = check_good_str("POST /a%2F%2Fb/..//?channel=x%20y&q=? HTTP/1.1\r\n"
                                            "hOsT: example.com:8080\r\n"
                                            "X-Empty:\r\n"
                                            "X-Text: \t a \xff b:c \t\r\n"
                                            "content-LENGTH:0012\r\n"
                                            "\r\n");
    assert_int_equal(r.method, HTTP1_POST);
    assert_span(r.method_name, "POST");
    assert_span(r.target, "/a%2F%2Fb/..//?channel=x%20y&q=?");
    assert_span(r.path, "/a%2F%2Fb/..//");
    assert_span(r.query, "channel=x%20y&q=?");
    assert_int_equal(r.minor, 1);
    assert_int_equal(r.header_count, 4);
    assert_span(r.headers[0].name, "hOsT");
    assert_span(r.headers[2].name, "X-Text");
    assert_span(r.headers[2].value, "a \xff b:c");
    assert_true(r.has_content_length);
    assert_int_equal(r.content_length, 12);
    assert_false(r.chunked);
    assert_false(r.expect_continue);
    assert_true(r.keep_alive);
}

static void a_header_is_found_by_its_name_in_any_case_and_the_first_one_counts(void **state)
{
    struct http1_request r = check_good_str(GET HOST "Last-Event-ID: 1\r\nlast-event-id: 2\r\n"
                                                     "X-Empty: \r\n\r\n");
    assert_span(http1_header(&r, "last-event-ID"), "1");
    assert_span(http1_header(&r, "host"), "a");
    assert_non_null(http1_header(&r, "x-empty").ptr);
    assert_int_equal(http1_header(&r, "x-empty").len, 0);
    assert_null(http1_header(&r, "Last-Event").ptr);
    assert_null(http1_header(&r, "").ptr);
}

static void methods_are_told_apart_by_their_exact_name(void **state)
{
    static const struct {
        const char *name;
        enum http1_method method;
    } cases[] = {
        {"GET", HTTP1_GET},         {"HEAD", HTTP1_HEAD},     {"POST", HTTP1_POST},
        {"PUT", HTTP1_PUT},         {"DELETE", HTTP1_DELETE}, {"PATCH", HTTP1_PATCH},
        {"OPTIONS", HTTP1_OPTIONS}, {"TRACE", HTTP1_OTHER},   {"get", HTTP1_OTHER},
        {"GETS", HTTP1_OTHER},      {"GE", HTTP1_OTHER},      {"!#$%&'*+-.^_`|~0Z", HTTP1_OTHER},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf head = {0};
        buf_printf(&head, "%s / HTTP/1.1\r\nHost:\r\n\r\n", cases[i].name);
        struct http1_request r = check_good(buf_view(&head));
        assert_int_equal(r.method, cases[i].method);
        assert_span(r.method_name, cases[i].name);
        buf_free(&head);
    }
}

static void targets_of_all_forms_give_their_path_and_query(void **state)
{
    static const struct {
        const char *method, *sent, *target, *path, *query;
    } cases[] = {
        {"GET", "/", "/", "/", NULL},
        {"GET", "/?", "/?", "/", ""},
        {"GET", "//host/p?a?b", "//host/p?a?b", "//host/p", "a?b"},
        {"GET", "/%00%fF~{}|\\^\"<>\x80\xff", "/%00%fF~{}|\\^\"<>\x80\xff",
         "/%00%fF~{}|\\^\"<>\x80\xff", NULL},
        {"GET", "http://A/", "/", "/", NULL},
        {"GET", "HTTP://a/p%20q?x=http://b/", "/p%20q?x=http://b/", "/p%20q", "x=http://b/"},
        {"GET", "https://a//p", "//p", "//p", NULL},
        {"OPTIONS", "*", "*", "*", NULL},
        {"OPTIONS", "/*", "/*", "/*", NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf head = {0};
        buf_printf(&head, "%s %s HTTP/1.1\r\n" HOST "\r\n", cases[i].method, cases[i].sent);
        struct http1_request r = check_good(buf_view(&head));
        assert_span(r.target, cases[i].target);
        assert_span(r.path, cases[i].path);
        assert_int_equal(r.query.ptr != NULL, cases[i].query != NULL);
        if (cases[i].query)
            assert_span(r.query, cases[i].query);
        buf_free(&head);
    }
}

static void the_connection_persists_as_version_and_connection_say(void **state)
{
    static const struct {
        const char *head;
        bool keep_alive;
    } cases[] = {
        {GET HOST "\r\n", true},
        {GET HOST "Connection: keep-alive\r\n\r\n", true},
        {GET HOST "Connection: close\r\n\r\n", false},
        {GET HOST "Connection: Upgrade ,\tCLOSE\r\n\r\n", false},
        {GET HOST "Connection: close\r\nConnection: keep-alive\r\n\r\n", false},
        {GET HOST "Connection: ,,closed, close-not,\r\n\r\n", true},
        {"GET / HTTP/1.0\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nConnection: x, Keep-Alive\r\n\r\n", true},
        {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct http1_request r = check_good_str(cases[i].head);
        assert_int_equal(r.keep_alive, cases[i].keep_alive);
    }
}

static void a_body_is_announced_by_length_by_chunks_or_not_at_all(void **state)
{
    struct http1_request r = check_good_str(POST "Content-Length:\t 0 \r\n\r\n");
    assert_true(r.has_content_length);
    assert_int_equal(r.content_length, 0);

    r = check_good_str(POST "Content-Length: 00000000000000000000009000000000000000000\r\n\r\n");
    assert_true(r.content_length == UINT64_C(9000000000000000000));

    r = check_good_str(POST "Transfer-Encoding: \t cHUNKed\t\r\n\r\n");
    assert_true(r.chunked);
    assert_false(r.has_content_length);

    r = check_good_str(POST "\r\n");
    assert_false(r.chunked);
    assert_false(r.has_content_length);
}

static void expect_is_heeded_in_1_1_and_ignored_in_1_0(void **state)
{
    assert_true(check_good_str(POST "Expect: 100-Continue\r\n\r\n").expect_continue);
    assert_false(check_good_str(POST_0 "Expect: 100-continue\r\n\r\n").expect_continue);
    assert_false(check_good_str(POST "\r\n").expect_continue);
}

static void one_empty_line_before_the_request_is_skipped(void **state)
{
    struct http1_request r = check_good_str("\r\n" GET HOST "\r\n");
    assert_span(r.method_name, "GET");
}

static void http_1_0_needs_no_host(void **state)
{
    struct http1_request r = check_good_str("HEAD http://a/ HTTP/1.0\r\n\r\n");
    assert_int_equal(r.minor, 0);
    assert_int_equal(r.header_count, 0);
}

static void a_bad_request_line_is_refused_with_its_reason(void **state)
{
    static const char version[] =
        "request line: expected HTTP/1.1 after the target and nothing else";
    static const char no_slash[] = "request line: the target does not begin with /";
    static const char no_host[] = "request line: an absolute target needs a host and a path";
    static const char control[] = "request line: a control character in the target";
    static const char escape[] = "request line: a % in the target without two hex digits";
    static const char method[] = "request line: a byte in the method that is not allowed there";
    static const char only_1[] = "request line: the version is neither HTTP/1.1 nor HTTP/1.0";
    const struct bad_head cases[] = {
        {BYTES("\r\n\r\nGET"), 400, "request line: is empty"},
        {BYTES("\r\n\nGET"), 400, "request line: is empty"},
        {BYTES("\nGET"), 400, "request line: a bare LF"},
        {BYTES("\rGET"), 400, "request line: a bare CR"},
        {BYTES(" GET / HTTP/1.1\r\n"), 400, "request line: no method"},
        {BYTES("GET\r\n"), 400, "request line: ends before the target"},
        {BYTES("GET\n"), 400, "request line: ends before the target"},
        {BYTES("\x16\x03\x01"), 400, method},
        {BYTES("G\tET / HTTP/1.1\r\n"), 400, method},
        {BYTES("G\0ET / HTTP/1.1\r\n"), 400, method},
        {BYTES("G:ET / HTTP/1.1\r\n"), 400, method},
        {BYTES("GE\xc3\x89T / HTTP/1.1\r\n"), 400, method},
        {BYTES("GET  / HTTP/1.1\r\n"), 400, "request line: no target (or two spaces before it)"},
        {BYTES("GET /\r\n"), 400, "request line: ends before the version"},
        {BYTES("GET /%4\r\n"), 400, "request line: ends before the version"},
        {BYTES("GET /\n"), 400, "request line: ends before the version"},
        {BYTES("GET /a\tb HTTP/1.1\r\n"), 400, control},
        {BYTES("GET /\0 HTTP/1.1\r\n"), 400, control},
        {BYTES("GET /\x7f HTTP/1.1\r\n"), 400, control},
        {BYTES("GET /%4\x01 HTTP/1.1\r\n"), 400, control},
        {BYTES("GET /a#b HTTP/1.1\r\n"), 400, "request line: a # in the target"},
        {BYTES("GET /%#b HTTP/1.1\r\n"), 400, "request line: a # in the target"},
        {BYTES("GET /% HTTP/1.1\r\n"), 400, escape},
        {BYTES("GET /%4 HTTP/1.1\r\n"), 400, escape},
        {BYTES("GET /%4g HTTP/1.1\r\n"), 400, escape},
        {BYTES("GET /%%41 HTTP/1.1\r\n"), 400, escape},
        {BYTES("GET /?a=%u0041 HTTP/1.1\r\n"), 400, escape},
        {BYTES("GET * HTTP/1.1\r\n"), 400, no_slash},
        {BYTES("PRI * HTTP/2.0\r\n"), 400, no_slash},
        {BYTES("OPTIONS ** HTTP/1.1\r\n"), 400, no_slash},
        {BYTES("GET a/b HTTP/1.1\r\n"), 400, no_slash},
        {BYTES("GET ?a HTTP/1.1\r\n"), 400, no_slash},
        {BYTES("CONNECT a:443 HTTP/1.1\r\n"), 400, no_slash},
        {BYTES("GET http:/a/b HTTP/1.1\r\n"), 400, no_slash},
        {BYTES("GET ftp://a/b HTTP/1.1\r\n"), 400, no_slash},
        {BYTES("GET http://a HTTP/1.1\r\n"), 400, no_host},
        {BYTES("GET http://a?b/ HTTP/1.1\r\n"), 400, no_host},
        {BYTES("GET http:/// HTTP/1.1\r\n"), 400, no_host},
        {BYTES("GET http://u@a/ HTTP/1.1\r\n"), 400, no_host},
        {BYTES("GET / \r\n"), 400, version},
        {BYTES("GET /a b HTTP/1.1\r\n"), 400, version},
        {BYTES("GET /  HTTP/1.1\r\n"), 400, version},
        {BYTES("GET / http/1.1\r\n"), 400, version},
        {BYTES("GET / HTTP/x.1\r\n"), 400, version},
        {BYTES("GET / HTTP/1,1\r\n"), 400, version},
        {BYTES("GET / HTTP/2\r\n"), 400, version},
        {BYTES("GET / HTTP/1.10\r\n"), 400, version},
        {BYTES("GET / HTTP/1.1 \r\n"), 400, version},
        {BYTES("GET / HTTP/1.1\n"), 400, "request line: a bare LF"},
        {BYTES("GET / HTTP/1.1\r\r\n"), 400, "request line: a bare CR"},
        {BYTES("GET / HTTP/0.9\r\n"), 505, only_1},
        {BYTES("GET / HTTP/1.2\r\n"), 505, only_1},
        {BYTES("GET / HTTP/2.0\r\n"), 505, only_1},
    };
    check_all_bad(cases, COUNT(cases));
}

static void a_bad_header_line_is_refused_with_its_number_and_reason(void **state)
{
    static const char name[] = "header line 2: a byte in the name that is not allowed there";
    static const char control[] = "header line 2: a control character in the value";
    static const char folded[] = "header line 2: begins with a space (folded lines are refused)";
    const struct bad_head cases[] = {
        {BYTES(GET " Host: a\r\n\r\n"), 400,
         "header line 1: begins with a space (folded lines are refused)"},
        {BYTES(GET HOST " folded\r\n\r\n"), 400, folded},
        {BYTES(GET HOST "\tfolded\r\n\r\n"), 400, folded},
        {BYTES(GET HOST " \r\n\r\n"), 400, folded},
        {BYTES(GET HOST ": v\r\n\r\n"), 400, "header line 2: no name before the colon"},
        {BYTES(GET HOST "X : v\r\n\r\n"), 400, "header line 2: a space before the colon"},
        {BYTES(GET HOST "X\t: v\r\n\r\n"), 400, "header line 2: a space before the colon"},
        {BYTES(GET HOST "X\r\n\r\n"), 400, "header line 2: no colon"},
        {BYTES(GET HOST "X\n\r\n"), 400, "header line 2: no colon"},
        {BYTES(GET HOST "X\0: v\r\n\r\n"), 400, name},
        {BYTES(GET HOST "\0X: v\r\n\r\n"), 400, name},
        {BYTES(GET HOST "X(: v\r\n\r\n"), 400, name},
        {BYTES(GET HOST "X\xe9: v\r\n\r\n"), 400, name},
        {BYTES(GET HOST "X: a\0b\r\n\r\n"), 400, control},
        {BYTES(GET HOST "X: a\x0b\r\n\r\n"), 400, control},
        {BYTES(GET HOST "X: \x7f\r\n\r\n"), 400, control},
        {BYTES(GET HOST "X: a\nY: b\r\n\r\n"), 400, "header line 2: a bare LF"},
        {BYTES(GET HOST "X: a\rY: b\r\n\r\n"), 400, "header line 2: a bare CR"},
        {BYTES(GET HOST "X: a\r\r\n\r\n"), 400, "header line 2: a bare CR"},
        {BYTES(GET HOST "\n"), 400, "header line 2: a bare LF"},
        {BYTES(GET HOST "\rX"), 400, "header line 2: a bare CR"},
        {BYTES(POST "Expect: 200-ok\r\n\r\n"), 417, "header line 2: Expect is not 100-continue"},
        {BYTES(POST "Expect:\r\n\r\n"), 417, "header line 2: Expect is not 100-continue"},
    };
    check_all_bad(cases, COUNT(cases));
}

static void an_error_is_told_by_the_first_byte_that_is_wrong(void **state)
{
    static const struct span fronts[] = {
        BYTES("\x16"),        BYTES("GE("),
        BYTES("GET /#"),      BYTES("GET a "),
        BYTES("GET / X"),     BYTES("GET / HTTP/3.0"),
        BYTES(GET " "),       BYTES(GET HOST ":"),
        BYTES(GET HOST "X "), BYTES(GET HOST "X: \x01"),
        BYTES(GET HOST HOST), BYTES(POST "Content-Length: x\r\n"),
    };
    for (size_t i = 0; i < COUNT(fronts); i++) {
        struct http1_error error;
        struct span shorter = span_make(fronts[i].ptr, fronts[i].len - 1);
        assert_int_equal(parse_exact(fronts[i], &usual_limits, &error), ERR_INVALID);
        assert_int_equal(parse_exact(shorter, &usual_limits, &error), 1);
    }
}

/* A head with a target of so many bytes. */
static struct buf head_with_target(size_t bytes)
{
    struct buf head = {0};
    buf_str(&head, "GET /");
    for (size_t i = 1; i < bytes; i++)
        buf_byte(&head, 'x');
    buf_str(&head, " HTTP/1.1\r\n" HOST "\r\n");
    return head;
}

static void a_target_may_be_as_long_as_its_limit_and_no_longer(void **state)
{
    struct buf good = head_with_target(8192);
    assert_int_equal(check_good(buf_view(&good)).target.len, 8192);
    buf_free(&good);

    struct buf bad = head_with_target(9000);
    struct http1_error error;
    for (size_t n = 4 + 8192; n <= bad.len; n++) {
        int wanted = n == 4 + 8192 ? 1 : ERR_INVALID;
        assert_int_equal(parse_exact(span_make(bad.data, n), &usual_limits, &error), wanted);
    }
    assert_int_equal(error.status, 414);
    assert_string_equal(error.text, "request line: the target is longer than its limit");
    buf_free(&bad);
}

static void a_head_may_be_as_long_as_its_limit_and_no_longer(void **state)
{
    static const struct span head = BYTES(GET HOST "\r\n");
    struct http1_limits limits = {.target_bytes = 100, .head_bytes = head.len};
    struct http1_error error;
    assert_int_equal(parse_exact(head, &limits, &error), 0);
    for (limits.head_bytes = 0; limits.head_bytes < head.len; limits.head_bytes++) {
        struct bad_head bad = {head, 431, "the head is longer than its limit"};
        check_bad(&bad, &limits);
        struct span full = span_make(head.ptr, limits.head_bytes);
        assert_int_equal(parse_exact(full, &limits, &error), full.len ? ERR_INVALID : 1);
    }
}

static void sixty_four_headers_are_kept_and_one_more_is_refused(void **state)
{
    struct buf head = {0};
    buf_str(&head, GET HOST);
    for (int i = 1; i < HTTP1_MAX_HEADERS; i++)
        buf_printf(&head, "X-%d: %d\r\n", i, i);
    size_t full = head.len;
    buf_str(&head, "\r\n");
    struct http1_request r = check_good(buf_view(&head));
    assert_int_equal(r.header_count, HTTP1_MAX_HEADERS);
    assert_span(r.headers[63].name, "X-63");

    head.len = full;
    buf_str(&head, "Y: 1\r\n\r\n");
    struct bad_head bad = {buf_view(&head), 431, "header line 65: more than 64 headers"};
    check_bad(&bad, &usual_limits);
    buf_free(&head);
}

static void what_failed_or_needs_more_leaves_the_results_alone(void **state)
{
    struct http1_request req = {.minor = 7};
    struct http1_error error = {.status = 7};
    size_t consumed = 7;
    struct span more = span_of(GET HOST), bad = span_of(GET HOST "X \r\n");
    assert_int_equal(http1_parse_head(more, &usual_limits, &req, &consumed, &error), 1);
    assert_int_equal(error.status, 7);
    assert_int_equal(http1_parse_head(bad, &usual_limits, &req, &consumed, &error), ERR_INVALID);
    assert_int_equal(req.minor, 7);
    assert_int_equal(consumed, 7);
}

static void nothing_at_all_needs_more(void **state)
{
    struct http1_error error;
    struct http1_request req;
    size_t consumed;
    struct span nothing = span_make(NULL, 0);
    assert_int_equal(http1_parse_head(nothing, &usual_limits, &req, &consumed, &error), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_taken_apart_without_being_changed),
        cmocka_unit_test(a_header_is_found_by_its_name_in_any_case_and_the_first_one_counts),
        cmocka_unit_test(methods_are_told_apart_by_their_exact_name),
        cmocka_unit_test(targets_of_all_forms_give_their_path_and_query),
        cmocka_unit_test(the_connection_persists_as_version_and_connection_say),
        cmocka_unit_test(a_body_is_announced_by_length_by_chunks_or_not_at_all),
        cmocka_unit_test(expect_is_heeded_in_1_1_and_ignored_in_1_0),
        cmocka_unit_test(one_empty_line_before_the_request_is_skipped),
        cmocka_unit_test(http_1_0_needs_no_host),
        cmocka_unit_test(a_bad_request_line_is_refused_with_its_reason),
        cmocka_unit_test(a_bad_header_line_is_refused_with_its_number_and_reason),
        cmocka_unit_test(an_error_is_told_by_the_first_byte_that_is_wrong),
        cmocka_unit_test(a_target_may_be_as_long_as_its_limit_and_no_longer),
        cmocka_unit_test(a_head_may_be_as_long_as_its_limit_and_no_longer),
        cmocka_unit_test(sixty_four_headers_are_kept_and_one_more_is_refused),
        cmocka_unit_test(what_failed_or_needs_more_leaves_the_results_alone),
        cmocka_unit_test(nothing_at_all_needs_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
