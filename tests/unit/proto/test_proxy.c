#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "proto/proxy.h"

#include <string.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4_ENDS   "\xc0\x00\x02\x01\x0a\x00\x00\x02\x30\x39\x01\xbb"
#define V6_ENDS                                                                                    \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\x30\x39" \
    "\x01\xbb"
#define BYTES(literal) span_make(literal, sizeof(literal) - 1)

static const struct proxy_header marked = {.source_port = 4711, .has_client = true};

/* Parses a copy that ends where the bytes end, so that a read beyond is seen. */
static int parse(struct span bytes, struct proxy_header *out, size_t *consumed, const char **why)
{
    char *copy = mem_alloc(bytes.len ? bytes.len : 1);
    memcpy(copy, bytes.ptr, bytes.len);
    int rc = proxy_parse(span_make(copy, bytes.len), out, consumed, why);
    mem_free(copy);
    return rc;
}

/* Each front of a good header needs more; what stands behind it is not touched. */
static struct proxy_header assert_good(struct span bytes)
{
    struct proxy_header header = marked;
    struct buf more = {0};
    const char *why = NULL;
    size_t consumed = 9999;
    for (size_t i = 0; i < bytes.len; i++)
        assert_int_equal(parse(span_make(bytes.ptr, i), &header, &consumed, &why), 1);
    assert_memory_equal(&header, &marked, sizeof(header));
    assert_int_equal(consumed, 9999);
    buf_span(&more, bytes);
    buf_str(&more, "GET / HTTP/1.1\r\n");
    assert_int_equal(parse(buf_view(&more), &header, &consumed, &why), 0);
    assert_int_equal(consumed, bytes.len);
    assert_int_equal(parse(bytes, &header, &consumed, &why), 0);
    assert_int_equal(consumed, bytes.len);
    assert_null(why);
    buf_free(&more);
    return header;
}

/* The front of a bad header needs more or is told what the whole is told; more changes nothing.
 * Returns how many bytes it took to see. */
static size_t assert_bad(struct span bytes, const char *want)
{
    size_t seen = 0;
    for (size_t i = 0; i <= bytes.len; i++) {
        struct proxy_header header = marked;
        const char *why = NULL;
        size_t consumed = 9999;
        int rc = parse(span_make(bytes.ptr, i), &header, &consumed, &why);
        if (rc == ERR_INVALID)
            assert_string_equal(why, want);
        else
            assert_int_equal(rc, seen ? ERR_INVALID : 1);
        if (rc == ERR_INVALID && !seen)
            seen = i;
        assert_memory_equal(&header, &marked, sizeof(header));
        assert_int_equal(consumed, 9999);
    }
    if (!seen)
        fail_msg("nothing was wrong, but should have been: %s", want);
    return seen;
}

static void assert_address(const struct net_address *address, const char *want)
{
    struct buf out = {0};
    net_address_print(&out, address);
    assert_string_equal(buf_cstr(&out), want);
    buf_free(&out);
}

static void assert_ends(struct span bytes, const char *source, const char *destination)
{
    struct proxy_header header = assert_good(bytes);
    assert_true(header.has_client);
    assert_address(&header.source, source);
    assert_address(&header.destination, destination);
    assert_int_equal(header.source_port, 12345);
    assert_int_equal(header.destination_port, 443);
}

static void assert_no_client(struct span bytes)
{
    const struct proxy_header none = {0};
    struct proxy_header header = assert_good(bytes);
    assert_false(header.has_client);
    assert_memory_equal(&header.source, &none.source, sizeof(none.source));
    assert_int_equal(header.source_port, 0);
}

static void a_line_names_both_ends(void **state)
{
    assert_ends(span_of("PROXY TCP4 192.0.2.1 10.0.0.2 12345 443\r\n"), "192.0.2.1", "10.0.0.2");
    assert_ends(span_of("PROXY TCP6 2001:db8::1 2001:DB8::2 12345 443\r\n"), "2001:db8::1",
                "2001:db8::2");
}

static void a_mapped_address_in_a_line_is_the_ipv4_client(void **state)
{
    assert_ends(span_of("PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 12345 443\r\n"), "192.0.2.1",
                "2001:db8::2");
}

static void the_ports_of_a_line_are_0_to_65535(void **state)
{
    struct proxy_header header = assert_good(span_of("PROXY TCP4 192.0.2.1 10.0.0.2 0 65535\r\n"));
    assert_int_equal(header.source_port, 0);
    assert_int_equal(header.destination_port, 65535);
}

static void an_unknown_client_is_none_whatever_else_the_line_says(void **state)
{
    assert_no_client(span_of("PROXY UNKNOWN\r\n"));
    assert_no_client(span_of("PROXY UNKNOWN \r\n"));
    assert_no_client(span_of("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n"));
}

static void the_longest_line_has_107_bytes(void **state)
{
    char line[108];
    memset(line, 'x', sizeof(line));
    memcpy(line, "PROXY UNKNOWN ", 14);
    memcpy(line + 105, "\r\n", 2);
    assert_no_client(span_make(line, 107));
    memcpy(line + 105, "x\r\n", 3);
    assert_bad(span_make(line, 108), "the PROXY line has more than 107 bytes");
}

static void a_line_without_end_is_told_before_107_bytes_are_there(void **state)
{
    char line[200];
    memset(line, ' ', sizeof(line));
    memcpy(line, "PROXY ", 6);
    size_t seen =
        assert_bad(span_make(line, sizeof(line)), "the PROXY line has more than 107 bytes");
    assert_true(seen <= PROXY_V1_MAX_BYTES);
}

static void a_line_has_just_these_words(void **state)
{
    static const char source[] = "the PROXY line has a source that is no address of its family";
    static const char destination[] =
        "the PROXY line has a destination that is no address of its family";
    static const char port[] = "the PROXY line has a source port that is not 0 to 65535";
    static const char end[] = "the PROXY line does not end with a port of 0 to 65535";
    static const char family[] = "the PROXY line has a family that is not TCP4, TCP6 or UNKNOWN";
    const struct {
        const char *line, *why;
    } bad[] = {
        {"PROXY \r\n", family},
        {"PROXY tcp4 192.0.2.1 10.0.0.2 1 2\r\n", family},
        {"PROXY TCP5 192.0.2.1 10.0.0.2 1 2\r\n", family},
        {"PROXY UDP4 192.0.2.1 10.0.0.2 1 2\r\n", family},
        {"PROXY  TCP4 192.0.2.1 10.0.0.2 1 2\r\n", family},
        {"PROXY UNKNOWNX\r\n", family},
        {"PROXY TCP4\r\n", source},
        {"PROXY TCP4  192.0.2.1 10.0.0.2 1 2\r\n", source},
        {"PROXY TCP4 2001:db8::1 10.0.0.2 1 2\r\n", source},
        {"PROXY TCP4 ::ffff:192.0.2.1 10.0.0.2 1 2\r\n", source},
        {"PROXY TCP4 192.0.2.01 10.0.0.2 1 2\r\n", source},
        {"PROXY TCP6 192.0.2.1 2001:db8::2 1 2\r\n", source},
        {"PROXY TCP6 [2001:db8::1] 2001:db8::2 1 2\r\n", source},
        {"PROXY TCP6 fe80::1%eth0 2001:db8::2 1 2\r\n", source},
        {"PROXY TCP4 client.example 10.0.0.2 1 2\r\n", source},
        {"PROXY TCP4 192.0.2.1\r\n", destination},
        {"PROXY TCP4 192.0.2.1  10.0.0.2 1 2\r\n", destination},
        {"PROXY TCP6 2001:db8::1 10.0.0.2 1 2\r\n", destination},
        {"PROXY TCP4 192.0.2.1 10.0.0.2\r\n", port},
        {"PROXY TCP4 192.0.2.1 10.0.0.2  1 2\r\n", port},
        {"PROXY TCP4 192.0.2.1 10.0.0.2 65536 2\r\n", port},
        {"PROXY TCP4 192.0.2.1 10.0.0.2 01 2\r\n", port},
        {"PROXY TCP4 192.0.2.1 10.0.0.2 -1 2\r\n", port},
        {"PROXY TCP4 192.0.2.1 10.0.0.2 1\r\n", end},
        {"PROXY TCP4 192.0.2.1 10.0.0.2 1 \r\n", end},
        {"PROXY TCP4 192.0.2.1 10.0.0.2 1 2 \r\n", end},
        {"PROXY TCP4 192.0.2.1 10.0.0.2 1 2 3\r\n", end},
        {"PROXY TCP4 192.0.2.1 10.0.0.2 1 100000\r\n", end},
        {"PROXY TCP4 192.0.2.1 10.0.0.2 1 00\r\n", end},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_bad(span_of(bad[i].line), bad[i].why);
}

static void a_bare_cr_or_lf_is_seen_at_once(void **state)
{
    assert_int_equal(assert_bad(span_of("PROXY TCP4\n192.0.2.1 10.0.0.2 1 2\r\n"),
                                "the PROXY line has a LF without a CR"),
                     11);
    assert_int_equal(assert_bad(span_of("PROXY UNKNOWN\rGET / HTTP/1.1\r\n"),
                                "the PROXY line has a CR without a LF"),
                     15);
}

static void what_is_no_proxy_header_is_seen_at_the_first_byte_that_differs(void **state)
{
    static const char none[] = "there is no PROXY header";
    assert_int_equal(assert_bad(span_of("GET / HTTP/1.1\r\n"), none), 1);
    assert_int_equal(assert_bad(span_of("POST / HTTP/1.1\r\n"), none), 2);
    assert_int_equal(assert_bad(span_of("PROXYTCP4 "), none), 6);
    assert_int_equal(assert_bad(span_of("proxy TCP4"), none), 1);
    assert_int_equal(assert_bad(span_of("\x16\x03\x01"), none), 1);
    assert_int_equal(assert_bad(BYTES("\r\n\r\n\0\r\nQUIT\r"), none), 12);
}

static void a_binary_header_names_both_ends(void **state)
{
    assert_ends(BYTES(SIGNATURE "\x21\x11\x00\x0c" V4_ENDS), "192.0.2.1", "10.0.0.2");
    assert_ends(BYTES(SIGNATURE "\x21\x21\x00\x24" V6_ENDS), "2001:db8::1", "2001:db8::2");
}

static void what_a_binary_header_says_besides_is_skipped(void **state)
{
    assert_ends(
        BYTES(SIGNATURE "\x21\x11\x00\x16" V4_ENDS "\x04\x00\x00\xea\x00\x04\x01\x02\x03\x04"),
        "192.0.2.1", "10.0.0.2");
    assert_ends(BYTES(SIGNATURE "\x21\x21\x00\x27" V6_ENDS "\x04\x00\x00"), "2001:db8::1",
                "2001:db8::2");
}

static void what_a_binary_header_says_besides_must_add_up(void **state)
{
    static const char why[] = "the PROXY header has a TLV that does not end where the header does";
    assert_bad(BYTES(SIGNATURE "\x21\x11\x00\x0d" V4_ENDS "\x04"), why);
    assert_bad(BYTES(SIGNATURE "\x21\x11\x00\x0e" V4_ENDS "\x04\x00"), why);
    assert_bad(BYTES(SIGNATURE "\x21\x11\x00\x0f" V4_ENDS "\x04\x00\x01"), why);
    assert_bad(BYTES(SIGNATURE "\x21\x11\x00\x13" V4_ENDS "\x04\x00\x00\x04\xff\xff\x00"), why);
}

static void a_proxy_that_speaks_for_itself_has_no_client(void **state)
{
    assert_no_client(BYTES(SIGNATURE "\x20\x00\x00\x00"));
    assert_no_client(BYTES(SIGNATURE "\x20\x11\x00\x0c" V4_ENDS));
    assert_no_client(BYTES(SIGNATURE "\x20\x11\x00\x03xyz"));
    assert_no_client(BYTES(SIGNATURE "\x20\xff\x00\x03xyz"));
}

static void a_family_that_says_nothing_has_no_client(void **state)
{
    assert_no_client(BYTES(SIGNATURE "\x21\x00\x00\x00"));
    assert_no_client(BYTES(SIGNATURE "\x21\x00\x00\x05xyzzy"));
}

static void a_client_that_did_not_come_over_tcp_counts_as_none(void **state)
{
    char unix_ends[16 + 216] = {0};
    memcpy(unix_ends, SIGNATURE "\x21\x31\x00\xd8", 16);
    assert_no_client(span_make(unix_ends, sizeof(unix_ends)));
    assert_no_client(BYTES(SIGNATURE "\x21\x12\x00\x0c" V4_ENDS));
    assert_no_client(BYTES(SIGNATURE "\x21\x22\x00\x24" V6_ENDS));
}

static void each_byte_of_a_binary_head_is_judged_when_it_comes(void **state)
{
    static const char version[] = "the PROXY header has a version that is not 2";
    static const char command[] = "the PROXY header has a command that is neither LOCAL nor PROXY";
    static const char family[] = "the PROXY header has a family that does not exist";
    assert_int_equal(assert_bad(BYTES(SIGNATURE "\x11\x11\x00\x0c"), version), 13);
    assert_int_equal(assert_bad(BYTES(SIGNATURE "\x31\x11\x00\x0c"), version), 13);
    assert_int_equal(assert_bad(BYTES(SIGNATURE "\x22\x11\x00\x0c"), command), 13);
    assert_int_equal(assert_bad(BYTES(SIGNATURE "\x2f\x11\x00\x0c"), command), 13);
    assert_int_equal(assert_bad(BYTES(SIGNATURE "\x21\x01\x00\x0c"), family), 14);
    assert_int_equal(assert_bad(BYTES(SIGNATURE "\x21\x10\x00\x0c"), family), 14);
    assert_int_equal(assert_bad(BYTES(SIGNATURE "\x21\x13\x00\x0c"), family), 14);
    assert_int_equal(assert_bad(BYTES(SIGNATURE "\x21\x41\x00\x0c"), family), 14);
}

static void a_length_is_judged_before_its_bytes_come(void **state)
{
    static const char small[] = "the PROXY header is too short for its addresses";
    static const char large[] = "the PROXY header has more than 536 bytes";
    assert_int_equal(assert_bad(BYTES(SIGNATURE "\x21\x11\x00\x0b"), small), 16);
    assert_int_equal(assert_bad(BYTES(SIGNATURE "\x21\x21\x00\x23"), small), 16);
    assert_int_equal(assert_bad(BYTES(SIGNATURE "\x21\x31\x00\xd7"), small), 16);
    assert_int_equal(assert_bad(BYTES(SIGNATURE "\x21\x11\x02\x09"), large), 16);
    assert_int_equal(assert_bad(BYTES(SIGNATURE "\x20\x00\xff\xff"), large), 16);
}

static void the_longest_binary_header_has_536_bytes(void **state)
{
    char bytes[PROXY_MAX_BYTES] = {0};
    memcpy(bytes, SIGNATURE "\x21\x11\x02\x08" V4_ENDS "\x04\x01\xf9", 31);
    assert_ends(span_make(bytes, sizeof(bytes)), "192.0.2.1", "10.0.0.2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_names_both_ends),
        cmocka_unit_test(a_mapped_address_in_a_line_is_the_ipv4_client),
        cmocka_unit_test(the_ports_of_a_line_are_0_to_65535),
        cmocka_unit_test(an_unknown_client_is_none_whatever_else_the_line_says),
        cmocka_unit_test(the_longest_line_has_107_bytes),
        cmocka_unit_test(a_line_without_end_is_told_before_107_bytes_are_there),
        cmocka_unit_test(a_line_has_just_these_words),
        cmocka_unit_test(a_bare_cr_or_lf_is_seen_at_once),
        cmocka_unit_test(what_is_no_proxy_header_is_seen_at_the_first_byte_that_differs),
        cmocka_unit_test(a_binary_header_names_both_ends),
        cmocka_unit_test(what_a_binary_header_says_besides_is_skipped),
        cmocka_unit_test(what_a_binary_header_says_besides_must_add_up),
        cmocka_unit_test(a_proxy_that_speaks_for_itself_has_no_client),
        cmocka_unit_test(a_family_that_says_nothing_has_no_client),
        cmocka_unit_test(a_client_that_did_not_come_over_tcp_counts_as_none),
        cmocka_unit_test(each_byte_of_a_binary_head_is_judged_when_it_comes),
        cmocka_unit_test(a_length_is_judged_before_its_bytes_come),
        cmocka_unit_test(the_longest_binary_header_has_536_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
