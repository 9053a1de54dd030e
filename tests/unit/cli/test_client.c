#include "cli/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_url(const char *root, const char *want)
{
    struct client_options options = {.url = root};
    struct buf out = {0};
    client_url(&out, &options, "/events");
    assert_string_equal(buf_cstr(&out), want);
    buf_free(&out);
}

static void a_path_is_put_behind_the_root_with_one_slash(void **state)
{
    assert_url("http://a:1", "http://a:1/events");
    assert_url("http://a:1/", "http://a:1/events");
    assert_url("https://a/base//", "https://a/base/events");
}

static void every_byte_that_could_mean_something_is_encoded(void **state)
{
    struct buf out = {0};
    client_encode(&out, span_of("aZ09-._~ /?#%+&=:\xc3\xa9"));
    assert_string_equal(buf_cstr(&out), "aZ09-._~%20%2F%3F%23%25%2B%26%3D%3A%C3%A9");
    buf_free(&out);
}

static void assert_refusal(long status, const char *body, const char *want)
{
    struct buf out = {0};
    client_refusal(&out, status, span_of(body));
    assert_string_equal(buf_cstr(&out), want);
    buf_free(&out);
}

static void a_refusal_reads_as_the_gateway_worded_it(void **state)
{
    assert_refusal(403, "{\"error\":\"no scope publish:a\"}", "403: no scope publish:a");
    assert_refusal(400, "{\"error\":\"a \\u001b[31mtrick\\n\"}", "400: a \\x1b[31mtrick");
}

static void a_refusal_of_something_else_shows_the_beginning_of_its_body(void **state)
{
    char page[1000];
    struct buf out = {0};
    assert_refusal(502, "", "502");
    assert_refusal(502, "Bad\r\ngateway\n", "502: Bad\\r\\ngateway");
    assert_refusal(500, "{\"error\":5}", "500: {\"error\":5}");
    memset(page, 'x', sizeof page);
    client_refusal(&out, 502, span_make(page, sizeof page));
    assert_int_equal(out.len, 305);
    buf_free(&out);
}

static const char *error_of(const char *url, const char *unix_path, const char *key)
{
    struct client_options options = {.url = url, .unix_path = unix_path, .key = key};
    return client_options_error(&options);
}

static void a_gateway_is_an_http_url_without_a_query(void **state)
{
    assert_null(error_of("http://127.0.0.1:8080", NULL, NULL));
    assert_null(error_of("https://a.example/base/", "/run/s", "secret"));
    assert_non_null(error_of("127.0.0.1:8080", NULL, NULL));
    assert_non_null(error_of("file:///etc/passwd", NULL, NULL));
    assert_non_null(error_of("http://a/?x=1", NULL, NULL));
    assert_non_null(error_of("http://a/#x", NULL, NULL));
    assert_non_null(error_of("http://a b/", NULL, NULL));
    assert_non_null(error_of("http://a/", "", NULL));
}

static void a_key_cannot_smuggle_a_header_in(void **state)
{
    const char *error = error_of("http://a", NULL, "secret\r\nX-Other: 1");
    assert_non_null(error);
    assert_null(strstr(error, "secret"));
}

static void a_file_of_cas_must_be_there(void **state)
{
    struct client_options options = {.url = "https://a", .cacert = "/dev/null"};
    assert_null(client_options_error(&options));
    options.cacert = "/dev/null/none";
    assert_non_null(client_options_error(&options));
    options.cacert = "";
    assert_non_null(client_options_error(&options));
}

static void the_environment_gives_the_defaults(void **state)
{
    setenv("SLUICE_URL", "http://b", 1);
    setenv("SLUICE_KEY", "k", 1);
    assert_string_equal(client_defaults().url, "http://b");
    assert_string_equal(client_defaults().key, "k");
    setenv("SLUICE_URL", "", 1);
    setenv("SLUICE_KEY", "", 1);
    assert_string_equal(client_defaults().url, "http://127.0.0.1:8080");
    assert_null(client_defaults().key);
    unsetenv("SLUICE_URL");
    unsetenv("SLUICE_KEY");
    assert_string_equal(client_defaults().url, "http://127.0.0.1:8080");
    assert_null(client_defaults().unix_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_is_put_behind_the_root_with_one_slash),
        cmocka_unit_test(every_byte_that_could_mean_something_is_encoded),
        cmocka_unit_test(a_refusal_reads_as_the_gateway_worded_it),
        cmocka_unit_test(a_refusal_of_something_else_shows_the_beginning_of_its_body),
        cmocka_unit_test(a_gateway_is_an_http_url_without_a_query),
        cmocka_unit_test(a_key_cannot_smuggle_a_header_in),
        cmocka_unit_test(a_file_of_cas_must_be_there),
        cmocka_unit_test(the_environment_gives_the_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
