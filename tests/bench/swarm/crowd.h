/*
 * The streams: opens them over several loopback addresses, a bounded number of handshakes at a
 * time, reads them, and closes them. One thread, one epoll; streams marked bulk have an epoll of
 * their own and are read one piece at a time, after all others, so that reading a big message does
 * not delay the clock of the small ones.
 */
#ifndef SWARM_CROWD_H
#define SWARM_CROWD_H

#include "dialect.h"
#include "ledger.h"
#include "link.h"

struct crowd;

/* A range of streams that were opened together. */
struct group {
    uint32_t streams;
    uint32_t first_channel, channels;
    uint32_t span;     /* channels a stream */
    uint32_t per_link; /* streams a connection: 1 with HTTP/1 */
    uint32_t behind;   /* they resume so many messages back, on each channel */
    uint64_t cursor;   /* and this is their last id; 0 when they do not resume */
    bool bulk;
};

/* crowd_create: everything is borrowed. `names` goes before a channel's number to make its name. */
struct crowd *crowd_create(struct ledger *ledger, const struct dialect *dialect,
                           const struct sockaddr_in *server, enum wire wire, const char *names);

/* crowd_server: streams that are opened from now on go to this port. */
void crowd_server(struct crowd *c, uint16_t port);

/*
 * crowd_open: begins a group; stream i has the `span` channels from (i * span) mod channels on.
 * Call crowd_step until crowd_opening, which counts connections, is 0.
 */
void crowd_open(struct crowd *c, const struct group *group);
uint32_t crowd_opening(const struct crowd *c);
uint32_t crowd_ready(const struct crowd *c);

/* crowd_close: closes all streams; their channels stay. */
void crowd_close(struct crowd *c);

/* crowd_watch: an own descriptor of the caller; crowd_step says when one of these is ready. */
void crowd_watch(struct crowd *c, int fd, bool writing);

/* crowd_step: waits at most timeout_ns for anything and handles it; returns false when nothing
 * came. */
bool crowd_step(struct crowd *c, uint64_t timeout_ns);

void crowd_channel_name(const struct crowd *c, uint32_t channel, char out[64]);

/* crowd_failure: why a stream could not be opened; NULL when all is well. */
const char *crowd_failure(const struct crowd *c);

#endif
