/*
 * One connection's life: dialling the addresses in turn, TLS, commands out, replies in. It knows
 * nothing of what is said. Core thread, never blocks.
 *
 * It drives hiredis's redisContext (buffers, RESP, TLS) from its own watchers and not through
 * redisAsyncContext: 0.14 closes an asynchronous connection when Redis refuses a SUBSCRIBE (an
 * error that no callback waits for), asserts on replies of odd shape, and keeps a record of each
 * channel beside ours.
 */
#ifndef BROKER_REDIS_LINK_H
#define BROKER_REDIS_LINK_H

#include "broker/broker_redis/address.h"
#include "broker/broker_redis/redis_url.h"
#include "broker/broker_redis/tls.h"

#include <stddef.h>
#include <stdint.h>

struct ev_loop;
struct redisReply;
struct link; /* opaque */

/* Below this many bytes of output waiting, on_writable asks for more. */
enum { LINK_OUTPUT_LOW = 64 * 1024 };

/* All come from the event loop; in each of them link_close is allowed. */
struct link_events {
    /* The socket is connected and commands go out (behind the TLS handshake where there is one). */
    void (*on_open)(void *ctx);
    void (*on_reply)(void *ctx, const struct redisReply *reply); /* borrowed for the call */
    /* There is room in the output for what else is to be sent; true: even more is left then. */
    bool (*on_writable)(void *ctx);
    /* It could not be made or is lost; only link_close is left to do. `why` is one line. */
    void (*on_closed)(void *ctx, const char *why);
};

struct link_options {
    const struct redis_url *url;   /* borrowed, outlives the link */
    const struct tls_trust *trust; /* borrowed, outlives the dialling; NULL: in clear */
    double dial_seconds;           /* for all addresses together */
    uint32_t unacked_ms;           /* TCP_USER_TIMEOUT */
};

/* link_dial: begins to connect to the first address that lets it; owned by the caller. */
struct link *link_dial(struct ev_loop *loop, const struct link_options *options,
                       const struct address *list, size_t count, const struct link_events *events,
                       void *ctx);

/* link_command: queues one command, any bytes; nothing happens on a closed link. */
void link_command(struct link *l, size_t argc, const struct span *argv);

/* link_wake: on_writable will come. */
void link_wake(struct link *l);

/* link_output: bytes that wait to be written. */
size_t link_output(const struct link *l);

/* link_last_read: when bytes last came in, by clock_mono_us. */
uint64_t link_last_read(const struct link *l);

/* link_address: where it is connected to; borrowed. */
const struct address *link_address(const struct link *l);

/* link_close: no event comes after. NULL is allowed; nulls *l. */
void link_close(struct link **l);

#endif
