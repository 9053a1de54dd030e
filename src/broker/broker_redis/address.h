/*
 * From a URL to socket addresses. A host name is looked up on a short-lived thread, since
 * getaddrinfo blocks for as long as the name servers like; the answer comes on the core thread's
 * loop. At most one such thread is alive for each resolver, however long its look-up takes.
 */
#ifndef BROKER_REDIS_ADDRESS_H
#define BROKER_REDIS_ADDRESS_H

#include "broker/broker_redis/redis_url.h"

#include <stddef.h>
#include <sys/socket.h>

struct ev_loop;
struct resolver; /* opaque */

enum { ADDRESSES_MAX = 16, ADDRESS_TEXT = 192 };

struct address {
    struct sockaddr_storage bytes;
    socklen_t len;
};

/* `count` is 0 and `why` one line when nothing was found; all borrowed for the call. */
typedef void resolver_fn(void *ctx, const struct address *list, size_t count, const char *why);

/* resolver_create: owned by the caller; answers go to fn on the loop's thread. */
struct resolver *resolver_create(struct ev_loop *loop, resolver_fn *fn, void *ctx);

/* resolver_start: exactly one answer, never from within the call, unless it is cancelled. */
void resolver_start(struct resolver *r, const struct redis_url *url);
void resolver_cancel(struct resolver *r);

/* resolver_destroy: a look-up that is still under way ends by itself and is heard by nobody. */
void resolver_destroy(struct resolver **r);

/* address_text: "127.0.0.1:6379", "[::1]:6379" or the path; returns `out`. */
const char *address_text(const struct address *a, char *out, size_t out_size);

#endif
