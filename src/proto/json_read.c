#include "proto/json_read.h"

#include "proto/utf8.h"

#include <string.h>

_Static_assert(JSON_READ_DEPTH <= 32, "struct json_reader.objects has one bit for each container");

static void fail(struct json_reader *r, const char *error, const char *where)
{
    if (r->error)
        return;
    r->error = error;
    r->error_at = (size_t)(where - r->begin);
}

static void fail_here(struct json_reader *r)
{
    fail(r, r->at == r->end ? "unexpected end" : "unexpected character", r->at);
}

static void skip_space(struct json_reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t'))
        r->at++;
}

/* The token of `len` bytes at the cursor has been understood. */
static void take(struct json_reader *r, size_t len)
{
    if (r->copy)
        buf_append(r->copy, r->at, len);
    r->at += len;
}

/* Takes the byte c if it comes next. */
static bool accept(struct json_reader *r, char c)
{
    skip_space(r);
    if (r->error || r->at == r->end || *r->at != c)
        return false;
    take(r, 1);
    return true;
}

static void expect(struct json_reader *r, char c)
{
    if (!accept(r, c))
        fail_here(r);
}

void json_read_begin(struct json_reader *r, struct span text)
{
    if (!text.ptr)
        text = span_of("");
    *r = (struct json_reader){.begin = text.ptr, .at = text.ptr, .end = text.ptr + text.len};
}

enum json_kind json_read_peek(struct json_reader *r)
{
    skip_space(r);
    if (r->error || r->at == r->end)
        return JSON_BAD;
    switch (*r->at) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
    case 'f':
        return JSON_LITERAL;
    case 'n':
        return JSON_NULL;
    default:
        return *r->at == '-' || (*r->at >= '0' && *r->at <= '9') ? JSON_NUMBER : JSON_BAD;
    }
}

void json_read_enter(struct json_reader *r)
{
    enum json_kind kind = json_read_peek(r);
    if (kind != JSON_OBJECT && kind != JSON_ARRAY) {
        fail_here(r);
        return;
    }
    if (r->depth == JSON_READ_DEPTH) {
        fail(r, "nested too deeply", r->at);
        return;
    }
    uint32_t bit = UINT32_C(1) << r->depth++;
    r->objects = kind == JSON_OBJECT ? r->objects | bit : r->objects & ~bit;
    r->fresh = true;
    take(r, 1);
}

/* Steps to the next item of the container at hand, or out of it when `close` comes. */
static bool next_item(struct json_reader *r, char close)
{
    if (accept(r, close)) {
        r->depth--;
        r->fresh = false;
        return false;
    }
    if (!r->fresh)
        expect(r, ',');
    r->fresh = false;
    return !r->error;
}

/* How far the digits go that begin at p. */
static const char *digits_end(const struct json_reader *r, const char *p)
{
    while (p < r->end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

/* One or more digits at p; NULL when there is none, which is an error. */
static const char *some_digits(struct json_reader *r, const char *p)
{
    const char *stop = digits_end(r, p);
    if (stop > p)
        return stop;
    r->at = p;
    fail_here(r);
    return NULL;
}

static void read_number(struct json_reader *r)
{
    const char *p = r->at;
    if (*p == '-')
        p++;
    /* A number that begins with 0 has no further digits before its point. */
    p = p < r->end && *p == '0' ? p + 1 : some_digits(r, p);
    if (p && p < r->end && *p == '.')
        p = some_digits(r, p + 1);
    if (p && p < r->end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < r->end && (*p == '+' || *p == '-'))
            p++;
        p = some_digits(r, p);
    }
    if (p)
        take(r, (size_t)(p - r->at));
}

static void read_word(struct json_reader *r)
{
    static const char *const words[] = {"true", "false", "null"};
    struct span rest = span_make(r->at, (size_t)(r->end - r->at));
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (span_starts(rest, words[i])) {
            take(r, strlen(words[i]));
            return;
        }
    }
    fail(r, "unexpected character", r->at);
}

/* The value of four hex digits at p, or -1. */
static int hex4(const char *p, const char *end)
{
    int value = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int c = (unsigned char)p[i];
        if (c >= '0' && c <= '9')
            c -= '0';
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            c = (c | 0x20) - 'a' + 10;
        else
            return -1;
        value = value * 16 + c;
    }
    return value;
}

/* What \c stands for; 'u' for itself, 0 when there is no such escape. */
static char unescape(char c)
{
    static const char from[] = "\"\\/bfnrtu";
    static const char to[] = "\"\\/\b\f\n\r\tu";
    const char *at = c ? strchr(from, c) : NULL;
    return at ? to[at - from] : '\0';
}

/* How long the escape at p is, or 0 when it is none. */
static size_t escape_len(const char *p, const char *end)
{
    char c = end - p < 2 ? '\0' : unescape(p[1]);
    if (c == 'u')
        return hex4(p + 2, end) < 0 ? 0 : 6;
    return c ? 2 : 0;
}

/* Runs over the string at the cursor and checks it; returns what stands between its quotes. */
static struct span scan_string(struct json_reader *r, bool *escaped)
{
    const char *start = r->at + 1;
    const char *p = start;
    *escaped = false;
    while (p < r->end && *p != '"') {
        size_t len = 1;
        if ((unsigned char)*p < 0x20) {
            fail(r, "control character in a string", p);
            return (struct span){0};
        }
        if (*p == '\\') {
            *escaped = true;
            len = escape_len(p, r->end);
        }
        if (len == 0) {
            fail(r, "bad escape in a string", p);
            return (struct span){0};
        }
        p += len;
    }
    struct span inside = span_make(start, (size_t)(p - start));
    if (p == r->end)
        fail(r, "unexpected end", p);
    else if (!utf8_valid(inside))
        fail(r, "ill-formed UTF-8 in the string", r->at);
    return inside;
}

static char *put_code_point(char *o, uint32_t c)
{
    if (c < 0x80) {
        *o++ = (char)c;
        return o;
    }
    if (c < 0x800) {
        *o++ = (char)(0xc0 | c >> 6);
    } else {
        if (c < 0x10000) {
            *o++ = (char)(0xe0 | c >> 12);
        } else {
            *o++ = (char)(0xf0 | c >> 18);
            *o++ = (char)(0x80 | (c >> 12 & 0x3f));
        }
        *o++ = (char)(0x80 | (c >> 6 & 0x3f));
    }
    *o++ = (char)(0x80 | (c & 0x3f));
    return o;
}

/* Reads the \u escape at *p, with the second half of a surrogate pair if that follows. */
static uint32_t read_code_point(const char **p, const char *end)
{
    uint32_t c = (uint32_t)hex4(*p + 2, end);
    *p += 6;
    if (c < 0xd800 || c > 0xdfff)
        return c;
    int low = end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u' ? hex4(*p + 2, end) : -1;
    if (c > 0xdbff || low < 0xdc00 || low > 0xdfff)
        return 0xfffd;
    *p += 6;
    return 0x10000 + ((c - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
}

/* No escape is shorter than what it stands for, so the length of the text is enough room. */
static void decode(struct buf *out, struct span text)
{
    const char *p = text.ptr;
    const char *end = text.ptr + text.len;
    char *start = buf_reserve(out, text.len);
    char *o = start;
    while (p < end) {
        const char *back = memchr(p, '\\', (size_t)(end - p));
        size_t plain = (size_t)((back ? back : end) - p);
        memcpy(o, p, plain);
        o += plain;
        p += plain;
        if (p == end)
            break;
        if (p[1] == 'u') {
            o = put_code_point(o, read_code_point(&p, end));
        } else {
            *o++ = unescape(p[1]);
            p += 2;
        }
    }
    out->len += (size_t)(o - start);
}

/* Reads the string that comes next; decodes it into `out` unless that is NULL. */
static void read_string(struct json_reader *r, struct buf *out)
{
    bool escaped;
    struct span text = scan_string(r, &escaped);
    if (r->error)
        return;
    take(r, text.len + 2);
    if (!out)
        return;
    if (escaped)
        decode(out, text);
    else
        buf_span(out, text);
}

void json_read_string(struct json_reader *r, struct buf *out)
{
    if (json_read_peek(r) == JSON_STRING)
        read_string(r, out);
    else
        fail_here(r);
}

static bool next_member(struct json_reader *r, struct buf *name)
{
    if (!next_item(r, '}'))
        return false;
    if (json_read_peek(r) == JSON_STRING)
        read_string(r, name);
    else
        fail_here(r);
    expect(r, ':');
    return !r->error;
}

bool json_read_member(struct json_reader *r, struct buf *name)
{
    buf_reset(name);
    return next_member(r, name);
}

bool json_read_element(struct json_reader *r)
{
    return next_item(r, ']');
}

/* Reads a scalar whole, and of a container its first byte. */
static void read_token(struct json_reader *r)
{
    switch (json_read_peek(r)) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        json_read_enter(r);
        break;
    case JSON_STRING:
        read_string(r, NULL);
        break;
    case JSON_NUMBER:
        read_number(r);
        break;
    case JSON_LITERAL:
    case JSON_NULL:
        read_word(r);
        break;
    default:
        fail_here(r);
    }
}

/* Steps to the next value within the container at hand; false when that one has ended. */
static bool next_value(struct json_reader *r)
{
    bool object = r->objects >> (r->depth - 1) & 1;
    return object ? next_member(r, NULL) : json_read_element(r);
}

void json_read_value(struct json_reader *r, struct buf *out)
{
    unsigned outside = r->depth;
    r->copy = out;
    do {
        read_token(r);
        while (!r->error && r->depth > outside && !next_value(r))
            ;
    } while (!r->error && r->depth > outside);
    r->copy = NULL;
}

void json_read_end(struct json_reader *r)
{
    skip_space(r);
    if (r->at < r->end)
        fail(r, "unexpected character", r->at);
}
