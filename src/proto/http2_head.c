#include "proto/http2_head.h"

#include "base/err.h"
#include "proto/http1_text.h"

#include <stdio.h>

enum {
    FIELD_OVERHEAD = 32, /* RFC 9113 6.5.2 */
    LIMIT_FOLD = 4,      /* so far beyond the limit a head is still answered */
};

static bool ends_a_line(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] == '\r' || s.ptr[i] == '\n' || s.ptr[i] == '\0')
            return true;
    return false;
}

/* A colon would end the name, and begin another header's. */
static bool is_name(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!http1_is(s.ptr[i], HTTP1_TOKEN))
            return false;
    return s.len > 0;
}

/* One byte beyond the limit is enough to be refused for. */
static void add_path(struct http2_head *h, const struct http1_limits *limits, struct span value)
{
    if (value.len > limits->target_bytes)
        value.len = limits->target_bytes + 1;
    buf_reset(&h->path);
    buf_span(&h->path, value);
}

static void add_host(struct http2_head *h, struct span value)
{
    h->two_hosts = h->two_hosts || (h->host.len && !http1_same(buf_view(&h->host), value));
    buf_reset(&h->host);
    buf_span(&h->host, value);
}

/* RFC 9113 8.2.3: a client may send the crumbs of one Cookie field one by one. */
static void add_cookie(struct http2_head *h, struct span value)
{
    if (h->cookie.len)
        buf_str(&h->cookie, "; ");
    buf_span(&h->cookie, value);
}

static void add_line(struct http2_head *h, struct span name, struct span value)
{
    buf_span(&h->lines, name);
    buf_str(&h->lines, ": ");
    buf_span(&h->lines, value);
    buf_str(&h->lines, "\r\n");
}

static void set(struct buf *b, struct span value)
{
    buf_reset(b);
    buf_span(b, value);
}

/* What begins with a colon says what the request is; there is no other of them. */
static void add_pseudo(struct http2_head *h, struct span name, struct span value)
{
    if (span_is(name, ":method"))
        set(&h->method, value);
    else if (span_is(name, ":authority"))
        set(&h->authority, value);
}

bool http2_head_add(struct http2_head *h, const struct http1_limits *limits, struct span name,
                    struct span value)
{
    h->bytes += name.len + value.len + FIELD_OVERHEAD;
    h->broken = h->broken || ends_a_line(value);
    if (span_is(name, ":path"))
        add_path(h, limits, value);
    if (h->bytes > limits->head_bytes)
        return h->bytes <= limits->head_bytes * LIMIT_FOLD;
    if (name.len && *name.ptr == ':') {
        add_pseudo(h, name, value);
        return true;
    }
    h->broken = h->broken || !is_name(name);
    if (http1_is_word(name, "host"))
        add_host(h, value);
    else if (http1_is_word(name, "cookie"))
        add_cookie(h, value);
    else
        add_line(h, name, value);
    return true;
}

static int fail(struct http1_error *error, int status, const char *text)
{
    error->status = status;
    snprintf(error->text, sizeof(error->text), "%s", text);
    return ERR_INVALID;
}

/* What HTTP/1.1's reader would not see, or would see otherwise. */
static int judge(const struct http2_head *h, const struct http1_limits *limits,
                 struct http1_error *error)
{
    if (h->broken)
        return fail(error, 400, "a header's name is none, or its value holds a CR, an LF or a NUL");
    if (h->path.len > limits->target_bytes)
        return fail(error, 414, ":path is longer than its limit");
    if (h->bytes > limits->head_bytes)
        return fail(error, 431, "the headers are longer than their limit");
    bool asterisk = span_is(buf_view(&h->path), "*");
    if (!h->path.len || (h->path.data[0] != '/' && !asterisk))
        return fail(error, 400, ":path does not begin with /");
    bool other =
        h->authority.len && h->host.len && !http1_same(buf_view(&h->authority), buf_view(&h->host));
    if (h->two_hosts || other)
        return fail(error, 400, "host is not the host of :authority");
    return 0;
}

static void write_text(const struct http2_head *h, struct buf *text)
{
    const struct buf *host = h->authority.len ? &h->authority : &h->host;
    buf_span(text, buf_view(&h->method));
    buf_byte(text, ' ');
    buf_span(text, buf_view(&h->path));
    buf_str(text, " HTTP/1.1\r\n");
    if (host->len) {
        buf_str(text, "host: ");
        buf_span(text, buf_view(host));
        buf_str(text, "\r\n");
    }
    buf_span(text, buf_view(&h->lines));
    if (h->cookie.len) {
        buf_str(text, "cookie: ");
        buf_span(text, buf_view(&h->cookie));
        buf_str(text, "\r\n");
    }
    buf_str(text, "\r\n");
}

int http2_head_finish(struct http2_head *h, const struct http1_limits *limits, bool body,
                      struct buf *text, struct http1_request *out, struct http1_error *error)
{
    int err = judge(h, limits, error);
    if (err)
        return err;
    write_text(h, text);
    /* The limit of the head has been kept already: this text has bytes of its own. */
    struct http1_limits of_text = {limits->target_bytes, text->len + 1};
    struct http1_request req = {0};
    size_t used = 0;
    err = http1_parse_head(buf_view(text), &of_text, &req, &used, error);
    if (err < 0)
        return err;
    if (err || used != text->len)
        return fail(error, 400, "the headers are no request");
    if (req.chunked)
        return fail(error, 400, "Transfer-Encoding has no place in HTTP/2");
    req.chunked = body && !req.has_content_length;
    *out = req;
    return 0;
}

void http2_head_free(struct http2_head *h)
{
    buf_free(&h->method);
    buf_free(&h->path);
    buf_free(&h->authority);
    buf_free(&h->host);
    buf_free(&h->cookie);
    buf_free(&h->lines);
    *h = (struct http2_head){0};
}
