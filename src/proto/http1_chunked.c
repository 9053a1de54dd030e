#include "proto/http1.h"

#include "base/err.h"
#include "proto/http1_text.h"

#include <stdio.h>

enum { MAX_SIZE_LINE = 256, MAX_TRAILERS = 8192 };

/* What the next byte belongs to. */
enum {
    SIZE_FIRST, /* 0: a zeroed struct is here */
    SIZE,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_FIRST, /* this and all below count as trailers */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
    DONE,
};

static int fail(struct http1_error *error, int status, const char *what)
{
    snprintf(error->text, sizeof error->text, "chunked body: %s", what);
    error->status = status;
    return ERR_INVALID;
}

static int expect(struct http1_chunked *s, char c, char wanted, int next, const char *otherwise,
                  struct http1_error *error)
{
    if (c != wanted)
        return fail(error, 400, otherwise);
    s->state = next;
    return 0;
}

static int hex_value(char c)
{
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* Never counts beyond `room`, so `left` cannot overflow however many digits come. */
static int add_size_digit(struct http1_chunked *s, char c, uint64_t room, struct http1_error *error)
{
    uint64_t digit = (uint64_t)hex_value(c);
    if (s->left > room / 16 || s->left * 16 + digit > room) {
        fail(error, 413, "larger than the limit");
        return ERR_TOO_LARGE;
    }
    s->left = s->left * 16 + digit;
    s->state = SIZE;
    return 0;
}

static int size_byte_error(char c, bool first, struct http1_error *error)
{
    if (c == '\n')
        return fail(error, 400, "a bare LF in a size line");
    if (first)
        return fail(error, 400, "a chunk without a size in hex digits");
    return fail(error, 400, "a chunk size that is not just hex digits");
}

/* SIZE_FIRST and SIZE. No white space: what else reads the body may think differently of it. */
static int on_size_byte(struct http1_chunked *s, char c, uint64_t room, struct http1_error *error)
{
    if (http1_is(c, HTTP1_HEX))
        return add_size_digit(s, c, room, error);
    bool first = s->state == SIZE_FIRST;
    if (first || (c != ';' && c != '\r'))
        return size_byte_error(c, first, error);
    s->state = c == ';' ? EXTENSION : SIZE_LF;
    return 0;
}

static int on_extension_byte(struct http1_chunked *s, char c, struct http1_error *error)
{
    if (http1_is(c, HTTP1_VALUE))
        return 0;
    if (c == '\n')
        return fail(error, 400, "a bare LF in a size line");
    return expect(s, c, '\r', SIZE_LF, "a control character in a chunk extension", error);
}

static int on_size_line_byte(struct http1_chunked *s, char c, uint64_t room,
                             struct http1_error *error)
{
    if (s->state == SIZE_LF) {
        s->line = 0;
        return expect(s, c, '\n', s->left ? DATA : TRAILER_FIRST, "a bare CR in a size line",
                      error);
    }
    if (c != '\r' && s->line++ == MAX_SIZE_LINE)
        return fail(error, 400, "a size line longer than 256 bytes");
    return s->state == EXTENSION ? on_extension_byte(s, c, error) : on_size_byte(s, c, room, error);
}

static int on_trailer_name_byte(struct http1_chunked *s, char c, struct http1_error *error)
{
    bool first = s->state == TRAILER_FIRST;
    if (http1_is(c, HTTP1_TOKEN)) {
        s->state = TRAILER_NAME;
        return 0;
    }
    if (first)
        return expect(s, c, '\r', END_LF, "a trailer that does not begin with a name", error);
    return expect(s, c, ':', TRAILER_VALUE, "a trailer's name is not followed by a colon", error);
}

static int on_trailer_byte(struct http1_chunked *s, char c, struct http1_error *error)
{
    if (s->trailer_bytes++ == MAX_TRAILERS)
        return fail(error, 431, "the trailers are longer than 8192 bytes");
    switch (s->state) {
    case TRAILER_VALUE:
        if (http1_is(c, HTTP1_VALUE))
            return 0;
        return expect(s, c, '\r', TRAILER_LF, "a control character in a trailer", error);
    case TRAILER_LF:
        return expect(s, c, '\n', TRAILER_FIRST, "a bare CR in a trailer", error);
    case END_LF:
        return expect(s, c, '\n', DONE, "a bare CR at the end", error);
    default:
        return on_trailer_name_byte(s, c, error);
    }
}

static int on_byte(struct http1_chunked *s, char c, uint64_t room, struct http1_error *error)
{
    if (s->state == DATA_CR)
        return expect(s, c, '\r', DATA_LF, "no CRLF after a chunk's bytes", error);
    if (s->state == DATA_LF)
        return expect(s, c, '\n', SIZE_FIRST, "no CRLF after a chunk's bytes", error);
    return s->state < DATA ? on_size_line_byte(s, c, room, error) : on_trailer_byte(s, c, error);
}

static size_t copy_data(struct http1_chunked *s, struct span bytes, struct buf *out)
{
    size_t n = bytes.len < s->left ? bytes.len : (size_t)s->left;
    buf_append(out, bytes.ptr, n);
    s->left -= n;
    if (!s->left)
        s->state = DATA_CR;
    return n;
}

int http1_chunked_feed(struct http1_chunked *state, struct span bytes, size_t *consumed,
                       struct buf *out, size_t max_bytes, struct http1_error *error)
{
    size_t at = 0;
    while (at < bytes.len && state->state != DONE) {
        if (state->state == DATA) {
            at += copy_data(state, span_make(bytes.ptr + at, bytes.len - at), out);
            continue;
        }
        size_t room = out->len < max_bytes ? max_bytes - out->len : 0;
        int rc = on_byte(state, bytes.ptr[at], room, error);
        if (rc)
            return rc;
        at++;
    }
    *consumed = at;
    return state->state == DONE ? 0 : 1;
}
