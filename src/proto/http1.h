/*
 * HTTP/1.1 requests, strictly (RFC 9110, RFC 9112): the head, and the chunked body. Pure: bytes in,
 * spans into the same bytes out. The target stays raw: who decodes and normalises it before it is
 * looked at makes another channel of it (a%2F%2Fb becomes a/b).
 */
#ifndef PROTO_HTTP1_H
#define PROTO_HTTP1_H

#include "base/buf.h"
#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum { HTTP1_MAX_HEADERS = 64 };

enum http1_method {
    HTTP1_GET,
    HTTP1_HEAD,
    HTTP1_POST,
    HTTP1_PUT,
    HTTP1_DELETE,
    HTTP1_PATCH,
    HTTP1_OPTIONS,
    HTTP1_OTHER, /* a valid token that is none of these (TRACE, CONNECT and inventions) */
};

struct http1_header {
    struct span name;  /* as sent; compare without case */
    struct span value; /* trimmed of spaces and tabs */
};

struct http1_request {
    enum http1_method method;
    struct span method_name;
    struct span target;      /* raw, as sent; begins with '/' (or is "*" for OPTIONS); an absolute
                                http://host/path (or https:) is cut down to its path and query */
    struct span path, query; /* raw; query without the '?', ptr NULL when there is no '?' */
    int minor;               /* HTTP/1.minor: 0 or 1 */
    struct http1_header headers[HTTP1_MAX_HEADERS];
    size_t header_count;
    uint64_t content_length; /* bytes of the body when not chunked; 0 when there is none */
    bool has_content_length;
    bool chunked;
    bool keep_alive;      /* what the client wants, by version and Connection */
    bool expect_continue; /* never in HTTP/1.0 */
};

struct http1_error {
    int status;     /* 400, 413, 414, 417, 431, 501 or 505 */
    char text[160]; /* what was wrong and where, e.g. "header line 3: a space before the colon" */
};

struct http1_limits {
    size_t target_bytes; /* the target as sent, longer: 414 */
    size_t head_bytes;   /* the whole head; this many without its end: 431, so a buffer of this size
                            will do; more than HTTP1_MAX_HEADERS headers: 431 */
};

/*
 * http1_parse_head: reads one head from the front of `bytes`. Returns 0 with *out and *consumed
 * (bytes of the head with its empty line); 1 when more bytes are needed; ERR_INVALID with *error
 * filled in. Errors are found as early as the bytes allow (a bad method needs no end of head; a
 * limit is noticed before the end), and more bytes never change them. Calling it again from the
 * front for each read costs little; heads are small. At most one empty line (CRLF) before the
 * request line is skipped (RFC 9112 2.2). Lines end in CRLF; a bare LF or a bare CR is an error.
 * Refused: no Host in HTTP/1.1, several, one with bytes that no host and port has, or one that is
 * not the host of an absolute target; an absolute target without a path; Content-Length that is not
 * just digits, that comes twice or is beyond 2^63 (413), Content-Length together with
 * Transfer-Encoding, a Transfer-Encoding other than "chunked" alone (501) or in HTTP/1.0, obs-fold,
 * spaces before a colon, control characters in values, bytes outside the token set in names, a
 * target with bytes below 0x21, 0x7f or '#', a '%' without two hex digits, Expect other than
 * 100-continue (417), a version other than 1.0 and 1.1 (505). 0x80..0xff in values and target are
 * let through (checked for UTF-8 where they are used).
 */
int http1_parse_head(struct span bytes, const struct http1_limits *limits,
                     struct http1_request *out, size_t *consumed, struct http1_error *error);

/* http1_header: the first header of that name (any case); ptr NULL when absent. */
struct span http1_header(const struct http1_request *req, const char *name);

/* The chunked body, incrementally. A zeroed struct is at the start. */
struct http1_chunked {
    int state;
    uint64_t left;
    uint32_t line; /* bytes of the present size line */
    uint32_t trailer_bytes;
};

/*
 * http1_chunked_feed: decodes bytes, appends body bytes to out. Returns 1 when more is needed (all
 * consumed), 0 at the end (*consumed says how many bytes belonged to it; trailers are checked and
 * dropped, at most 8 KiB, else 431; extensions are dropped, a size line has at most 256 bytes), or
 * ERR_INVALID / ERR_TOO_LARGE (413: out->len would pass max_bytes, told from the chunk's size
 * before its bytes come) with *error filled in. How the bytes are cut into calls changes nothing.
 * After an error `out` holds what came before it, and the state is not to be fed again.
 */
int http1_chunked_feed(struct http1_chunked *state, struct span bytes, size_t *consumed,
                       struct buf *out, size_t max_bytes, struct http1_error *error);

#endif
