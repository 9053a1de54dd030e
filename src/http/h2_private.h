/* The inside of h2_*.c: see h2.h. */
#ifndef HTTP_H2_PRIVATE_H
#define HTTP_H2_PRIVATE_H

#include "http/h2.h"
#include "proto/http2_head.h"

#include <nghttp2/nghttp2.h>

enum {
    H2_GATHER = 64 * 1024,                  /* bytes of frames put together for one write */
    H2_GATHER_ROOM = H2_GATHER + 32 * 1024, /* and one frame more */
};

struct h2_common {
    nghttp2_session_callbacks *callbacks; /* owned */
    nghttp2_option *option;               /* owned */
    struct list dirty;                    /* sessions with something to write */
    size_t gathered;                      /* bytes in `gather`: within one h2_flush */
    bool full;                            /* `gather` has no room for the next frame */
    char gather[H2_GATHER_ROOM];
};

/* What a peer may still send that asks for nothing. */
struct h2_allowance {
    uint32_t frames;
    uint64_t updates; /* of windows: grows with what we send */
    uint64_t since_us;
};

struct h2 {
    struct conn *root;        /* borrowed: owns this */
    nghttp2_session *session; /* owned */
    struct list dirty;        /* in common->dirty */
    struct list parts;        /* of all open parts */
    uint32_t open;            /* how many */
    bool ending;              /* GOAWAY is said: nothing more is read */
    bool busy;                /* nghttp2 is on the stack */
    bool yielded;             /* has had its share of this turn: goes on in the next */
    bool draining;
    struct h2_allowance allowance;
    struct buf left;        /* gathered, but the socket took no more */
    struct http2_head head; /* of the request whose headers are coming: one at a time */
};

static inline struct h2_common *h2_common_of(const struct h2 *h2)
{
    return h2->root->worker->h2;
}

/* h2_mark: to be flushed at the end of the turn. */
void h2_mark(struct h2 *h2);

/* h2_calm: GOAWAY because of a flood, once; nothing is read any more. */
void h2_calm(struct h2 *h2);

/* h2_set_callbacks: what a session tells of requests (h2_request.c) and asks for answers
 * (h2_answer.c). */
void h2_set_request_callbacks(nghttp2_session_callbacks *callbacks);
void h2_set_answer_callbacks(nghttp2_session_callbacks *callbacks);

/* h2_part: the open part of a stream; NULL when it is gone. */
struct conn *h2_part(nghttp2_session *session, int32_t id);

#endif
