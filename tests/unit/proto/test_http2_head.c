#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "proto/http2_head.h"

static const struct http1_limits limits = {.target_bytes = 100, .head_bytes = 1000};

static struct http2_head head;
static struct buf text;
static struct http1_request req;
static struct http1_error error;

static int clear(void **state)
{
    http2_head_free(&head);
    buf_free(&text);
    error = (struct http1_error){0};
    return 0;
}

static bool add(const char *name, const char *value)
{
    return http2_head_add(&head, &limits, span_of(name), span_of(value));
}

static void add_request(const char *method, const char *path)
{
    add(":method", method);
    add(":scheme", "https");
    add(":authority", "a.example");
    add(":path", path);
}

static int finish(bool body)
{
    return http2_head_finish(&head, &limits, body, &text, &req, &error);
}

static void assert_refused(int status)
{
    assert_int_equal(finish(false), ERR_INVALID);
    assert_int_equal(error.status, status);
    assert_true(error.text[0]);
}

static void test_a_request_is_what_its_fields_say(void **state)
{
    add_request("POST", "/publish/a%2Fb?event=x");
    add("content-length", "5");
    add("last-event-id", "7-1");
    assert_int_equal(finish(true), 0);
    assert_int_equal(req.method, HTTP1_POST);
    assert_true(span_is(req.path, "/publish/a%2Fb"));
    assert_true(span_is(req.query, "event=x"));
    assert_true(span_is(http1_header(&req, "Host"), "a.example"));
    assert_true(span_is(http1_header(&req, "Last-Event-ID"), "7-1"));
    assert_int_equal(req.content_length, 5);
    assert_false(req.chunked);
}

static void test_a_body_without_a_length_is_of_unknown_length(void **state)
{
    add_request("POST", "/publish/a");
    assert_int_equal(finish(true), 0);
    assert_true(req.chunked);
}

static void test_a_request_without_a_body_has_none(void **state)
{
    add_request("POST", "/publish/a");
    assert_int_equal(finish(false), 0);
    assert_false(req.chunked);
}

static void test_crumbs_of_a_cookie_become_one(void **state)
{
    add_request("GET", "/");
    add("cookie", "a=1");
    add("x", "y");
    add("cookie", "b=2");
    assert_int_equal(finish(false), 0);
    assert_true(span_is(http1_header(&req, "cookie"), "a=1; b=2"));
    assert_int_equal(req.header_count, 3);
}

static void test_a_host_stands_in_for_a_missing_authority(void **state)
{
    add(":method", "GET");
    add(":path", "/");
    add("host", "b.example");
    assert_int_equal(finish(false), 0);
    assert_true(span_is(http1_header(&req, "host"), "b.example"));
}

static void test_a_host_that_is_the_authority_counts_once(void **state)
{
    add_request("GET", "/");
    add("host", "A.example");
    assert_int_equal(finish(false), 0);
    assert_int_equal(req.header_count, 1);
}

static void test_a_host_that_is_not_the_authority_is_400(void **state)
{
    add_request("GET", "/");
    add("host", "b.example");
    assert_refused(400);
}

static void test_two_hosts_are_400_whatever_the_authority(void **state)
{
    add_request("GET", "/");
    add("host", "b.example");
    add("host", "a.example");
    assert_refused(400);
}

static void test_no_host_at_all_is_400(void **state)
{
    add(":method", "GET");
    add(":path", "/");
    assert_refused(400);
}

static void test_what_would_end_a_line_is_400_wherever_it_stands(void **state)
{
    static const char *const places[][2] = {
        {"x", "a\r\ny: b"}, {"x", "a\nb"}, {"x\r\ny", "b"},         {"x", "a\r"},
        {"host:b", "c"},    {"", "c"},     {":authority", "a\r\n"}, {"cookie", "a\nb"},
    };
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        add_request("GET", "/");
        add(places[i][0], places[i][1]);
        assert_refused(400);
        clear(NULL);
    }
    add_request("GET / HTTP/1.1\r\n", "/");
    assert_refused(400);
    clear(NULL);
    add_request("GET", "/ HTTP/1.1\r\n\r\n");
    assert_refused(400);
}

static void test_spaces_make_no_other_request_of_it(void **state)
{
    add_request("GET /other", "/path");
    assert_refused(400);
    clear(NULL);
    add_request("GET", "/path HTTP/1.1");
    assert_refused(400);
}

static void test_a_path_that_begins_with_no_slash_is_400(void **state)
{
    static const char *const paths[] = {"", "a", "http://a.example/b", "?a"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        add_request("GET", paths[i]);
        assert_refused(400);
        clear(NULL);
    }
}

static void test_an_asterisk_is_a_path_for_options(void **state)
{
    add_request("OPTIONS", "*");
    assert_int_equal(finish(false), 0);
    clear(NULL);
    add_request("GET", "*");
    assert_refused(400);
}

static void test_a_path_over_its_limit_is_414(void **state)
{
    char path[200];
    memset(path, 'a', sizeof(path));
    path[0] = '/';
    path[100] = '\0';
    add_request("GET", path);
    assert_int_equal(finish(false), 0);
    clear(NULL);
    path[100] = 'a';
    path[101] = '\0';
    add_request("GET", path);
    assert_refused(414);
}

static void test_headers_over_their_limit_are_431_and_not_kept(void **state)
{
    char value[500] = {0};
    memset(value, 'x', sizeof(value) - 1);
    add_request("GET", "/");
    for (int i = 0; i < 5; i++)
        assert_true(add("x-a", value));
    assert_true(head.lines.len < 1000);
    assert_refused(431);
}

static void test_far_over_its_limit_nobody_needs_an_answer(void **state)
{
    char value[500] = {0};
    memset(value, 'x', sizeof(value) - 1);
    add_request("GET", "/");
    bool more = true;
    int n = 0;
    for (; more && n < 100; n++)
        more = add("x-a", value);
    assert_in_range(n, 6, 10);
}

static void test_transfer_encoding_has_no_place(void **state)
{
    add_request("POST", "/");
    add("transfer-encoding", "chunked");
    assert_refused(400);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, clear, clear)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_request_is_what_its_fields_say),
        TEST(test_a_body_without_a_length_is_of_unknown_length),
        TEST(test_a_request_without_a_body_has_none),
        TEST(test_crumbs_of_a_cookie_become_one),
        TEST(test_a_host_stands_in_for_a_missing_authority),
        TEST(test_a_host_that_is_the_authority_counts_once),
        TEST(test_a_host_that_is_not_the_authority_is_400),
        TEST(test_two_hosts_are_400_whatever_the_authority),
        TEST(test_no_host_at_all_is_400),
        TEST(test_what_would_end_a_line_is_400_wherever_it_stands),
        TEST(test_spaces_make_no_other_request_of_it),
        TEST(test_a_path_that_begins_with_no_slash_is_400),
        TEST(test_an_asterisk_is_a_path_for_options),
        TEST(test_a_path_over_its_limit_is_414),
        TEST(test_headers_over_their_limit_are_431_and_not_kept),
        TEST(test_far_over_its_limit_nobody_needs_an_answer),
        TEST(test_transfer_encoding_has_no_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
