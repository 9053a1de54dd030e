#include "proto/query.h"

#include "base/err.h"
#include "base/mem.h"
#include "proto/utf8.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Decodes to `to`, which has room for text.len bytes; returns how many were written, or -1. */
static ptrdiff_t decode(char *to, struct span text, bool plus_is_space)
{
    char *at = to;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            int high = i + 2 < text.len ? hex_digit(text.ptr[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_digit(text.ptr[i + 2]) : -1;
            if (high < 0 || low < 0)
                return -1;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        *at++ = c;
    }
    return at - to;
}

int percent_decode(struct buf *out, struct span text)
{
    ptrdiff_t len = decode(buf_reserve(out, text.len), text, false);
    if (len < 0)
        return ERR_INVALID;
    out->len += (size_t)len;
    return 0;
}

/* Takes what stands before the first `end` off the front of *text, and the `end`. */
static struct span take_until(struct span *text, char end)
{
    const char *found = text->len ? memchr(text->ptr, end, text->len) : NULL;
    struct span head = *text;
    if (!found) {
        *text = span_make(text->ptr + text->len, 0);
        return head;
    }
    head.len = (size_t)(found - text->ptr);
    *text = span_make(found + 1, text->len - head.len - 1);
    return head;
}

static size_t count_params(struct span text)
{
    size_t count = 0;
    while (text.len)
        count += take_until(&text, '&').len > 0;
    return count;
}

/* out->bytes has room for all that can come: its bytes must not move, since spans point at them. */
static int decode_part(struct query *out, struct span text, struct span *part, const char **why)
{
    char *to = out->bytes.data + out->bytes.len;
    ptrdiff_t len = decode(to, text, true);
    if (len < 0) {
        *why = "has a % that is not followed by two hex digits";
        return ERR_INVALID;
    }
    *part = span_make(to, (size_t)len);
    if (!utf8_valid(*part)) {
        *why = "is not valid UTF-8 once decoded";
        return ERR_INVALID;
    }
    out->bytes.len += (size_t)len;
    return 0;
}

static int decode_params(struct query *out, struct span text, const char **why)
{
    int rc = 0;
    while (rc == 0 && text.len) {
        struct span value = take_until(&text, '&');
        if (value.len == 0)
            continue;
        struct span name = take_until(&value, '=');
        struct query_param *param = &out->params[out->count++];
        rc = decode_part(out, name, &param->name, why);
        if (rc == 0)
            rc = decode_part(out, value, &param->value, why);
    }
    return rc;
}

int query_parse(struct span text, size_t max_params, struct query *out, const char **why)
{
    size_t count = count_params(text);
    if (count > max_params) {
        *why = "has too many parameters";
        return ERR_TOO_LARGE;
    }
    struct query parsed = {.params = count ? mem_zalloc(count * sizeof(*parsed.params)) : NULL};
    buf_reserve(&parsed.bytes, text.len);
    int rc = decode_params(&parsed, text, why);
    if (rc == 0)
        *out = parsed;
    else
        query_free(&parsed);
    return rc;
}

void query_free(struct query *q)
{
    mem_free(q->params);
    buf_free(&q->bytes);
    *q = (struct query){0};
}

struct span query_get(const struct query *q, const char *name)
{
    for (size_t i = 0; i < q->count; i++)
        if (span_is(q->params[i].name, name))
            return q->params[i].value;
    return (struct span){0};
}
