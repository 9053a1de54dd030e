/* What every fuzz target shares: the entry that libFuzzer calls, and a check that is a finding. */
#ifndef FUZZ_H
#define FUZZ_H

#include "base/span.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(promise)                                                                        \
    do {                                                                                           \
        if (!(promise)) {                                                                          \
            fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #promise);          \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/*
 * fuzz_field: takes the next field off the front of *rest, up to the separator byte 0xff (which is
 * in no UTF-8) or the end, at most `max` bytes of it. A seed can so be written by hand.
 */
static inline struct span fuzz_field(struct span *rest, size_t max)
{
    const char *end = rest->len ? memchr(rest->ptr, 0xff, rest->len) : NULL;
    struct span field = span_make(rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len);
    size_t used = field.len + (end != NULL);
    *rest = span_make(rest->len ? rest->ptr + used : NULL, rest->len - used);
    if (field.len > max)
        field.len = max;
    return field;
}

#endif
