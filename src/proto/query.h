/*
 * Query strings (application/x-www-form-urlencoded,
 * https://url.spec.whatwg.org/#urlencoded-parsing) and percent-encoded path segments, strictly: a %
 * without two hex digits is an error, not a guess.
 */
#ifndef PROTO_QUERY_H
#define PROTO_QUERY_H

#include "base/buf.h"
#include "base/span.h"

#include <stdbool.h>

struct query_param {
    struct span name, value; /* borrowed: point into the query's own bytes; decoded */
};

struct query {
    struct query_param *params; /* owned; in the order of the text */
    size_t count;
    struct buf bytes; /* owned */
};

/*
 * query_parse: text is what stands behind the '?', possibly empty. 0, or ERR_INVALID with a static
 * sentence in *why ("has a % that is not followed by two hex digits", "is not valid UTF-8 once
 * decoded"), or ERR_TOO_LARGE for more than max_params.
 */
int query_parse(struct span text, size_t max_params, struct query *out, const char **why);
void query_free(struct query *q);

/* query_get: the first value of that name; ptr NULL when there is none. */
struct span query_get(const struct query *q, const char *name);

/*
 * percent_decode: appends the decoded path segment ('+' stays '+'); not checked for UTF-8.
 * 0 or ERR_INVALID (then nothing was appended).
 */
int percent_decode(struct buf *out, struct span text);

#endif
