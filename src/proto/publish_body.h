/* The body of POST /publish: {"channel":"c"|["a","b"],"event":..,"data":..,"key":..} or an array of
 * these. */
#ifndef PROTO_PUBLISH_BODY_H
#define PROTO_PUBLISH_BODY_H

#include "base/buf.h"
#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>

/* One publication. Spans are borrowed from the batch; several items may share one event, data and
 * key. */
struct publish_item {
    struct span channel; /* may hold any bytes: the name is not checked here */
    struct span
        event; /* fit for a message (sse_event_error); ptr NULL where absent, null or empty */
    struct span data; /* a string as it is, other JSON as it was written, without its white space */
    struct span key;  /* fit for a key (publish_key_error); ptr NULL where absent or null */
};

struct publish_batch {
    struct publish_item
        *items; /* owned; at least one; a "channel" that is an array makes one for each */
    size_t count;
    bool single; /* the body was one object with "channel" a string: answer an object, not an array
                  */
    struct buf text; /* owned: what the spans point into; no larger than the body, whatever the body
                        says */
};

/*
 * publish_body_parse: 0, or ERR_INVALID or ERR_TOO_LARGE (over max_items) with one line in why that
 * says what is wrong and where, e.g. `body is not JSON: unexpected character at byte 17` (the first
 * byte is 0), `[2].channel: expected a string or an array of strings`, `[0].event: has a line end`,
 * `data: missing`, `[1].colour: unknown member`, `key: given twice`. Nesting is limited to 32
 * (JSON_READ_DEPTH), trailing bytes are an error. On failure *out is untouched.
 */
int publish_body_parse(struct span body, size_t max_items, struct publish_batch *out, char *why,
                       size_t why_size);
void publish_batch_free(struct publish_batch *b);

/*
 * publish_key_error: NULL when s may be an idempotency key: 1 to 200 bytes of UTF-8 without control
 * characters; else what is wrong with it, such as "is longer than 200 bytes".
 */
const char *publish_key_error(struct span s);

#endif
