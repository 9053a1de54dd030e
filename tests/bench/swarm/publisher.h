/*
 * One connection that publishes, pipelined: Redis's own protocol, or HTTP POST. Counts the answers
 * and those that are no success. Never blocks.
 */
#ifndef SWARM_PUBLISHER_H
#define SWARM_PUBLISHER_H

#include "dialect.h"
#include "ledger.h"

#include <netinet/in.h>

struct publisher {
    const struct dialect *dialect; /* borrowed */
    int fd;
    char *out; /* owned: not yet written */
    size_t length, sent, room;
    uint64_t asked, answered, failed;
    uint32_t matched;    /* bytes of the answer's beginning seen so far */
    char last_error[64]; /* the beginning of the last answer that was no success */
};

/* publisher_open: blocks while it connects; false when it cannot. */
bool publisher_open(struct publisher *p, const struct dialect *d, const struct sockaddr_in *to);

/* publisher_add: queues a message; a durable one, with Redis, by the gateway's function.
 * publisher_flush writes what the socket takes; returns false when the connection is lost. */
void publisher_add(struct publisher *p, const char *channel, const struct head *h, bool durable);
bool publisher_flush(struct publisher *p);
bool publisher_pending(const struct publisher *p);

/* publisher_read: takes answers; false when the connection is lost. */
bool publisher_read(struct publisher *p);

#endif
