/*
 * Where a stream is asked to begin: the last event id of a client that comes back, or the `since`
 * or `last` of one that comes for the first time. Pure; any thread.
 */
#ifndef PROTO_RESUME_H
#define PROTO_RESUME_H

#include "base/span.h"

#include <stdint.h>

enum resume_from {
    RESUME_NOW,     /* nothing was asked for */
    RESUME_AFTER,   /* `value` is an id */
    RESUME_UNKNOWN, /* the last event id is none of ours */
    RESUME_SINCE,   /* `value` seconds ago */
    RESUME_LAST,    /* the last `value` messages of each channel */
};

struct resume {
    enum resume_from from;
    uint64_t value;
};

enum { RESUME_WHY_BYTES = 160 };

/*
 * resume_parse: each of the three may be empty or have ptr NULL, which is the same. 0, or
 * ERR_INVALID with one line in why, *out untouched: `since` or `last` is malformed, or both are
 * given. People write these; a last event id is sent by machines that give up for good on an error,
 * so a malformed one is RESUME_UNKNOWN. With a last event id the other two mean nothing, since an
 * EventSource repeats them.
 */
int resume_parse(struct span last_id, struct span since, struct span last, struct resume *out,
                 char why[RESUME_WHY_BYTES]);

#endif
