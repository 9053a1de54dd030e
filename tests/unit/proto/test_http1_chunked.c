#include "http1_check.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum { MAX_BODY = 64 };

struct outcome {
    int rc;
    size_t consumed; /* over all calls; not counted for an error */
    struct buf out;  /* owned */
    struct http1_error error;
};

/* Feeds bytes in pieces of `first` bytes and then `piece` bytes. Each is a copy of its exact size.
 */
static struct outcome feed(struct span bytes, size_t first, size_t piece, size_t max_bytes)
{
    struct http1_chunked chunked = {0};
    struct outcome o = {.rc = 1};
    for (size_t at = 0; o.rc == 1 && at < bytes.len;) {
        size_t n = at == 0 && first ? first : piece;
        n = n < bytes.len - at ? n : bytes.len - at;
        char *copy = mem_dup(bytes.ptr + at, n);
        size_t used = 0;
        o.rc = http1_chunked_feed(&chunked, span_make(copy, n), &used, &o.out, max_bytes, &o.error);
        mem_free(copy);
        if (o.rc == 1)
            assert_int_equal(used, n);
        if (o.rc >= 0)
            o.consumed += used;
        at += n;
    }
    return o;
}

static void check_same(struct outcome *a, struct outcome *b)
{
    assert_int_equal(a->rc, b->rc);
    assert_int_equal(a->out.len, b->out.len);
    if (a->out.len)
        assert_memory_equal(a->out.data, b->out.data, a->out.len);
    assert_string_equal(a->error.text, b->error.text);
    assert_int_equal(a->error.status, b->error.status);
    if (a->rc >= 0)
        assert_int_equal(a->consumed, b->consumed);
    buf_free(&b->out);
}

/* The outcome, which is the same in pieces of every size and however it is cut in two. */
static struct outcome feed_in_every_way(struct span bytes)
{
    struct outcome whole = feed(bytes, 0, bytes.len, MAX_BODY);
    for (size_t piece = 1; piece < bytes.len; piece++) {
        struct outcome o = feed(bytes, 0, piece, MAX_BODY);
        check_same(&whole, &o);
        o = feed(bytes, piece, bytes.len, MAX_BODY);
        check_same(&whole, &o);
    }
    return whole;
}

static void a_chunked_body_is_the_same_however_it_is_cut(void **state)
{
    static const struct {
        struct span bytes;
        const char *body;
        size_t rest; /* bytes behind the body's end */
    } cases[] = {
        {BYTES("0\r\n\r\n"), "", 0},
        {BYTES("5\r\nhello\r\n0\r\n\r\n"), "hello", 0},
        {BYTES("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET /"), "hello world", 5},
        {BYTES("0005\r\nhello\r\n000\r\n\r\n\r\n"), "hello", 2},
        {BYTES("a\r\n0123456789\r\nA\r\n0\r\n\r\n56789\r\n0\r\n\r\n"), "01234567890\r\n\r\n56789",
         0},
        {BYTES("1c\r\n0123456789012345678901234567\r\n0\r\n\r\n"), "0123456789012345678901234567",
         0},
        {BYTES("1F\r\n0123456789012345678901234567890\r\n0\r\n\r\n"),
         "0123456789012345678901234567890", 0},
        {BYTES("5;a=b;c=\"d \t\xff;e\"\r\nhello\r\n0;x\r\n\r\n"), "hello", 0},
        {BYTES("5;\r\nhello\r\n0; \r\n\r\n"), "hello", 0},
        {BYTES("2\r\nhi\r\n0\r\nA: b\r\nContent-Length:\t9\r\n\r\nx"), "hi", 1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct outcome o = feed_in_every_way(cases[i].bytes);
        assert_string_equal(o.error.text, "");
        assert_int_equal(o.rc, 0);
        assert_span(buf_view(&o.out), cases[i].body);
        assert_int_equal(o.consumed, cases[i].bytes.len - cases[i].rest);
        buf_free(&o.out);
    }
}

static void every_front_of_a_chunked_body_needs_more(void **state)
{
    static const struct span whole = BYTES("5;x=y\r\nhello\r\n0\r\nA: b\r\n\r\n");
    for (size_t n = 0; n < whole.len; n++) {
        struct outcome o = feed(span_make(whole.ptr, n), 0, whole.len, MAX_BODY);
        assert_int_equal(o.rc, 1);
        assert_int_equal(o.consumed, n);
        buf_free(&o.out);
    }
}

static void a_bad_chunked_body_is_refused_with_its_reason(void **state)
{
    static const char no_size[] = "chunked body: a chunk without a size in hex digits";
    static const char not_hex[] = "chunked body: a chunk size that is not just hex digits";
    static const char no_crlf[] = "chunked body: no CRLF after a chunk's bytes";
    static const char bare_lf[] = "chunked body: a bare LF in a size line";
    static const char bare_cr[] = "chunked body: a bare CR in a size line";
    static const char extension[] = "chunked body: a control character in a chunk extension";
    static const char no_name[] = "chunked body: a trailer that does not begin with a name";
    static const char no_colon[] = "chunked body: a trailer's name is not followed by a colon";
    static const char control[] = "chunked body: a control character in a trailer";
    static const char too_large[] = "chunked body: larger than the limit";
    static const struct {
        struct span bytes;
        int status;
        const char *text, *body;
    } cases[] = {
        {BYTES("\r\n"), 400, no_size, ""},
        {BYTES(";x\r\n"), 400, no_size, ""},
        {BYTES(" 5\r\nhello"), 400, no_size, ""},
        {BYTES("+5\r\nhello"), 400, no_size, ""},
        {BYTES("-5\r\nhello"), 400, no_size, ""},
        {BYTES("\n"), 400, bare_lf, ""},
        {BYTES("5 \r\nhello"), 400, not_hex, ""},
        {BYTES("5 ;x\r\nhello"), 400, not_hex, ""},
        {BYTES("5\t\r\nhello"), 400, not_hex, ""},
        {BYTES("0x5\r\nhello"), 400, not_hex, ""},
        {BYTES("5g\r\nhello"), 400, not_hex, ""},
        {BYTES("5_0\r\nhello"), 400, not_hex, ""},
        {BYTES("5\0\r\nhello"), 400, not_hex, ""},
        {BYTES("5\nhello"), 400, bare_lf, ""},
        {BYTES("5\rhello"), 400, bare_cr, ""},
        {BYTES("5\r\r\nhello"), 400, bare_cr, ""},
        {BYTES("5;\nhello"), 400, bare_lf, ""},
        {BYTES("5;a\rb\r\nhello"), 400, bare_cr, ""},
        {BYTES("5;a\0\r\nhello"), 400, extension, ""},
        {BYTES("5\r\nhello0\r\n\r\n"), 400, no_crlf, "hello"},
        {BYTES("5\r\nhelloX\r\n0\r\n\r\n"), 400, no_crlf, "hello"},
        {BYTES("5\r\nhello\n0\r\n\r\n"), 400, no_crlf, "hello"},
        {BYTES("5\r\nhello\rX0\r\n\r\n"), 400, no_crlf, "hello"},
        {BYTES("5\r\nhello\r\n\r\n0\r\n\r\n"), 400, no_size, "hello"},
        {BYTES("0\r\n\n"), 400, no_name, ""},
        {BYTES("0\r\n folded: x\r\n"), 400, no_name, ""},
        {BYTES("0\r\n: x\r\n"), 400, no_name, ""},
        {BYTES("0\r\nA : x\r\n"), 400, no_colon, ""},
        {BYTES("0\r\nA\r\n"), 400, no_colon, ""},
        {BYTES("0\r\nGET / HTTP/1.1\r\n"), 400, no_colon, ""},
        {BYTES("0\r\nA: \0\r\n"), 400, control, ""},
        {BYTES("0\r\nA: b\n"), 400, control, ""},
        {BYTES("0\r\nA: b\rX"), 400, "chunked body: a bare CR in a trailer", ""},
        {BYTES("0\r\nA: b\r\n c\r\n\r\n"), 400, no_name, ""},
        {BYTES("0\r\n\rX"), 400, "chunked body: a bare CR at the end", ""},
        {BYTES("41\r\n"), 413, too_large, ""},
        {BYTES("fffffffffffffffff\r\n"), 413, too_large, ""},
        {BYTES("10000000000000005\r\nhello"), 413, too_large, ""},
        {BYTES("5\r\nhello\r\n3c\r\n"), 413, too_large, "hello"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct outcome o = feed_in_every_way(cases[i].bytes);
        assert_string_equal(o.error.text, cases[i].text);
        assert_int_equal(o.error.status, cases[i].status);
        assert_int_equal(o.rc, cases[i].status == 413 ? ERR_TOO_LARGE : ERR_INVALID);
        assert_span(buf_view(&o.out), cases[i].body);
        buf_free(&o.out);
    }
}

static void a_body_may_fill_its_limit_to_the_byte(void **state)
{
    static const struct span body = BYTES("5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n");
    struct outcome o = feed(body, 0, 3, 10);
    assert_int_equal(o.rc, 0);
    assert_int_equal(o.out.len, 10);
    buf_free(&o.out);
    o = feed(body, 0, 3, 9);
    assert_int_equal(o.rc, ERR_TOO_LARGE);
    assert_span(buf_view(&o.out), "hello");
    buf_free(&o.out);
    o = feed(body, 0, 3, 0);
    assert_int_equal(o.rc, ERR_TOO_LARGE);
    assert_int_equal(o.out.len, 0);
}

static void a_size_that_wraps_around_is_too_large_even_without_a_limit(void **state)
{
    static const struct span sizes[] = {BYTES("10000000000000000\r\n"), BYTES("fffffffffffffffff"),
                                        BYTES("100000000000000000000000000000005\r\nhello")};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct outcome o = feed(sizes[i], 0, sizes[i].len, SIZE_MAX);
        assert_int_equal(o.rc, ERR_TOO_LARGE);
        assert_int_equal(o.error.status, 413);
    }
    struct outcome o = feed((struct span)BYTES("ffffffffffffffff\r\nx"), 0, 1, SIZE_MAX);
    assert_int_equal(o.rc, 1);
    assert_int_equal(o.out.len, 1);
    buf_free(&o.out);
}

/* prefix, then `fill` many times, then suffix. */
static struct outcome feed_long(const char *prefix, char fill, size_t times, const char *suffix)
{
    struct buf bytes = {0};
    buf_str(&bytes, prefix);
    memset(buf_reserve(&bytes, times), fill, times);
    bytes.len += times;
    buf_str(&bytes, suffix);
    struct outcome o = feed(buf_view(&bytes), 0, 7, MAX_BODY);
    struct outcome whole = feed(buf_view(&bytes), 0, bytes.len, MAX_BODY);
    check_same(&o, &whole);
    buf_free(&bytes);
    return o;
}

static void a_size_line_is_bounded(void **state)
{
    static const char text[] = "chunked body: a size line longer than 256 bytes";
    assert_int_equal(feed_long("", '0', 256, "\r\n\r\n").rc, 0);
    assert_string_equal(feed_long("", '0', 257, "\r\n\r\n").error.text, text);
    assert_int_equal(feed_long("0;", 'x', 254, "\r\n\r\n").rc, 0);
    struct outcome o = feed_long("0;", 'x', 255, "\r\n\r\n");
    assert_int_equal(o.rc, ERR_INVALID);
    assert_int_equal(o.error.status, 400);
    assert_string_equal(o.error.text, text);

    o = feed_long("1;", 'x', 254, "\r\n!\r\n0;xxxxxxxxx\r\n\r\n");
    assert_int_equal(o.rc, 0);
    assert_int_equal(o.out.len, 1);
    buf_free(&o.out);
}

static void trailers_are_bounded(void **state)
{
    enum { REST = sizeof("A:\r\n\r\n") - 1 };
    assert_int_equal(feed_long("0\r\nA:", 'x', 8192 - REST, "\r\n\r\n").rc, 0);
    struct outcome o = feed_long("0\r\nA:", 'x', 8193 - REST, "\r\n\r\n");
    assert_int_equal(o.rc, ERR_INVALID);
    assert_int_equal(o.error.status, 431);
    assert_string_equal(o.error.text, "chunked body: the trailers are longer than 8192 bytes");
}

static void nothing_is_consumed_after_the_end(void **state)
{
    struct http1_chunked chunked = {0};
    struct buf out = {0};
    struct http1_error error;
    size_t consumed = 7;
    assert_int_equal(http1_chunked_feed(&chunked, span_of("0\r\n\r\n"), &consumed, &out, 1, &error),
                     0);
    assert_int_equal(consumed, 5);
    assert_int_equal(http1_chunked_feed(&chunked, span_of("0\r\n\r\n"), &consumed, &out, 1, &error),
                     0);
    assert_int_equal(consumed, 0);
    struct http1_chunked fresh = {0};
    assert_int_equal(http1_chunked_feed(&fresh, span_make(NULL, 0), &consumed, &out, 1, &error), 1);
    assert_null(out.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chunked_body_is_the_same_however_it_is_cut),
        cmocka_unit_test(every_front_of_a_chunked_body_needs_more),
        cmocka_unit_test(a_bad_chunked_body_is_refused_with_its_reason),
        cmocka_unit_test(a_body_may_fill_its_limit_to_the_byte),
        cmocka_unit_test(a_size_that_wraps_around_is_too_large_even_without_a_limit),
        cmocka_unit_test(a_size_line_is_bounded),
        cmocka_unit_test(trailers_are_bounded),
        cmocka_unit_test(nothing_is_consumed_after_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
