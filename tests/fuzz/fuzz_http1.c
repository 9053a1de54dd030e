/*
 * Input: a request as it comes off the wire. What http1 says of its head must follow from the bytes
 * alone: all spans lie within them, a front of the head needs more or is told what the whole is
 * told, and a smaller limit changes nothing but to refuse. Behind a head that announces chunks
 * comes the body; where there is no good head the whole input is tried as one. However it is cut
 * into pieces, the body, its end and its error stay the same.
 */
#include "base/err.h"
#include "base/mem.h"
#include "fuzz.h"
#include "proto/http1.h"

enum { MAX_INPUT = 20000, MAX_BODY = 4096, MAX_CUTS = 200 };

struct head {
    int rc;
    size_t consumed;
    struct http1_request req;
    struct http1_error error;
};

/* Of a copy of just these bytes, so that the sanitizer sees a read beyond them. Spans are not to be
 * read. */
static struct head parse_copy(struct span bytes, const struct http1_limits *limits)
{
    struct head head = {0};
    char *copy = mem_dup(bytes.ptr, bytes.len);
    copy = mem_realloc(copy, bytes.len ? bytes.len : 1);
    head.rc = http1_parse_head(span_make(copy, bytes.len), limits, &head.req, &head.consumed,
                               &head.error);
    mem_free(copy);
    return head;
}

static void check_within(struct span part, struct span whole)
{
    FUZZ_CHECK(part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

static void check_good(const struct http1_request *req, struct span head)
{
    FUZZ_CHECK(head.len >= 4 && memcmp(head.ptr + head.len - 4, "\r\n\r\n", 4) == 0);
    check_within(req->method_name, head);
    check_within(req->target, head);
    check_within(req->path, req->target);
    FUZZ_CHECK(req->path.len && req->target.ptr == req->path.ptr);
    FUZZ_CHECK(*req->path.ptr == '/' || span_is(req->target, "*"));
    FUZZ_CHECK(!memchr(req->target.ptr, ' ', req->target.len));
    if (req->query.ptr)
        check_within(req->query, req->target);
    FUZZ_CHECK(req->target.len == req->path.len + (req->query.ptr ? req->query.len + 1 : 0));
    FUZZ_CHECK(req->header_count <= HTTP1_MAX_HEADERS);
    for (size_t i = 0; i < req->header_count; i++) {
        check_within(req->headers[i].name, head);
        check_within(req->headers[i].value, head);
        FUZZ_CHECK(req->headers[i].name.len > 0);
        FUZZ_CHECK(!memchr(req->headers[i].value.ptr, '\n', req->headers[i].value.len));
    }
    FUZZ_CHECK(!req->chunked || !req->has_content_length);
    FUZZ_CHECK(!req->chunked || req->minor == 1);
    FUZZ_CHECK(req->has_content_length == (http1_header(req, "content-LENGTH").ptr != NULL));
    FUZZ_CHECK(req->chunked == (http1_header(req, "transfer-ENCODING").ptr != NULL));
    FUZZ_CHECK(req->minor == 0 || http1_header(req, "HOST").ptr);
}

/* What a front of the head is told, the whole is told too. */
static void check_fronts(struct span bytes, const struct http1_limits *limits,
                         const struct head *all)
{
    size_t step = bytes.len / MAX_CUTS + 1;
    for (size_t n = 0; n < bytes.len; n += step) {
        struct head front = parse_copy(span_make(bytes.ptr, n), limits);
        if (front.rc == 1)
            continue;
        FUZZ_CHECK(front.rc == all->rc && front.consumed == all->consumed);
        FUZZ_CHECK(front.error.status == all->error.status);
        FUZZ_CHECK(strcmp(front.error.text, all->error.text) == 0);
    }
}

static struct head check_head(struct span bytes, const struct http1_limits *limits)
{
    struct head head = {0};
    head.rc = http1_parse_head(bytes, limits, &head.req, &head.consumed, &head.error);
    FUZZ_CHECK(head.rc == 0 || head.rc == 1 || head.rc == ERR_INVALID);
    FUZZ_CHECK((head.rc == ERR_INVALID) == (head.error.status >= 400 && *head.error.text));
    FUZZ_CHECK(head.rc != 1 || bytes.len < limits->head_bytes);
    if (head.rc == 0) {
        FUZZ_CHECK(head.consumed <= bytes.len && head.consumed <= limits->head_bytes);
        check_good(&head.req, span_make(bytes.ptr, head.consumed));
    }
    check_fronts(bytes, limits, &head);
    return head;
}

struct body {
    int rc;
    size_t consumed; /* over all calls; 0 for an error */
    struct buf out;  /* owned */
    struct http1_error error;
};

/* Fed in pieces of `piece` bytes; 0 stands for pieces of sizes that grow and shrink. */
static struct body feed(struct span bytes, size_t piece, size_t max_bytes)
{
    struct http1_chunked chunked = {0};
    struct body body = {.rc = 1};
    size_t at = 0;
    for (size_t turn = 0; body.rc == 1 && at < bytes.len; turn++) {
        size_t n = piece ? piece : 1 + turn * turn % 13;
        n = n < bytes.len - at ? n : bytes.len - at;
        size_t used = 0;
        body.rc = http1_chunked_feed(&chunked, span_make(bytes.ptr + at, n), &used, &body.out,
                                     max_bytes, &body.error);
        FUZZ_CHECK(body.rc == 1 ? used == n : used <= n);
        at += used;
    }
    body.consumed = body.rc < 0 ? 0 : at;
    FUZZ_CHECK((body.rc < 0) == (body.error.status >= 400));
    FUZZ_CHECK(body.rc >= 0 || (body.rc == ERR_TOO_LARGE) == (body.error.status == 413));
    FUZZ_CHECK(body.out.len <= max_bytes && body.out.len <= bytes.len);
    return body;
}

static void check_body(struct span bytes, size_t max_bytes)
{
    struct body whole = feed(bytes, bytes.len, max_bytes);
    static const size_t pieces[] = {1, 2, 3, 7, 64, 0};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct body cut = feed(bytes, pieces[i], max_bytes);
        FUZZ_CHECK(cut.rc == whole.rc && cut.consumed == whole.consumed);
        FUZZ_CHECK(span_eq(buf_view(&cut.out), buf_view(&whole.out)));
        FUZZ_CHECK(cut.error.status == whole.error.status);
        FUZZ_CHECK(strcmp(cut.error.text, whole.error.text) == 0);
        buf_free(&cut.out);
    }
    buf_free(&whole.out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct http1_limits wide = {.target_bytes = 8192, .head_bytes = 16384};
    static const struct http1_limits narrow = {.target_bytes = 24, .head_bytes = 120};
    struct span bytes = span_make((const char *)data, size < MAX_INPUT ? size : MAX_INPUT);
    struct head head = check_head(bytes, &wide);
    struct head small = check_head(bytes, &narrow);
    if (small.rc == 0)
        FUZZ_CHECK(head.rc == 0 && head.consumed == small.consumed);

    if (head.rc == 0)
        bytes = span_make(bytes.ptr + head.consumed, bytes.len - head.consumed);
    if (head.rc < 0 || (head.rc == 0 && head.req.chunked)) {
        check_body(bytes, MAX_BODY);
        check_body(bytes, 8);
    }
    return 0;
}
