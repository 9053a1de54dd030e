#include "proto/http1.h"

#include "base/err.h"
#include "proto/http1_text.h"

#include <stdio.h>
#include <strings.h>

enum { NEED_MORE = 1 };

_Static_assert(HTTP1_MAX_HEADERS == 64, "a text below names the number");

/*
 * The reading of one head. Each step reads forward from `at` and decides by the bytes up to there
 * alone, so that what the front of a head was told, the whole is told too. A step returns 0,
 * NEED_MORE at the end of the bytes, or what fail() returns.
 */
struct head {
    const char *at, *end; /* borrowed */
    const struct http1_limits *limits;
    struct http1_request *req;
    struct http1_error *error;
    size_t line;           /* 0 is the request line, 1 the first header line */
    struct span authority; /* of an absolute target; ptr NULL without one */
    struct span host;      /* ptr NULL before there is one */
    bool close, persist;   /* what Connection asked for */
};

static int fail(const struct head *h, int status, const char *what)
{
    struct http1_error *e = h->error;
    e->status = status;
    if (h->line)
        snprintf(e->text, sizeof e->text, "header line %zu: %s", h->line, what);
    else
        snprintf(e->text, sizeof e->text, "request line: %s", what);
    return ERR_INVALID;
}

/* For what belongs to no line. */
static int fail_head(struct http1_error *error, int status, const char *what)
{
    snprintf(error->text, sizeof error->text, "%s", what);
    error->status = status;
    return ERR_INVALID;
}

/* Takes the bytes of a class off the front of what is left. */
static struct span take(struct head *h, enum http1_class class)
{
    const char *at = h->at;
    while (at < h->end && http1_is(*at, class))
        at++;
    struct span taken = span_make(h->at, (size_t)(at - h->at));
    h->at = at;
    return taken;
}

/* Reads a CRLF; `otherwise` says what is wrong when another byte stands there. */
static int read_line_end(struct head *h, const char *otherwise)
{
    if (h->at == h->end)
        return NEED_MORE;
    if (*h->at == '\n')
        return fail(h, 400, "a bare LF");
    if (*h->at != '\r')
        return fail(h, 400, otherwise);
    if (h->at + 1 == h->end)
        return NEED_MORE;
    if (h->at[1] != '\n')
        return fail(h, 400, "a bare CR");
    h->at += 2;
    return 0;
}

static int skip_empty_line(struct head *h)
{
    bool empty = h->at < h->end && (*h->at == '\r' || *h->at == '\n');
    return empty ? read_line_end(h, "") : 0;
}

static enum http1_method method_of(struct span name)
{
    static const char *const names[] = {
        [HTTP1_GET] = "GET",         [HTTP1_HEAD] = "HEAD",     [HTTP1_POST] = "POST",
        [HTTP1_PUT] = "PUT",         [HTTP1_DELETE] = "DELETE", [HTTP1_PATCH] = "PATCH",
        [HTTP1_OPTIONS] = "OPTIONS",
    };
    for (int m = HTTP1_GET; m < HTTP1_OTHER; m++)
        if (span_is(name, names[m]))
            return (enum http1_method)m;
    return HTTP1_OTHER;
}

static int read_method(struct head *h)
{
    struct span name = take(h, HTTP1_TOKEN);
    if (h->at == h->end)
        return NEED_MORE;
    char c = *h->at;
    if (c == '\r' || c == '\n')
        return fail(h, 400, name.len ? "ends before the target" : "is empty");
    if (c != ' ')
        return fail(h, 400, "a byte in the method that is not allowed there");
    if (!name.len)
        return fail(h, 400, "no method");
    h->at++;
    h->req->method_name = name;
    h->req->method = method_of(name);
    return 0;
}

static bool has_prefix(struct span s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.len >= n && strncasecmp(s.ptr, prefix, n) == 0;
}

/* Cuts "http://host/path" down to the path. The host is kept to be compared with Host. */
static int cut_absolute(struct head *h, struct span *target)
{
    size_t host = has_prefix(*target, "http://") ? 7 : has_prefix(*target, "https://") ? 8 : 0;
    if (!host)
        return fail(h, 400, "the target does not begin with /");
    size_t at = host;
    while (at < target->len && http1_is(target->ptr[at], HTTP1_HOST))
        at++;
    if (at == host || at == target->len || target->ptr[at] != '/')
        return fail(h, 400, "an absolute target needs a host and a path");
    h->authority = span_make(target->ptr + host, at - host);
    *target = span_make(target->ptr + at, target->len - at);
    return 0;
}

static int set_target(struct head *h, struct span target)
{
    if (!target.len)
        return fail(h, 400, "no target (or two spaces before it)");
    bool asterisk = span_is(target, "*") && h->req->method == HTTP1_OPTIONS;
    int rc = *target.ptr == '/' || asterisk ? 0 : cut_absolute(h, &target);
    if (rc)
        return rc;
    struct http1_request *req = h->req;
    req->target = req->path = target;
    const char *mark = memchr(target.ptr, '?', target.len);
    if (mark) {
        req->path.len = (size_t)(mark - target.ptr);
        req->query = span_make(mark + 1, target.len - req->path.len - 1);
    }
    return 0;
}

static int target_byte_error(const struct head *h, bool in_escape)
{
    if (*h->at == '\r' || *h->at == '\n')
        return fail(h, 400, "ends before the version");
    if (*h->at == '#')
        return fail(h, 400, "a # in the target");
    if (!http1_is(*h->at, HTTP1_TARGET) && *h->at != ' ')
        return fail(h, 400, "a control character in the target");
    return in_escape ? fail(h, 400, "a % in the target without two hex digits") : 0;
}

static int read_target(struct head *h)
{
    const char *start = h->at;
    int owed = 0; /* hex digits that a '%' still wants */
    for (; h->at < h->end && *h->at != ' '; h->at++) {
        if ((size_t)(h->at - start) == h->limits->target_bytes)
            return fail(h, 414, "the target is longer than its limit");
        if (!http1_is(*h->at, owed ? HTTP1_HEX : HTTP1_TARGET))
            return target_byte_error(h, owed);
        owed = *h->at == '%' ? 2 : owed - (owed > 0);
    }
    if (h->at == h->end)
        return NEED_MORE;
    if (owed)
        return target_byte_error(h, true);
    int rc = set_target(h, span_make(start, (size_t)(h->at - start)));
    h->at++;
    return rc;
}

static int read_version(struct head *h)
{
    static const char wrong[] = "expected HTTP/1.1 after the target and nothing else";
    static const char form[] = "HTTP/d.d";
    for (size_t i = 0; i < sizeof form - 1; i++, h->at++) {
        if (h->at == h->end)
            return NEED_MORE;
        if (form[i] == 'd' ? !http1_is(*h->at, HTTP1_DIGIT) : *h->at != form[i])
            return fail(h, 400, wrong);
    }
    if (h->at[-3] != '1' || h->at[-1] > '1')
        return fail(h, 505, "the version is neither HTTP/1.1 nor HTTP/1.0");
    h->req->minor = h->at[-1] - '0';
    return read_line_end(h, wrong);
}

static int on_host(struct head *h, struct span value)
{
    if (h->host.ptr)
        return fail(h, 400, "a second Host");
    for (size_t i = 0; i < value.len; i++)
        if (!http1_is(value.ptr[i], HTTP1_HOST))
            return fail(h, 400, "Host is not a host and port");
    h->host = value;
    return 0;
}

/* Two of them are refused even when they agree: whoever sends that has been tampered with. */
static int on_content_length(struct head *h, struct span value)
{
    if (h->req->has_content_length)
        return fail(h, 400, "a second Content-Length");
    if (h->req->chunked)
        return fail(h, 400, "Content-Length beside Transfer-Encoding");
    if (!value.len)
        return fail(h, 400, "Content-Length is empty");
    uint64_t n = 0;
    bool too_large = false;
    for (size_t i = 0; i < value.len; i++) {
        if (!http1_is(value.ptr[i], HTTP1_DIGIT))
            return fail(h, 400, "Content-Length is not just digits");
        /* Half of what fits, so that a caller may add to it. */
        too_large = too_large || n > (INT64_MAX - 9) / 10;
        n = n * 10 + (uint64_t)(value.ptr[i] - '0');
    }
    if (too_large)
        return fail(h, 413, "Content-Length is too large");
    h->req->content_length = n;
    h->req->has_content_length = true;
    return 0;
}

static int on_transfer_encoding(struct head *h, struct span value)
{
    if (h->req->chunked)
        return fail(h, 400, "a second Transfer-Encoding");
    if (h->req->has_content_length)
        return fail(h, 400, "Transfer-Encoding beside Content-Length");
    if (h->req->minor == 0)
        return fail(h, 400, "Transfer-Encoding in HTTP/1.0");
    if (!http1_is_word(value, "chunked"))
        return fail(h, 501, "a Transfer-Encoding other than chunked alone");
    h->req->chunked = true;
    return 0;
}

static int on_connection(struct head *h, struct span value)
{
    while (value.len) {
        const char *comma = memchr(value.ptr, ',', value.len);
        size_t len = comma ? (size_t)(comma - value.ptr) : value.len;
        struct span option = http1_trim(span_make(value.ptr, len));
        h->close = h->close || http1_is_word(option, "close");
        h->persist = h->persist || http1_is_word(option, "keep-alive");
        len += comma != NULL;
        value = span_make(value.ptr + len, value.len - len);
    }
    return 0;
}

static int on_expect(struct head *h, struct span value)
{
    if (!http1_is_word(value, "100-continue"))
        return fail(h, 417, "Expect is not 100-continue");
    h->req->expect_continue = h->req->minor > 0; /* RFC 9110 10.1.1: ignored in HTTP/1.0 */
    return 0;
}

/* The headers that say how to read the request; all others are only kept. */
static int heed_header(struct head *h, const struct http1_header *header)
{
    static const struct {
        const char *name;
        int (*heed)(struct head *h, struct span value);
    } heeded[] = {
        {"host", on_host},
        {"content-length", on_content_length},
        {"transfer-encoding", on_transfer_encoding},
        {"connection", on_connection},
        {"expect", on_expect},
    };
    for (size_t i = 0; i < sizeof heeded / sizeof *heeded; i++)
        if (http1_is_word(header->name, heeded[i].name))
            return heeded[i].heed(h, header->value);
    return 0;
}

static int header_name_error(const struct head *h, size_t name_len)
{
    switch (*h->at) {
    case ':':
        return name_len ? 0 : fail(h, 400, "no name before the colon");
    case ' ':
    case '\t':
        return name_len ? fail(h, 400, "a space before the colon")
                        : fail(h, 400, "begins with a space (folded lines are refused)");
    case '\r':
    case '\n':
        return fail(h, 400, "no colon");
    default:
        return fail(h, 400, "a byte in the name that is not allowed there");
    }
}

static int read_header(struct head *h)
{
    struct http1_header header = {.name = take(h, HTTP1_TOKEN)};
    if (h->at == h->end)
        return NEED_MORE;
    int rc = header_name_error(h, header.name.len);
    if (rc)
        return rc;
    h->at++;
    header.value = http1_trim(take(h, HTTP1_VALUE));
    rc = read_line_end(h, "a control character in the value");
    if (rc)
        return rc;
    h->req->headers[h->req->header_count++] = header;
    return heed_header(h, &header);
}

static int read_headers(struct head *h)
{
    for (h->line = 1;; h->line++) {
        if (h->at == h->end)
            return NEED_MORE;
        if (*h->at == '\r' || *h->at == '\n')
            return read_line_end(h, "");
        if (h->req->header_count == HTTP1_MAX_HEADERS)
            return fail(h, 431, "more than 64 headers");
        int rc = read_header(h);
        if (rc)
            return rc;
    }
}

static int conclude(struct head *h)
{
    if (!h->host.ptr && h->req->minor > 0)
        return fail_head(h->error, 400, "no Host, which HTTP/1.1 requires");
    if (h->host.ptr && h->authority.ptr && !http1_same(h->host, h->authority))
        return fail_head(h->error, 400, "Host is not the host of the target");
    h->req->keep_alive = !h->close && (h->req->minor > 0 || h->persist);
    return 0;
}

static int read_head(struct head *h)
{
    static int (*const steps[])(struct head *) = {
        skip_empty_line, read_method, read_target, read_version, read_headers, conclude,
    };
    int rc = 0;
    for (size_t i = 0; !rc && i < sizeof steps / sizeof *steps; i++)
        rc = steps[i](h);
    return rc;
}

int http1_parse_head(struct span bytes, const struct http1_limits *limits,
                     struct http1_request *out, size_t *consumed, struct http1_error *error)
{
    if (!bytes.len)
        return NEED_MORE;
    bool full = bytes.len >= limits->head_bytes;
    struct http1_request req = {0};
    struct head h = {
        .at = bytes.ptr,
        .end = bytes.ptr + (full ? limits->head_bytes : bytes.len),
        .limits = limits,
        .req = &req,
        .error = error,
    };
    int rc = read_head(&h);
    if (rc == NEED_MORE && full)
        return fail_head(error, 431, "the head is longer than its limit");
    if (rc)
        return rc;
    *out = req;
    *consumed = (size_t)(h.at - bytes.ptr);
    return 0;
}

struct span http1_header(const struct http1_request *req, const char *name)
{
    for (size_t i = 0; i < req->header_count; i++)
        if (http1_is_word(req->headers[i].name, name))
            return req->headers[i].value;
    return span_make(NULL, 0);
}
