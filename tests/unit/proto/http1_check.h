/* What the tests of http1 share: heads as tables, each tried whole, cut short and with more behind.
 */
#ifndef HTTP1_CHECK_H
#define HTTP1_CHECK_H

#include "base/err.h"
#include "base/mem.h"
#include "proto/http1.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A string literal that may hold NUL. */
#define BYTES(literal)                                                                             \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }
#define GET    "GET / HTTP/1.1\r\n"
#define HOST   "Host: a\r\n"
#define POST   "POST / HTTP/1.1\r\nHost: a\r\n"
#define POST_0 "POST / HTTP/1.0\r\n"

struct bad_head {
    struct span bytes;
    int status;
    const char *text;
};

static const struct http1_limits usual_limits = {.target_bytes = 8192, .head_bytes = 16384};

/* Parses a copy that ends where the bytes end, so that a read beyond is seen. The error is cleared
 * first. */
static int parse_exact(struct span bytes, const struct http1_limits *limits,
                       struct http1_error *error)
{
    struct http1_request req;
    size_t consumed = 0;
    char *copy = mem_alloc(bytes.len ? bytes.len : 1);
    memcpy(copy, bytes.ptr, bytes.len);
    *error = (struct http1_error){0};
    int rc = http1_parse_head(span_make(copy, bytes.len), limits, &req, &consumed, error);
    mem_free(copy);
    return rc;
}

/* The front of a bad head needs more or is told what the whole is told; more bytes change nothing.
 */
static void check_bad(const struct bad_head *bad, const struct http1_limits *limits)
{
    struct http1_error error;
    for (size_t n = 0; n < bad->bytes.len; n++) {
        int rc = parse_exact(span_make(bad->bytes.ptr, n), limits, &error);
        if (rc == 1)
            continue;
        assert_int_equal(rc, ERR_INVALID);
        assert_string_equal(error.text, bad->text);
        assert_int_equal(error.status, bad->status);
    }
    assert_int_equal(parse_exact(bad->bytes, limits, &error), ERR_INVALID);
    assert_string_equal(error.text, bad->text);
    assert_int_equal(error.status, bad->status);

    struct buf longer = {0};
    buf_span(&longer, bad->bytes);
    buf_str(&longer, "\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n");
    assert_int_equal(parse_exact(buf_view(&longer), limits, &error), ERR_INVALID);
    assert_string_equal(error.text, bad->text);
    buf_free(&longer);
}

static inline void check_all_bad(const struct bad_head *bad, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_bad(&bad[i], &usual_limits);
}

/* A good head: every front of it needs more, and what follows it is left alone. Spans borrow from
 * bytes. */
static inline struct http1_request check_good(struct span bytes)
{
    struct http1_request req = {0};
    struct http1_error error;
    size_t consumed = 0;
    for (size_t n = 0; n < bytes.len; n++)
        assert_int_equal(parse_exact(span_make(bytes.ptr, n), &usual_limits, &error), 1);
    int rc = http1_parse_head(bytes, &usual_limits, &req, &consumed, &error);
    if (rc < 0)
        fail_msg("refused: %s", error.text);
    assert_int_equal(rc, 0);
    assert_int_equal(consumed, bytes.len);

    struct buf longer = {0};
    struct http1_request again;
    buf_span(&longer, bytes);
    buf_str(&longer, "\n {body}");
    assert_int_equal(http1_parse_head(buf_view(&longer), &usual_limits, &again, &consumed, &error),
                     0);
    assert_int_equal(consumed, bytes.len);
    assert_int_equal(again.header_count, req.header_count);
    buf_free(&longer);
    return req;
}

static inline struct http1_request check_good_str(const char *bytes)
{
    return check_good(span_of(bytes));
}

#define assert_span(got, text)                                                                     \
    do {                                                                                           \
        struct span assert_s = (got);                                                              \
        assert_int_equal(assert_s.len, strlen(text));                                              \
        assert_memory_equal(assert_s.ptr, text, assert_s.len);                                     \
    } while (0)

#endif
