/*
 * How many connections each client address has (of public IPv6 addresses each /64, which is what
 * one client is given), over all workers: the limit is the gateway's, and the kernel spreads one
 * client's connections over the workers. Behind a lock, which is taken at accept and close only,
 * and only where the limit is set.
 */
#ifndef HTTP_ADDRESSES_H
#define HTTP_ADDRESSES_H

#include "proto/cidr.h"

#include <stdint.h>
#include <sys/socket.h>

struct addresses; /* opaque; any thread */

struct addresses *addresses_create(void);
void addresses_destroy(struct addresses **a);

/* address_of: of an IP socket, without its port. */
struct net_address address_of(const struct sockaddr_storage *from);

/* addresses_enter: one more; returns how many there are now. addresses_leave: one less. */
uint32_t addresses_enter(struct addresses *a, const struct net_address *address);
void addresses_leave(struct addresses *a, const struct net_address *address);

#endif
