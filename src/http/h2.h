/*
 * HTTP/2 on a connection (RFC 9113), by nghttp2. The connection keeps its socket and is in
 * CONN_SESSION; each request on it is a struct conn of its own, a *part*, without a socket: for
 * exchanges, streams and endpoints it is as any connection. What parts have queued is written once
 * a loop turn, from their own queues. Lives on the worker's thread.
 *
 * A peer cannot make it hold much: HTTP2_STREAMS parts at a time, each bounded as a connection of
 * HTTP/1.1 is, heads and bodies by the same limits; one gathering of frames that the socket did not
 * take; and frames that ask for nothing (resets, pings, settings, empty data) are counted against
 * an allowance, past which the connection is told ENHANCE_YOUR_CALM and ended.
 */
#ifndef HTTP_H2_H
#define HTTP_H2_H

#include "base/span.h"
#include "http/conn.h"

#include <stdbool.h>

enum { HTTP2_STREAMS = 100 };

struct h2;        /* opaque: of one connection */
struct h2_common; /* opaque: of a worker */

struct h2_common *h2_common_create(void);
void h2_common_destroy(struct h2_common **common);

/* h2_preface: is this how HTTP/2 begins in clear? 0 no, 1 yes, -1 it may become one. */
int h2_preface(struct span bytes);

/* h2_start: the connection speaks HTTP/2 from now on; its first byte is the preface's. False, and
 * it is killed, when there is no memory. */
bool h2_start(struct conn *root);
void h2_destroy(struct h2 **h2);

/* What happens to the connection: bytes, its deadline, draining. */
void h2_input(struct h2 *h2, struct span bytes);
void h2_due(struct h2 *h2);
void h2_drain(struct h2 *h2);

/* h2_end: tells the peer to go elsewhere, and ends the connection with all its parts. */
void h2_end(struct h2 *h2);

/* h2_answer: the head of an answer, as HTTP/1.1 has it, up to its empty line; whole: nothing
 * follows. A head with a status below 200 comes before the answer. */
void h2_answer(struct conn *part, struct span head, bool whole);

/* h2_touch: the part's queue or state has changed: it is written at the end of the turn. */
void h2_touch(struct conn *part);

/* h2_flush: writes what can be, bulk within its share of this turn; h2_write_now: whosever turn it
 * is; h2_flush_all: flushes all that were touched, true if any was. */
void h2_flush(struct h2 *h2);
void h2_write_now(struct h2 *h2);
bool h2_flush_all(struct worker *w);

/* h2_leave: for conn_free of a part; resets its stream if that is still open. */
void h2_leave(struct conn *part);

/* h2_stalled: for a part whose head does not come to its end, which stops all the others. */
void h2_stalled(struct conn *part);

#endif
