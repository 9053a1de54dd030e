/*
 * A borrowed run of bytes: not terminated, not owned, may hold NUL. With len 0 `ptr` may be NULL.
 */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct span {
    const char *ptr; /* borrowed */
    size_t len;      /* bytes */
};

static inline struct span span_of(const char *s)
{
    return (struct span){.ptr = s, .len = s ? strlen(s) : 0};
}

static inline struct span span_make(const char *ptr, size_t len)
{
    return (struct span){.ptr = ptr, .len = len};
}

static inline bool span_eq(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool span_is(struct span a, const char *s)
{
    return span_eq(a, span_of(s));
}

static inline bool span_starts(struct span a, const char *prefix)
{
    size_t n = strlen(prefix);
    return a.len >= n && memcmp(a.ptr, prefix, n) == 0;
}

#endif
