/*
 * The head of an HTTP/2 request (RFC 9113 8.3), from its fields as HPACK gives them to the same
 * struct as an HTTP/1.1 head, by way of the same bytes: so that one reader judges both, as
 * strictly. Pure. What a connection's frames do wrong (order of pseudo-headers, upper case,
 * Connection) is for who reads the frames; here nothing of it can make a second header or a second
 * request.
 */
#ifndef PROTO_HTTP2_HEAD_H
#define PROTO_HTTP2_HEAD_H

#include "proto/http1.h"

/* A zeroed struct is an empty head. */
struct http2_head {
    struct buf method, path, authority, host, cookie; /* owned */
    struct buf lines; /* owned: all other fields, as HTTP/1.1 header lines */
    size_t bytes;     /* of all fields, each with 32 more (RFC 9113 6.5.2) */
    bool broken;      /* one had a name that is none, or a value that would end its line */
    bool two_hosts;   /* and not the same */
};

/*
 * http2_head_add: one more field; what is beyond the limits is counted and not kept. False when
 * there is so much beyond that it can only be meant badly.
 */
bool http2_head_add(struct http2_head *h, const struct http1_limits *limits, struct span name,
                    struct span value);

/*
 * http2_head_finish: all fields are there. 0 with *out, whose spans point into `text`, or
 * ERR_INVALID with *error, as http1_parse_head; req->chunked says here that a body of unknown
 * length follows. body: whether any follows.
 */
int http2_head_finish(struct http2_head *h, const struct http1_limits *limits, bool body,
                      struct buf *text, struct http1_request *out, struct http1_error *error);

void http2_head_free(struct http2_head *h);

#endif
