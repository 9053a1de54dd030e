#include "access/foreign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_hosts(const char *const *hosts, bool loopback)
{
    for (; *hosts; hosts++)
        if (host_is_loopback(span_of(*hosts)) != loopback)
            fail_msg("Host: %s", *hosts);
}

static void this_machines_names_and_addresses_are_loopback(void **state)
{
    static const char *const hosts[] = {"localhost",
                                        "LocalHost:8080",
                                        "app.localhost",
                                        "a.b.LOCALHOST:1",
                                        "127.0.0.1",
                                        "127.0.0.1:65535",
                                        "127.255.255.254",
                                        "[::1]",
                                        "[::1]:8080",
                                        "[0:0:0:0:0:0:0:1]",
                                        NULL};
    assert_hosts(hosts, true);
}

static void other_hosts_are_not_loopback(void **state)
{
    static const char *const hosts[] = {"shop.example",
                                        "localhost.evil.example",
                                        "evillocalhost",
                                        ".localhost.x",
                                        ".localhost",
                                        "127.0.0.1.nip.io",
                                        "128.0.0.1",
                                        "0.0.0.0",
                                        "[::]",
                                        "[::2]:80",
                                        "[::ffff:10.0.0.1]",
                                        "127.1",
                                        "2130706433",
                                        "0177.0.0.1",
                                        NULL};
    assert_hosts(hosts, false);
}

static void what_is_no_host_is_not_loopback(void **state)
{
    static const char *const hosts[] = {"",
                                        ":80",
                                        "localhost:",
                                        "localhost:65536",
                                        "localhost:000080",
                                        "localhost:8a",
                                        "localhost:80:80",
                                        "localhost/",
                                        "u@localhost",
                                        "::1",
                                        "[::1",
                                        "[]",
                                        "[",
                                        "[::1]x",
                                        "[::1]:",
                                        "[127.0.0.1]",
                                        " localhost",
                                        "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:1]",
                                        NULL};
    assert_hosts(hosts, false);
    assert_false(host_is_loopback(span_make(NULL, 0)));
    assert_false(host_is_loopback(span_make("127.0.0.1\0x", 11)));
}

static bool same(const char *origin, const char *host)
{
    return origin_is_host(span_of(origin), span_of(host));
}

static void a_page_of_the_same_loopback_host_and_port_is_the_hosts(void **state)
{
    assert_true(same("http://localhost:8080", "localhost:8080"));
    assert_true(same("http://LOCALHOST:8080", "localhost:8080"));
    assert_true(same("http://[::1]:8080", "[::1]:8080"));
    assert_true(same("https://app.localhost:8443", "app.localhost:8443"));
}

static void a_schemes_own_port_may_be_left_out_on_either_side(void **state)
{
    assert_true(same("http://127.0.0.1", "127.0.0.1"));
    assert_true(same("http://127.0.0.1", "127.0.0.1:80"));
    assert_true(same("http://127.0.0.1:80", "127.0.0.1"));
    assert_true(same("https://127.0.0.1", "127.0.0.1:443"));
    assert_false(same("https://127.0.0.1", "127.0.0.1:80"));
}

static void another_host_or_port_is_another_page(void **state)
{
    assert_false(same("http://localhost:8080", "localhost:8081"));
    assert_false(same("http://localhost:3000", "localhost"));
    assert_false(same("http://localhost:8080", "127.0.0.1:8080"));
    assert_false(same("http://evil.example", "localhost:8080"));
}

static void a_host_that_is_not_loopback_has_no_pages_here(void **state)
{
    assert_false(same("http://rebound.example:8080", "rebound.example:8080"));
}

static void what_is_no_web_origin_is_nobodys_page(void **state)
{
    assert_false(same("null", "localhost:8080"));
    assert_false(same("", "localhost:8080"));
    assert_false(same("localhost:8080", "localhost:8080"));
    assert_false(same("file://localhost:8080", "localhost:8080"));
    assert_false(same("http://localhost:8080/", "localhost:8080"));
    assert_false(same("http://", "localhost:8080"));
    assert_false(origin_is_host(span_of("http://localhost"), span_make(NULL, 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(this_machines_names_and_addresses_are_loopback),
        cmocka_unit_test(other_hosts_are_not_loopback),
        cmocka_unit_test(what_is_no_host_is_not_loopback),
        cmocka_unit_test(a_page_of_the_same_loopback_host_and_port_is_the_hosts),
        cmocka_unit_test(a_schemes_own_port_may_be_left_out_on_either_side),
        cmocka_unit_test(another_host_or_port_is_another_page),
        cmocka_unit_test(a_host_that_is_not_loopback_has_no_pages_here),
        cmocka_unit_test(what_is_no_web_origin_is_nobodys_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
