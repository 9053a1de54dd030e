/* Sockets to Redis: non-blocking, with what makes a dead peer noticeable. */
#ifndef BROKER_REDIS_SOCKET_H
#define BROKER_REDIS_SOCKET_H

#include "broker/broker_redis/address.h"

#include <stdint.h>

/*
 * socket_dial: begins to connect. The descriptor (owned by the caller), which is writable once the
 * outcome is known, or -1 with errno.
 */
int socket_dial(const struct address *to, uint32_t unacked_ms);

/* socket_outcome: 0 when the connection is made, else the errno that it failed with. */
int socket_outcome(int fd);

#endif
