/*
 * The client's side of one HTTP/2 connection: requests go out, bodies come in by a callback.
 * Windows are so wide that no server is held up by them. Reads and writes its link; owns nghttp2's
 * session.
 */
#ifndef SWARM_H2_H
#define SWARM_H2_H

#include "link.h"

struct h2;

/* What comes: `request` counts the connection's requests from 0. */
struct h2_events {
    void (*head)(void *ctx, uint32_t request, bool ok); /* ok: the status is 200 */
    void (*body)(void *ctx, uint32_t request, const char *bytes, size_t len);
    void (*end)(void *ctx, uint32_t request);
};

/* h2_create: everything is borrowed. */
struct h2 *h2_create(struct link *link, const struct h2_events *events, void *ctx);
void h2_destroy(struct h2 **h2);

/* h2_request: a GET; its number is that of the call. */
void h2_request(struct h2 *h2, const char *target);

/* h2_feed: what was read. h2_flush: writes; then `wants_write` says whether more is to be written.
 * False when the connection is lost. */
bool h2_feed(struct h2 *h2, const char *bytes, size_t len);
bool h2_flush(struct h2 *h2);
bool h2_wants_write(const struct h2 *h2);

#endif
