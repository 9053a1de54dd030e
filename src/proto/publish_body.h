/* The body of POST /publish: {"channel":"c"|["a","b"],"event":..,"data":..,"key":..} or an array of these. */
#ifndef PROTO_PUBLISH_BODY_H
#define PROTO_PUBLISH_BODY_H

#include "base/buf.h"
#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>

struct publish_item {
    char *channel;        /* owned, may hold any bytes: */
    size_t channel_len;   /* the name is not checked here */
    struct buf event;     /* has_event says whether there is one */
    struct buf data;      /* a string as it is, other JSON compact */
    struct buf key;       /* has_key */
    bool has_event, has_key;
};

struct publish_batch {
    struct publish_item *items; /* owned; a "channel" that is an array makes one item for each */
    size_t count;
    bool single; /* the body was one object with "channel" a string: answer an object, not an array */
};

/*
 * publish_body_parse: 0, or ERR_INVALID or ERR_TOO_LARGE (over max_items) with one line in why that
 * says what is wrong and where, e.g. `body is not JSON: unexpected character at byte 17`,
 * `[2].channel: expected a string or an array of strings`, `[0].event: has a line end`,
 * `data: missing`, `[1].colour: unknown member`. Nesting is limited to 32, trailing bytes are an error.
 */
int publish_body_parse(struct span body, size_t max_items, struct publish_batch *out, char *why,
                       size_t why_size);
void publish_batch_free(struct publish_batch *b);

#endif
