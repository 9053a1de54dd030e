#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "proto/cidr.h"

#include <stdio.h>

static void assert_printed(const char *text, const char *want)
{
    struct net_address address;
    struct buf out = {0};
    assert_int_equal(net_address_parse(span_of(text), &address), 0);
    net_address_print(&out, &address);
    assert_string_equal(buf_cstr(&out), want);
    buf_free(&out);
}

static void assert_no_address(const char *text)
{
    struct net_address address = {.bytes = {7}};
    if (net_address_parse(span_of(text), &address) != ERR_INVALID)
        fail_msg("\"%s\" was taken for an address", text);
    assert_int_equal(address.bytes[0], 7);
}

static void an_address_is_printed_in_its_shortest_form(void **state)
{
    assert_printed("192.0.2.1", "192.0.2.1");
    assert_printed("0.0.0.0", "0.0.0.0");
    assert_printed("2001:DB8:0:0:0:0:0:1", "2001:db8::1");
    assert_printed("::", "::");
    assert_printed("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                   "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
}

static void ipv4_has_one_form_however_it_was_written(void **state)
{
    struct net_address plain, mapped;
    const uint8_t want[16] = {[10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2, [15] = 1};
    assert_int_equal(net_address_parse(span_of("192.0.2.1"), &plain), 0);
    assert_int_equal(net_address_parse(span_of("::FFFF:192.0.2.1"), &mapped), 0);
    assert_memory_equal(plain.bytes, want, 16);
    assert_true(net_address_eq(&plain, &mapped));
    assert_true(net_address_is_v4(&mapped));
    assert_printed("::ffff:c000:201", "192.0.2.1");
}

static void ipv6_is_not_ipv4_because_it_ends_like_one(void **state)
{
    struct net_address address, v4;
    assert_int_equal(net_address_parse(span_of("::192.0.2.1"), &address), 0);
    assert_int_equal(net_address_parse(span_of("192.0.2.1"), &v4), 0);
    assert_false(net_address_is_v4(&address));
    assert_false(net_address_eq(&address, &v4));
}

static void what_is_not_exactly_an_address_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      " ",
                                      "192.0.2",
                                      "192.0.2.1.1",
                                      "192.0.2.256",
                                      "192.0.02.1",
                                      "0xc0.0.2.1",
                                      "192.0.2.1 ",
                                      " 192.0.2.1",
                                      "192.0.2.1:80",
                                      "[::1]",
                                      "::1%lo",
                                      "fe80::1%eth0",
                                      "1::2::3",
                                      ":::",
                                      "12345::",
                                      "1:2:3:4:5:6:7",
                                      "1:2:3:4:5:6:7:8:9",
                                      "localhost",
                                      "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_no_address(bad[i]);
}

static void an_address_ends_where_its_bytes_end(void **state)
{
    struct net_address address;
    struct buf out = {0};
    assert_int_equal(net_address_parse(span_make("10.0.0.12", 8), &address), 0);
    net_address_print(&out, &address);
    assert_string_equal(buf_cstr(&out), "10.0.0.1");
    buf_free(&out);
    assert_int_equal(net_address_parse(span_make("::1\0", 4), &address), ERR_INVALID);
    assert_int_equal(net_address_parse(span_make(NULL, 0), &address), ERR_INVALID);
}

static struct cidr parse(const char *text)
{
    struct cidr network;
    char why[CIDR_WHY_BYTES] = "";
    if (cidr_parse(span_of(text), &network, why) != 0)
        fail_msg("%s: %s", text, why);
    return network;
}

static void assert_network(const char *text, const char *want)
{
    struct cidr network = parse(text);
    struct buf out = {0};
    cidr_print(&out, &network);
    assert_string_equal(buf_cstr(&out), want);
    buf_free(&out);
}

static void assert_no_network(const char *text, const char *want)
{
    struct cidr network = {.bits = 77};
    char why[CIDR_WHY_BYTES] = "";
    if (cidr_parse(span_of(text), &network, why) != ERR_INVALID)
        fail_msg("\"%s\" was taken for a network", text);
    assert_string_equal(why, want);
    assert_int_equal(network.bits, 77);
}

static void a_network_is_an_address_and_a_prefix(void **state)
{
    assert_network("10.0.0.0/8", "10.0.0.0/8");
    assert_network("0.0.0.0/0", "0.0.0.0/0");
    assert_network("192.0.2.1/32", "192.0.2.1/32");
    assert_network("::1/128", "::1/128");
    assert_network("::/0", "::/0");
    assert_network("fd00::/8", "fd00::/8");
}

static void an_address_alone_is_a_network_of_one(void **state)
{
    assert_network("192.0.2.1", "192.0.2.1/32");
    assert_network("2001:db8::1", "2001:db8::1/128");
    assert_network("0.0.0.0", "0.0.0.0/32");
}

static void a_mapped_network_is_an_ipv4_one(void **state)
{
    assert_network("::ffff:10.0.0.0/104", "10.0.0.0/8");
    assert_network("::ffff:0:0/96", "0.0.0.0/0");
    assert_network("::ffff:192.0.2.1", "192.0.2.1/32");
}

static void bits_behind_the_prefix_are_an_error_that_names_the_network(void **state)
{
    assert_no_network("10.1.2.3/8", "has bits set behind its prefix; the network is 10.0.0.0/8");
    assert_no_network("10.0.0.1/31", "has bits set behind its prefix; the network is 10.0.0.0/31");
    assert_no_network("0.0.0.1/0", "has bits set behind its prefix; the network is 0.0.0.0/0");
    assert_no_network("192.0.2.129/25",
                      "has bits set behind its prefix; the network is 192.0.2.128/25");
    assert_no_network("2001:db8::1/33",
                      "has bits set behind its prefix; the network is 2001:db8::/33");
    assert_no_network("::ffff:10.0.0.0/90",
                      "has bits set behind its prefix; the network is ::ffc0:0:0/90");
}

static void the_longest_network_fits_into_the_phrase(void **state)
{
    assert_no_network("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/127",
                      "has bits set behind its prefix; the network is "
                      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127");
}

static void a_prefix_that_is_none_is_told(void **state)
{
    static const char *const v4[] = {"/",
                                     "/33",
                                     "/-1",
                                     "/+8",
                                     "/08",
                                     "/8 ",
                                     "/ 8",
                                     "/8/8",
                                     "/128",
                                     "/255.0.0.0",
                                     "/99999999999999999999",
                                     "/1e1"};
    for (size_t i = 0; i < sizeof(v4) / sizeof(v4[0]); i++) {
        char text[64];
        snprintf(text, sizeof(text), "10.0.0.0%s", v4[i]);
        assert_no_network(text, "has a prefix that is not 0 to 32");
    }
    assert_no_network("::/129", "has a prefix that is not 0 to 128");
    assert_no_network("::/", "has a prefix that is not 0 to 128");
    assert_no_network("::/00", "has a prefix that is not 0 to 128");
    assert_no_network("::/1x", "has a prefix that is not 0 to 128");
}

static void what_has_no_address_is_told(void **state)
{
    assert_no_network("", "is not an IP address");
    assert_no_network("loopback", "is not an IP address");
    assert_no_network("/8", "has no IP address before the slash");
    assert_no_network("10/8", "has no IP address before the slash");
    assert_no_network("10.0.0.0 /8", "has no IP address before the slash");
    assert_no_network("[::1]/128", "has no IP address before the slash");
}

static bool holds(const char *network, const char *address)
{
    struct cidr n = parse(network);
    struct net_address a;
    assert_int_equal(net_address_parse(span_of(address), &a), 0);
    return cidr_contains(&n, &a);
}

static void a_network_contains_what_shares_its_prefix(void **state)
{
    assert_true(holds("10.0.0.0/8", "10.255.255.255"));
    assert_false(holds("10.0.0.0/8", "11.0.0.0"));
    assert_false(holds("10.0.0.0/8", "9.255.255.255"));
    assert_true(holds("192.0.2.128/25", "192.0.2.255"));
    assert_false(holds("192.0.2.128/25", "192.0.2.127"));
    assert_true(holds("192.0.2.1", "192.0.2.1"));
    assert_false(holds("192.0.2.1", "192.0.2.0"));
    assert_true(holds("2001:db8::/33", "2001:db8:7fff::1"));
    assert_false(holds("2001:db8::/33", "2001:db8:8000::"));
}

static void a_mapped_address_is_in_the_ipv4_network(void **state)
{
    assert_true(holds("10.0.0.0/8", "::ffff:10.1.2.3"));
    assert_true(holds("::ffff:10.0.0.0/104", "10.1.2.3"));
}

static void an_ipv6_network_holds_no_ipv4_address_nor_the_other_way(void **state)
{
    assert_true(holds("::/0", "2001:db8::1"));
    assert_true(holds("::/0", "::"));
    assert_false(holds("::/0", "192.0.2.1"));
    assert_false(holds("::/64", "192.0.2.1"));
    assert_true(holds("0.0.0.0/0", "255.255.255.255"));
    assert_false(holds("0.0.0.0/0", "::"));
    assert_false(holds("0.0.0.0/0", "::1"));
}

static void one_network_of_many_is_enough(void **state)
{
    const struct cidr list[] = {parse("10.0.0.0/8"), parse("fd00::/8")};
    struct net_address in, out;
    assert_int_equal(net_address_parse(span_of("fd12::1"), &in), 0);
    assert_int_equal(net_address_parse(span_of("fe80::1"), &out), 0);
    assert_true(cidrs_contain(list, 2, &in));
    assert_false(cidrs_contain(list, 1, &in));
    assert_false(cidrs_contain(list, 2, &out));
    assert_false(cidrs_contain(NULL, 0, &in));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_is_printed_in_its_shortest_form),
        cmocka_unit_test(ipv4_has_one_form_however_it_was_written),
        cmocka_unit_test(ipv6_is_not_ipv4_because_it_ends_like_one),
        cmocka_unit_test(what_is_not_exactly_an_address_is_refused),
        cmocka_unit_test(an_address_ends_where_its_bytes_end),
        cmocka_unit_test(a_network_is_an_address_and_a_prefix),
        cmocka_unit_test(an_address_alone_is_a_network_of_one),
        cmocka_unit_test(a_mapped_network_is_an_ipv4_one),
        cmocka_unit_test(bits_behind_the_prefix_are_an_error_that_names_the_network),
        cmocka_unit_test(the_longest_network_fits_into_the_phrase),
        cmocka_unit_test(a_prefix_that_is_none_is_told),
        cmocka_unit_test(what_has_no_address_is_told),
        cmocka_unit_test(a_network_contains_what_shares_its_prefix),
        cmocka_unit_test(a_mapped_address_is_in_the_ipv4_network),
        cmocka_unit_test(an_ipv6_network_holds_no_ipv4_address_nor_the_other_way),
        cmocka_unit_test(one_network_of_many_is_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
