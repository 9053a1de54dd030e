#include "ops/config_check.h"

#include "ops/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

typedef const char *checker(struct span text);

static void assert_good(checker *check, const char *text)
{
    const char *wrong = check(span_of(text));
    if (wrong)
        fail_msg("\"%s\": %s", text, wrong);
}

static void assert_wrong(checker *check, const char *text, const char *want)
{
    const char *wrong = check(span_of(text));
    if (!wrong)
        fail_msg("\"%s\" was taken for good", text);
    assert_string_equal(wrong, want);
}

static void a_listener_is_an_address_and_a_port_or_a_unix_socket(void **state)
{
    assert_good(check_listen, "127.0.0.1:8080");
    assert_good(check_listen, "0.0.0.0:0");
    assert_good(check_listen, "[::1]:65535");
    assert_good(check_listen, ":8080");
    assert_good(check_listen, "unix:/run/sluice.sock");
}

static void a_tcp_listener_may_say_whether_it_speaks_tls(void **state)
{
    assert_good(check_listen, "http://127.0.0.1:8080");
    assert_good(check_listen, "http://:8080");
    assert_good(check_listen, "https://[::1]:443");
    assert_wrong(check_listen, "http://", "has no port");
    assert_wrong(check_listen, "https://127.0.0.1", "has no port");
    assert_wrong(check_listen, "http://localhost:80", "has a host that is not an IP address");
    assert_wrong(check_listen, "http://unix:/run/s", "has a scheme before unix:, which has none");
    assert_wrong(check_listen, "https://unix:/run/s", "has a scheme before unix:, which has none");
    static const char slash[] = "has a slash that is not part of http:// or https://";
    assert_wrong(check_listen, "http://127.0.0.1:80/", slash);
    assert_wrong(check_listen, "http://http://127.0.0.1:80", slash);
    assert_wrong(check_listen, "HTTP://127.0.0.1:80", slash);
    assert_wrong(check_listen, "ws://127.0.0.1:80", slash);
}

static void assert_split(const char *entry, enum config_listen want, const char *want_address)
{
    struct span address;
    assert_int_equal(config_listen_split(span_of(entry), &address), want);
    assert_true(span_is(address, want_address));
}

static void a_listener_is_split_into_what_it_speaks_and_where(void **state)
{
    assert_split("127.0.0.1:80", CONFIG_LISTEN_TCP, "127.0.0.1:80");
    assert_split("http://:80", CONFIG_LISTEN_CLEAR, ":80");
    assert_split("https://[::1]:443", CONFIG_LISTEN_TLS, "[::1]:443");
    assert_split("unix:/run/s", CONFIG_LISTEN_UNIX, "/run/s");
    assert_split("", CONFIG_LISTEN_TCP, "");
}

static void a_network_has_no_bits_behind_its_prefix(void **state)
{
    assert_good(check_network, "10.0.0.0/8");
    assert_good(check_network, "::1/128");
    assert_good(check_network, "192.0.2.7");
    assert_wrong(check_network, "10.1.2.3/8",
                 "has bits set behind its prefix; the network is 10.0.0.0/8");
    assert_wrong(check_network, "proxy.example", "is not an IP address");
    assert_wrong(check_network, "*", "is not an IP address");
}

static void a_listener_that_is_none_is_told_why(void **state)
{
    assert_wrong(check_listen, "", "has no port");
    assert_wrong(check_listen, "127.0.0.1", "has no port");
    assert_wrong(check_listen, "127.0.0.1:", "has a port that is not 0 to 65535");
    assert_wrong(check_listen, "127.0.0.1:65536", "has a port that is not 0 to 65535");
    assert_wrong(check_listen, "127.0.0.1:-1", "has a port that is not 0 to 65535");
    assert_wrong(check_listen, "127.0.0.1:8080x", "has a port that is not 0 to 65535");
    assert_wrong(check_listen, "127.0.0.1:000080", "has a port that is not 0 to 65535");
    assert_wrong(check_listen, "localhost:80", "has a host that is not an IP address");
    assert_wrong(check_listen, "127.1:80", "has a host that is not an IP address");
    assert_wrong(check_listen, "::1:80", "has an IPv6 address without brackets");
    assert_wrong(check_listen, "[]:80", "has no IPv6 address between the brackets");
    assert_wrong(check_listen, "[127.0.0.1]:80", "has no IPv6 address between the brackets");
    assert_wrong(check_listen, "unix:", "has no absolute path behind unix:");
    assert_wrong(check_listen, "unix:/", "has no absolute path behind unix:");
    assert_wrong(check_listen, "unix:run/s", "has no absolute path behind unix:");
}

static void a_unix_path_that_the_kernel_has_no_room_for_is_refused(void **state)
{
    char entry[128] = "unix:/";
    memset(entry + 6, 'a', 106); /* 107 bytes and the NUL are what sun_path holds */
    entry[6 + 106] = '\0';
    assert_good(check_listen, entry);
    memset(entry + 6, 'a', 107);
    entry[6 + 107] = '\0';
    assert_wrong(check_listen, entry, "is longer than a unix socket's path can be");
    assert_string_equal(check_listen(span_make("unix:/a\0b", 9)), "has a NUL");
}

static void only_loopback_and_unix_sockets_are_private(void **state)
{
    static const char *const private[] = {
        "127.0.0.1:80",         "127.255.0.9:80",        "[::1]:80",
        "[0:0:0:0:0:0:0:1]:80", "[::ffff:127.0.0.1]:80", "unix:/run/s",
        "http://127.0.0.1:80",  "https://[::1]:80"};
    static const char *const public[] = {
        "0.0.0.0:80",           ":80",          "[::]:80",  "128.0.0.1:80", "10.0.0.1:80",
        "[::ffff:10.0.0.1]:80", "[fe80::1]:80", "nonsense", "http://:80",   "https://10.0.0.1:80"};
    for (size_t i = 0; i < sizeof(private) / sizeof(private[0]); i++)
        assert_true(listen_is_private(span_of(private[i])));
    for (size_t i = 0; i < sizeof(public) / sizeof(public[0]); i++)
        assert_false(listen_is_private(span_of(public[i])));
}

static void a_base_path_is_empty_or_made_of_plain_segments(void **state)
{
    assert_good(check_base_path, "");
    assert_good(check_base_path, "/live");
    assert_good(check_base_path, "/a/b_c/~d-1.0");
    assert_wrong(check_base_path, "live", "does not begin with a slash");
    assert_wrong(check_base_path, "/", "ends with a slash");
    assert_wrong(check_base_path, "/live/", "ends with a slash");
    assert_wrong(check_base_path, "/a//b", "has an empty segment");
    assert_wrong(check_base_path, "//b", "has an empty segment");
    assert_wrong(check_base_path, "/a/../b", "has a segment . or ..");
    assert_wrong(check_base_path, "/.", "has a segment . or ..");
    assert_wrong(check_base_path, "/a%20b", "has a character that is not allowed in it");
    assert_wrong(check_base_path, "/a?b", "has a character that is not allowed in it");
    assert_wrong(check_base_path, "/\xc3\xa4", "has a character that is not allowed in it");
}

static void a_redis_url_has_no_blanks(void **state)
{
    assert_good(check_url_given, "redis://h");
    assert_wrong(check_url_given, "redis://h ", "has a blank or control character");
    assert_wrong(check_url_given, "redis://h\n", "has a blank or control character");
    assert_wrong(check_url_given, "redis://h\x7f", "has a blank or control character");
}

static void a_channel_prefix_is_empty_or_begins_a_channels_name(void **state)
{
    assert_good(check_channel_prefix, "");
    assert_good(check_channel_prefix, "shop:");
    assert_non_null(check_channel_prefix(span_of("shop*")));
    assert_non_null(check_channel_prefix(span_of("a\nb")));
    assert_non_null(check_channel_prefix(span_of("sluice:")));
}

static void an_origin_is_what_a_browser_sends(void **state)
{
    assert_good(check_origin, "*");
    assert_good(check_origin, "https://shop.example");
    assert_good(check_origin, "http://localhost:3000");
    assert_good(check_origin, "http://[::1]:3000");
    assert_good(check_origin, "http://[::1]");
    assert_good(check_origin, "https://shop.example:80");
    assert_good(check_origin, "capacitor://localhost");
    assert_good(check_origin, "chrome-extension://abcdef");
}

static void an_origin_that_no_browser_sends_is_told_why(void **state)
{
    assert_wrong(check_origin, "", "has no scheme://");
    assert_wrong(check_origin, "null", "has no scheme://");
    assert_wrong(check_origin, "shop.example", "has no scheme://");
    assert_wrong(check_origin, "*.example", "has no scheme://");
    assert_wrong(check_origin, "://shop", "has a scheme that is none");
    assert_wrong(check_origin, "1a://shop", "has a scheme that is none");
    assert_wrong(check_origin, "a b://shop", "has a scheme that is none");
    assert_wrong(check_origin, "https://", "has no host");
    assert_wrong(check_origin, "https://:443",
                 "has the scheme's default port, which browsers leave out");
    assert_wrong(check_origin, "https://:444", "has no host");
    assert_wrong(check_origin, "https://shop.example/", "has a path");
    assert_wrong(check_origin, "https://shop.example/a", "has a path");
    assert_wrong(check_origin, "https://Shop.example",
                 "has capital letters, which browsers do not send");
    assert_wrong(check_origin, "http://a:80",
                 "has the scheme's default port, which browsers leave out");
    assert_wrong(check_origin, "http://a:0", "has a port that is not 1 to 65535");
    assert_wrong(check_origin, "http://a:", "has a port that is not 1 to 65535");
    assert_wrong(check_origin, "http://a:08080", "has a port with a leading zero");
    assert_wrong(check_origin, "https://*.example",
                 "has a host with a character that no origin has");
    assert_wrong(check_origin, "https://u@shop", "has a host with a character that no origin has");
    assert_wrong(check_origin, "http://[::x]:1", "has no IPv6 address between the brackets");
}

static void a_keys_name_is_fit_for_a_log(void **state)
{
    assert_good(check_key_name, "back-end_1.EU");
    assert_wrong(check_key_name, "a b", "has a character that is not allowed in it");
    assert_wrong(check_key_name, "a\n", "has a character that is not allowed in it");
}

static void a_scope_is_one_of_four(void **state)
{
    assert_good(check_scope, "invalidate");
    assert_good(check_scope, "peer");
    assert_good(check_scope, "stats");
    assert_good(check_scope, "publish:*");
    assert_good(check_scope, "publish:orders.[ab]?");
    assert_wrong(check_scope, "publish", "does not say which channels");
    assert_wrong(check_scope, "publish:", "has no glob behind publish:");
    assert_wrong(check_scope, "Publish:*", "is not a scope");
    assert_wrong(check_scope, "stats ", "is not a scope");
    assert_wrong(check_scope, "", "is not a scope");
    assert_non_null(check_scope(span_of("publish:a\nb")));
    assert_non_null(check_scope(span_of("publish:{id}")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_listener_is_an_address_and_a_port_or_a_unix_socket),
        cmocka_unit_test(a_listener_that_is_none_is_told_why),
        cmocka_unit_test(a_tcp_listener_may_say_whether_it_speaks_tls),
        cmocka_unit_test(a_listener_is_split_into_what_it_speaks_and_where),
        cmocka_unit_test(a_network_has_no_bits_behind_its_prefix),
        cmocka_unit_test(a_unix_path_that_the_kernel_has_no_room_for_is_refused),
        cmocka_unit_test(only_loopback_and_unix_sockets_are_private),
        cmocka_unit_test(a_base_path_is_empty_or_made_of_plain_segments),
        cmocka_unit_test(a_redis_url_has_no_blanks),
        cmocka_unit_test(a_channel_prefix_is_empty_or_begins_a_channels_name),
        cmocka_unit_test(an_origin_is_what_a_browser_sends),
        cmocka_unit_test(an_origin_that_no_browser_sends_is_told_why),
        cmocka_unit_test(a_keys_name_is_fit_for_a_log),
        cmocka_unit_test(a_scope_is_one_of_four),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
