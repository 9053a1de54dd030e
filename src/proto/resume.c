#include "proto/resume.h"

#include "base/err.h"
#include "proto/event_id.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { MOST_SECONDS = 31536000, MOST_LAST = 1000 };

/* Decimal digits, as people write them, up to `most`. */
static bool read_number(struct span text, uint64_t most, uint64_t *out)
{
    uint64_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(text.ptr[i] - '0');
        if (n > most)
            return false;
    }
    *out = n;
    return text.len > 0;
}

/* An id has a dash, seconds have none. */
static bool read_since(struct span text, struct resume *out)
{
    out->from = memchr(text.ptr, '-', text.len) ? RESUME_AFTER : RESUME_SINCE;
    if (out->from == RESUME_AFTER)
        return event_id_parse(text, &out->value) == 0;
    return read_number(text, MOST_SECONDS, &out->value);
}

static bool read_last(struct span text, struct resume *out)
{
    out->from = RESUME_LAST;
    return read_number(text, MOST_LAST, &out->value) && out->value > 0;
}

int resume_parse(struct span last_id, struct span since, struct span last, struct resume *out,
                 char why[RESUME_WHY_BYTES])
{
    struct resume r = {.from = RESUME_NOW};
    const char *wrong = NULL;
    if (since.len && last.len)
        wrong = "since and last: expected one of them";
    else if (since.len && !read_since(since, &r))
        wrong = "since: expected an event id such as 1700000000000-0, or seconds, 0 to 31536000";
    else if (last.len && !read_last(last, &r))
        wrong = "last: expected a number of messages, 1 to 1000";
    if (wrong) {
        snprintf(why, RESUME_WHY_BYTES, "%s", wrong);
        return ERR_INVALID;
    }
    if (last_id.len)
        r.from = event_id_parse(last_id, &r.value) ? RESUME_UNKNOWN : RESUME_AFTER;
    if (r.from == RESUME_UNKNOWN)
        r.value = 0;
    *out = r;
    return 0;
}
