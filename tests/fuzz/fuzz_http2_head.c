/*
 * Input: the fields of a request, separated by 0xff, each a name, a tab and a value. Whatever they
 * hold, what becomes of them is one request or a refusal: a field makes one header and no more, and
 * the method and the target are as they were given.
 */
#include "base/buf.h"
#include "fuzz.h"
#include "proto/http1_text.h"
#include "proto/http2_head.h"

enum { MAX_BYTES = 5000, MAX_FIELDS = 200 };

static const struct http1_limits limits = {.target_bytes = 1000, .head_bytes = 4000};

struct given {
    struct span method, path; /* of the last of them */
    size_t plain;             /* fields that become headers of their own */
    bool host, cookie;
};

static void note(struct given *g, struct span name, struct span value)
{
    if (span_is(name, ":method"))
        g->method = value;
    else if (span_is(name, ":path"))
        g->path = value;
    else if (span_is(name, ":authority"))
        g->host = g->host || value.len > 0;
    else if (name.len && *name.ptr == ':')
        return;
    else if (http1_is_word(name, "host"))
        g->host = g->host || value.len > 0;
    else if (http1_is_word(name, "cookie"))
        g->cookie = g->cookie || value.len > 0;
    else
        g->plain++;
}

static struct span value_of(struct span *field)
{
    const char *tab = field->len ? memchr(field->ptr, '\t', field->len) : NULL;
    struct span value = span_make("", 0);
    if (tab) {
        value = span_make(tab + 1, field->len - (size_t)(tab + 1 - field->ptr));
        field->len = (size_t)(tab - field->ptr);
    }
    return value;
}

static void check_within(struct span part, const struct buf *text)
{
    FUZZ_CHECK(part.ptr >= text->data && part.ptr + part.len <= text->data + text->len);
}

static void check_request(const struct given *g, const struct http1_request *req,
                          const struct buf *text, bool body)
{
    FUZZ_CHECK(span_eq(req->method_name, g->method));
    FUZZ_CHECK(span_eq(req->target, g->path));
    FUZZ_CHECK(req->header_count == g->plain + g->host + g->cookie);
    FUZZ_CHECK(g->host && req->minor == 1);
    FUZZ_CHECK(!req->chunked || (body && !req->has_content_length));
    for (size_t i = 0; i < req->header_count; i++) {
        check_within(req->headers[i].name, text);
        check_within(req->headers[i].value, text);
        FUZZ_CHECK(!memchr(req->headers[i].value.ptr, '\n', req->headers[i].value.len));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = span_make((const char *)data, size);
    struct http2_head head = {0};
    struct given given = {0};
    struct buf text = {0};
    struct http1_request req;
    struct http1_error error = {0};
    bool body = size % 2, more = true;
    for (int i = 0; more && rest.len > 0 && i < MAX_FIELDS; i++) {
        struct span name = fuzz_field(&rest, MAX_BYTES);
        struct span value = value_of(&name);
        note(&given, name, value);
        more = http2_head_add(&head, &limits, name, value);
        FUZZ_CHECK(head.lines.len <= 2 * limits.head_bytes);
        FUZZ_CHECK(head.path.len <= limits.target_bytes + 1);
    }
    if (http2_head_finish(&head, &limits, body, &text, &req, &error) == 0)
        check_request(&given, &req, &text, body);
    else
        FUZZ_CHECK(error.status >= 400 && error.status < 600 && error.text[0]);
    buf_free(&text);
    http2_head_free(&head);
    return 0;
}
