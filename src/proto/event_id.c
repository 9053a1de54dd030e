#include "proto/event_id.h"

#include "base/err.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

enum { PER_MS = 1000 };

static int digits(struct span text, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    if (text.len == 0 || (text.len > 1 && text.ptr[0] == '0'))
        return ERR_INVALID;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return ERR_INVALID;
        if (value <= max) /* max is far below 2^64 / 10: no step overflows */
            value = value * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    if (value > max)
        return ERR_TOO_LARGE;
    *out = value;
    return 0;
}

int event_id_parse(struct span text, uint64_t *out)
{
    uint64_t ms, rest;
    const char *dash = text.len ? memchr(text.ptr, '-', text.len) : NULL;
    if (!dash)
        return ERR_INVALID;
    size_t before = (size_t)(dash - text.ptr);
    if (digits(span_make(dash + 1, text.len - before - 1), PER_MS - 1, &rest) != 0)
        return ERR_INVALID;
    int err = digits(span_make(text.ptr, before), EVENT_ID_MAX / PER_MS, &ms);
    if (err)
        return err;
    uint64_t id = ms * PER_MS + rest;
    if (id > EVENT_ID_MAX)
        return ERR_TOO_LARGE;
    *out = id;
    return 0;
}

size_t event_id_format(char out[EVENT_ID_TEXT], uint64_t id)
{
    return (size_t)snprintf(out, EVENT_ID_TEXT, "%" PRIu64 "-%" PRIu64, id / PER_MS, id % PER_MS);
}
