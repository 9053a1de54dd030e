/*
 * Checked casts for the `void *` of callbacks: a struct that passes as one begins with
 * `uint32_t magic`, and the callback's first line turns the pointer back with CAST_CHECKED, which
 * ends the program when it is something else. As Varnish does.
 */
#ifndef BASE_CAST_H
#define BASE_CAST_H

#include <stdint.h>

void cast_failed(const char *type, const char *where, int line) __attribute__((noreturn));

/* NOLINTBEGIN(bugprone-macro-parentheses): a type that is declared with can have none. */
#define CAST_CHECKED(type, ptr, want)                                                              \
    ({                                                                                             \
        type *cast_p = (ptr);                                                                      \
        if (!cast_p || cast_p->magic != (want))                                                    \
            cast_failed(#type, __FILE__, __LINE__);                                                \
        cast_p;                                                                                    \
    })
/* NOLINTEND(bugprone-macro-parentheses) */

#endif
