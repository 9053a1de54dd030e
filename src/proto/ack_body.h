/* The body of POST /invalidations/ack: {"session":"…","id":"…"}, or, when a peer ends of its own
 * accord, {"session":"…","peer":"app-1","close":true}. Pure; any thread. */
#ifndef PROTO_ACK_BODY_H
#define PROTO_ACK_BODY_H

#include "base/span.h"
#include "proto/invalidation.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ACK_SESSION_BYTES = 32 };

struct ack_body {
    char session[ACK_SESSION_BYTES + 1];
    char peer[INVALIDATION_PEER_BYTES + 1]; /* empty: not given */
    uint64_t id;                            /* all up to it is confirmed; 0: not given */
    bool close;                             /* the peer holds no copies any more */
};

/*
 * ack_body_parse: 0, or ERR_INVALID with one line in why that says what is wrong and where. The
 * session: 1 to 32 of a-z A-Z 0-9 . _ -. The id: as in the feed's id lines; it must be given unless
 * close is true, and then the peer must be. One too large for any id is EVENT_ID_MAX: later than
 * all. On failure *out is untouched.
 */
int ack_body_parse(struct span body, struct ack_body *out, char *why, size_t why_size);

#endif
