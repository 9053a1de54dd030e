#include "base/buf.h"

#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>

enum { FIRST_CAP = 64 };

static void grow(struct buf *b, size_t need)
{
    size_t cap = b->cap ? b->cap : FIRST_CAP;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? SIZE_MAX : cap * 2;
    b->data = mem_realloc(b->data, cap);
    b->cap = cap;
}

char *buf_reserve(struct buf *b, size_t more)
{
    size_t need = more > SIZE_MAX - b->len ? SIZE_MAX : b->len + more;
    if (!b->data || need > b->cap)
        grow(b, need);
    return b->data + b->len;
}

void buf_append(struct buf *b, const void *bytes, size_t len)
{
    if (len == 0)
        return;
    memcpy(buf_reserve(b, len), bytes, len);
    b->len += len;
}

void buf_str(struct buf *b, const char *s)
{
    buf_append(b, s, strlen(s));
}

void buf_span(struct buf *b, struct span s)
{
    buf_append(b, s.ptr, s.len);
}

void buf_byte(struct buf *b, char c)
{
    *buf_reserve(b, 1) = c;
    b->len++;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(b, fmt, ap);
    va_end(ap);
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    buf_reserve(b, 1);
    size_t room = b->cap - b->len;
    int len = vsnprintf(b->data + b->len, room, fmt, ap);
    if (len >= 0 && (size_t)len >= room)
        vsnprintf(buf_reserve(b, (size_t)len + 1), (size_t)len + 1, fmt, again);
    va_end(again);
    if (len > 0)
        b->len += (size_t)len;
}

void buf_consume(struct buf *b, size_t len)
{
    if (len >= b->len) {
        b->len = 0;
        return;
    }
    if (len == 0)
        return;
    memmove(b->data, b->data + len, b->len - len);
    b->len -= len;
}

const char *buf_cstr(struct buf *b)
{
    *buf_reserve(b, 1) = '\0';
    return b->data;
}

char *buf_take(struct buf *b)
{
    buf_cstr(b);
    char *bytes = b->data;
    *b = (struct buf){0};
    return bytes;
}

void buf_reset(struct buf *b)
{
    b->len = 0;
}

void buf_free(struct buf *b)
{
    mem_free(b->data);
    *b = (struct buf){0};
}
