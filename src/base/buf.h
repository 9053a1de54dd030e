/*
 * A growable byte buffer. Owns its bytes; a zeroed struct is an empty buffer. Not for sharing
 * between threads.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/span.h"

#include <stdarg.h>
#include <stddef.h>

struct buf {
    char *data; /* owned */
    size_t len; /* bytes used */
    size_t cap; /* bytes allocated */
};

/* buf_reserve: makes room for `more` bytes and returns where they go; the caller adds to len. */
char *buf_reserve(struct buf *b, size_t more);
void buf_append(struct buf *b, const void *bytes, size_t len);
void buf_str(struct buf *b, const char *s);
void buf_span(struct buf *b, struct span s);
void buf_byte(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap);

/* buf_consume: drops the first `len` bytes (moves the rest down). */
void buf_consume(struct buf *b, size_t len);

/* buf_cstr: NUL-terminates behind len and returns the bytes, borrowed until the next call. */
const char *buf_cstr(struct buf *b);

/* buf_take: gives the bytes away (owned by the caller, NUL-terminated) and leaves b empty. */
char *buf_take(struct buf *b);

/* buf_reset: keeps the memory. buf_free: gives it back; the struct can be used again. */
void buf_reset(struct buf *b);
void buf_free(struct buf *b);

static inline struct span buf_view(const struct buf *b)
{
    return span_make(b->data, b->len);
}

#endif
