/*
 * How many connections each client address has, over all workers: the limit is the gateway's, and
 * the kernel spreads one client's connections over the workers. Behind a lock, which is taken at
 * accept and close only, and only where the limit is set.
 */
#ifndef HTTP_ADDRESSES_H
#define HTTP_ADDRESSES_H

#include <stdint.h>
#include <sys/socket.h>

struct addresses; /* opaque; any thread */

/* An address without its port; IPv4 as a mapped IPv6 one. All zero: none (unix socket). */
struct address {
    uint8_t bytes[16];
};

struct addresses *addresses_create(void);
void addresses_destroy(struct addresses **a);

struct address address_of(const struct sockaddr_storage *from);

/* addresses_enter: one more; returns how many there are now. addresses_leave: one less. */
uint32_t addresses_enter(struct addresses *a, const struct address *address);
void addresses_leave(struct addresses *a, const struct address *address);

#endif
