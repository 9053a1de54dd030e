#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "proto/forwarded.h"

#include <string.h>

enum { MOST = 4 };

/* 10.0.0.0/8 and fd00::/8 are trusted in all tests; the peer is 10.0.0.1 unless a test says so. */
static struct cidr network(const char *text)
{
    struct cidr parsed;
    char why[CIDR_WHY_BYTES];
    assert_int_equal(cidr_parse(span_of(text), &parsed, why), 0);
    return parsed;
}

static size_t count_fields(const char *const *values, struct span *out)
{
    size_t count = 0;
    for (; values[count]; count++)
        out[count] = span_of(values[count]);
    return count;
}

static void check_from(const char *peer, const char *const *forwarded, const char *const *x,
                       enum forwarded_end want_end, const char *want)
{
    const struct cidr trusted[] = {network("10.0.0.0/8"), network("fd00::/8")};
    struct span forwarded_values[MOST], x_values[MOST];
    struct forwarded_fields fields = {.forwarded = forwarded_values, .x_forwarded_for = x_values};
    struct net_address from, client;
    struct buf out = {0};
    fields.forwarded_count = count_fields(forwarded, forwarded_values);
    fields.x_forwarded_for_count = count_fields(x, x_values);
    assert_int_equal(net_address_parse(span_of(peer), &from), 0);
    enum forwarded_end end = forwarded_client(&fields, trusted, 2, &from, &client);
    net_address_print(&out, &client);
    assert_string_equal(buf_cstr(&out), want);
    assert_int_equal(end, want_end);
    buf_free(&out);
}

#define NONE        ((const char *const[]){NULL})
#define FIELDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define PEER        FORWARDED_PEER
#define CLIENT      FORWARDED_CLIENT
#define STOPPED     FORWARDED_STOPPED

static void check_x(const char *value, enum forwarded_end end, const char *want)
{
    check_from("10.0.0.1", NONE, FIELDS(value), end, want);
}

static void check_forwarded(const char *value, enum forwarded_end end, const char *want)
{
    check_from("10.0.0.1", FIELDS(value), NONE, end, want);
}

static void a_peer_that_is_not_trusted_is_the_client_whatever_it_says(void **state)
{
    check_from("192.0.2.9", FIELDS("for=198.51.100.1"), FIELDS("198.51.100.2"), PEER, "192.0.2.9");
    check_from("2001:db8::9", NONE, FIELDS("garbage"), PEER, "2001:db8::9");
}

static void without_either_header_the_peer_is_the_client(void **state)
{
    check_from("10.0.0.1", NONE, NONE, PEER, "10.0.0.1");
    check_from("10.0.0.1", FIELDS(""), FIELDS("", " \t"), PEER, "10.0.0.1");
}

static void nobody_trusted_means_nobody_believed(void **state)
{
    const struct span value = span_of("198.51.100.1");
    const struct forwarded_fields fields = {.x_forwarded_for = &value, .x_forwarded_for_count = 1};
    struct net_address peer, client;
    assert_int_equal(net_address_parse(span_of("127.0.0.1"), &peer), 0);
    assert_int_equal(forwarded_client(&fields, NULL, 0, &peer, &client), FORWARDED_PEER);
    assert_true(net_address_eq(&peer, &client));
}

static void a_trusted_peer_says_who_connected_to_it(void **state)
{
    check_x("192.0.2.1", CLIENT, "192.0.2.1");
    check_x("2001:db8::1", CLIENT, "2001:db8::1");
    check_forwarded("for=192.0.2.1", CLIENT, "192.0.2.1");
    check_forwarded("for=\"[2001:db8::1]\"", CLIENT, "2001:db8::1");
    check_from("::ffff:10.0.0.1", NONE, FIELDS("192.0.2.1"), CLIENT, "192.0.2.1");
}

static void what_stands_left_of_the_client_is_its_own_invention(void **state)
{
    check_x("10.9.9.9, 198.51.100.7, 192.0.2.1", CLIENT, "192.0.2.1");
    check_x("<script>,,\"\\, 192.0.2.1", CLIENT, "192.0.2.1");
    check_forwarded("for=198.51.100.7, for=192.0.2.1;proto=https", CLIENT, "192.0.2.1");
    check_forwarded("=;=,,for=\"[\", for=192.0.2.1", CLIENT, "192.0.2.1");
}

static void a_quote_that_the_client_leaves_open_swallows_nothing(void **state)
{
    check_forwarded("for=\"198.51.100.7, for=192.0.2.1", CLIENT, "192.0.2.1");
    check_forwarded("for=a;x=\", for=\"[2001:db8::1]:80\"", CLIENT, "2001:db8::1");
    check_forwarded("x=\"\\, for=\"192.0.2.1\"", CLIENT, "192.0.2.1");
    check_forwarded("\", for=192.0.2.1;host=\"a,b\"", CLIENT, "192.0.2.1");
}

static void the_walk_goes_on_through_trusted_hops(void **state)
{
    check_x("198.51.100.7, 192.0.2.1, fd00::5, 10.0.0.2", CLIENT, "192.0.2.1");
    check_forwarded("for=192.0.2.1, for=\"[fd00::5]\";by=10.0.0.3,\tfor=10.0.0.2", CLIENT,
                    "192.0.2.1");
}

static void where_all_hops_are_trusted_the_leftmost_is_the_client(void **state)
{
    check_x("10.0.0.3, 10.0.0.2", CLIENT, "10.0.0.3");
    check_forwarded("for=10.0.0.3, for=10.0.0.2", CLIENT, "10.0.0.3");
}

static void fields_of_one_name_are_one_list(void **state)
{
    check_from("10.0.0.1", NONE, FIELDS("198.51.100.7", "192.0.2.1, 10.0.0.3", "10.0.0.2"), CLIENT,
               "192.0.2.1");
    check_from("10.0.0.1", FIELDS("for=\"", "for=192.0.2.1", "for=10.0.0.2"), NONE, CLIENT,
               "192.0.2.1");
}

static void headers_that_agree_are_believed(void **state)
{
    check_from("10.0.0.1", FIELDS("for=192.0.2.1"), FIELDS("192.0.2.1"), CLIENT, "192.0.2.1");
    check_from("10.0.0.1", FIELDS("for=192.0.2.1"), FIELDS("198.51.100.7, 192.0.2.1"), CLIENT,
               "192.0.2.1");
}

static void headers_that_disagree_leave_the_peer(void **state)
{
    check_from("10.0.0.1", FIELDS("for=192.0.2.1"), FIELDS("198.51.100.7"), STOPPED, "10.0.0.1");
    check_from("10.0.0.1", FIELDS("for=192.0.2.1"), FIELDS("garbage"), STOPPED, "10.0.0.1");
    check_from("10.0.0.1", FIELDS("for=10.0.0.2"), FIELDS("192.0.2.1, 10.0.0.2"), STOPPED,
               "10.0.0.1");
    check_from("10.0.0.1", FIELDS("for=unknown"), FIELDS("192.0.2.1"), STOPPED, "10.0.0.1");
}

static void a_blank_forwarded_is_not_there(void **state)
{
    check_from("10.0.0.1", FIELDS("", " \t "), FIELDS("192.0.2.1"), CLIENT, "192.0.2.1");
}

static void what_cannot_be_believed_stops_at_the_last_trusted_hop(void **state)
{
    check_x("192.0.2.1, garbage", STOPPED, "10.0.0.1");
    check_x("192.0.2.1, garbage, 10.0.0.2", STOPPED, "10.0.0.2");
    check_x("192.0.2.1, unknown, 10.0.0.2", STOPPED, "10.0.0.2");
    check_forwarded("for=192.0.2.1, for=unknown, for=10.0.0.2", STOPPED, "10.0.0.2");
    check_forwarded("for=192.0.2.1, for=_hidden, for=10.0.0.2", STOPPED, "10.0.0.2");
}

static void an_empty_element_is_not_passed_over(void **state)
{
    check_x("192.0.2.1,", STOPPED, "10.0.0.1");
    check_x("192.0.2.1,,10.0.0.2", STOPPED, "10.0.0.2");
    check_x(",10.0.0.2", STOPPED, "10.0.0.2");
    check_x(",", STOPPED, "10.0.0.1");
    check_forwarded("for=192.0.2.1, ", STOPPED, "10.0.0.1");
    check_from("10.0.0.1", NONE, FIELDS("192.0.2.1", ""), STOPPED, "10.0.0.1");
}

static void an_x_element_may_have_a_port(void **state)
{
    check_x("192.0.2.1:4711", CLIENT, "192.0.2.1");
    check_x("[2001:db8::1]", CLIENT, "2001:db8::1");
    check_x("[2001:db8::1]:4711", CLIENT, "2001:db8::1");
    check_x(" \t192.0.2.1 \t", CLIENT, "192.0.2.1");
    check_x("::ffff:192.0.2.1", CLIENT, "192.0.2.1");
}

static void an_x_element_that_is_no_address_is_not_believed(void **state)
{
    static const char *const bad[] = {"192.0.2",
                                      "192.0.2.1:",
                                      "192.0.2.1:65536",
                                      "192.0.2.1:8x",
                                      "192.0.2.1:000080",
                                      "192.0.2.1 x",
                                      "[192.0.2.1]",
                                      "[::1",
                                      "[]",
                                      "[::1]80",
                                      "[::1]:",
                                      "2001:db8::1%eth0",
                                      "for=192.0.2.1",
                                      "\"192.0.2.1\"",
                                      "unix:",
                                      "client.example",
                                      "192.0.2.1;x=y",
                                      "_hidden",
                                      "-",
                                      ":80",
                                      "192.0.2.1:_",
                                      "192.0.2.1:_a!"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        check_x(bad[i], STOPPED, "10.0.0.1");
}

static void an_element_may_have_other_pairs_and_any_case(void **state)
{
    check_forwarded("proto=https;FOR=192.0.2.1;by=\"[::1]\"", CLIENT, "192.0.2.1");
    check_forwarded("For=192.0.2.1; proto=https ;host=a.example", CLIENT, "192.0.2.1");
    check_forwarded(";;for=192.0.2.1;", CLIENT, "192.0.2.1");
    check_forwarded("for=192.0.2.1;host=\"a, for=198.51.100.7\"", CLIENT, "192.0.2.1");
    check_forwarded("for=192.0.2.1;host=\"a\\\", for=198.51.100.7;b=\\\"\"", CLIENT, "192.0.2.1");
    check_forwarded("for=192.0.2.1;host=\"a\\\\\"", CLIENT, "192.0.2.1");
}

static void a_quoted_node_may_have_a_port_and_escapes(void **state)
{
    check_forwarded("for=\"192.0.2.1:4711\"", CLIENT, "192.0.2.1");
    check_forwarded("for=\"[2001:db8::1]:4711\"", CLIENT, "2001:db8::1");
    check_forwarded("for=\"192.0.2.1:_port-1.a\"", CLIENT, "192.0.2.1");
    check_forwarded("for=\"\\1\\9\\2.0.2.1\"", CLIENT, "192.0.2.1");
    check_forwarded("for=\"\\[2001:db8::1\\]\"", CLIENT, "2001:db8::1");
}

static void a_forwarded_element_that_breaks_the_grammar_is_not_believed(void **state)
{
    static const char *const bad[] = {"for",
                                      "for=",
                                      "for =192.0.2.1",
                                      "for= 192.0.2.1",
                                      "for=192.0.2.1 x",
                                      "for=192.0.2.1:80",
                                      "for=[2001:db8::1]",
                                      "for=2001:db8::1",
                                      "for=\"2001:db8::1\"",
                                      "for=\"192.0.2.1",
                                      "for=192.0.2.1\"",
                                      "for=\"192.0.2.1\"x",
                                      "for=\"192.0.2.1\\\"",
                                      "for=\"192.0.2.1 \"",
                                      "for=\"\"",
                                      "for=192.0.2.1;proto",
                                      "for=192.0.2.1;=x",
                                      "for=192.0.2.1;proto=",
                                      "for=192.0.2.1;host=a b",
                                      "for=192.0.2.1;host=\"a\x01\"",
                                      "192.0.2.1",
                                      "proto=https",
                                      ";",
                                      "for=192.0.2.1;for=192.0.2.1",
                                      "for=198.51.100.7;proto=https;For=192.0.2.1",
                                      "for=unknown",
                                      "for=\"UNKNOWN\"",
                                      "for=\"unknown:80\"",
                                      "for=_hidden",
                                      "for=\"_hidden:80\"",
                                      "for=\"[2001:db8::1]:_\"",
                                      "for=\"[2001:db8::1%25eth0]\"",
                                      "for=client.example"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        check_forwarded(bad[i], STOPPED, "10.0.0.1");
}

static void a_node_longer_than_any_address_is_not_believed(void **state)
{
    char value[512] = "for=\"192.0.2.1";
    memset(value + strlen(value), ' ', 300);
    value[313] = '"';
    check_forwarded(value, STOPPED, "10.0.0.1");
}

static void more_hops_than_there_can_be_stop_the_walk(void **state)
{
    struct buf value = {0};
    buf_str(&value, "192.0.2.1");
    for (int i = 0; i < FORWARDED_MAX_HOPS - 1; i++)
        buf_str(&value, ",10.0.0.2");
    check_x(buf_cstr(&value), CLIENT, "192.0.2.1");
    buf_str(&value, ",10.0.0.3");
    check_x(buf_cstr(&value), STOPPED, "10.0.0.2");
    buf_free(&value);
}

static void a_value_ends_where_its_bytes_end(void **state)
{
    const struct cidr trusted = network("10.0.0.1");
    char bytes[] = {'1', '9', '2', '.', '0', '.', '2', '.', '1'};
    const struct span value = span_make(bytes, sizeof(bytes)), empty = {0};
    const struct span both[] = {value, empty};
    struct forwarded_fields fields = {.x_forwarded_for = both, .x_forwarded_for_count = 1};
    struct net_address peer, client;
    assert_int_equal(net_address_parse(span_of("10.0.0.1"), &peer), 0);
    assert_int_equal(forwarded_client(&fields, &trusted, 1, &peer, &client), FORWARDED_CLIENT);
    fields.x_forwarded_for_count = 2;
    assert_int_equal(forwarded_client(&fields, &trusted, 1, &peer, &client), FORWARDED_STOPPED);
    assert_true(net_address_eq(&peer, &client));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_that_is_not_trusted_is_the_client_whatever_it_says),
        cmocka_unit_test(without_either_header_the_peer_is_the_client),
        cmocka_unit_test(nobody_trusted_means_nobody_believed),
        cmocka_unit_test(a_trusted_peer_says_who_connected_to_it),
        cmocka_unit_test(what_stands_left_of_the_client_is_its_own_invention),
        cmocka_unit_test(a_quote_that_the_client_leaves_open_swallows_nothing),
        cmocka_unit_test(the_walk_goes_on_through_trusted_hops),
        cmocka_unit_test(where_all_hops_are_trusted_the_leftmost_is_the_client),
        cmocka_unit_test(fields_of_one_name_are_one_list),
        cmocka_unit_test(headers_that_agree_are_believed),
        cmocka_unit_test(headers_that_disagree_leave_the_peer),
        cmocka_unit_test(a_blank_forwarded_is_not_there),
        cmocka_unit_test(what_cannot_be_believed_stops_at_the_last_trusted_hop),
        cmocka_unit_test(an_empty_element_is_not_passed_over),
        cmocka_unit_test(an_x_element_may_have_a_port),
        cmocka_unit_test(an_x_element_that_is_no_address_is_not_believed),
        cmocka_unit_test(an_element_may_have_other_pairs_and_any_case),
        cmocka_unit_test(a_quoted_node_may_have_a_port_and_escapes),
        cmocka_unit_test(a_forwarded_element_that_breaks_the_grammar_is_not_believed),
        cmocka_unit_test(a_node_longer_than_any_address_is_not_believed),
        cmocka_unit_test(more_hops_than_there_can_be_stop_the_walk),
        cmocka_unit_test(a_value_ends_where_its_bytes_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
