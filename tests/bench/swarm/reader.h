/*
 * Reads one event stream as it comes, in pieces of any size: the response head, comments, control
 * events, and messages, whose padding is checked while it passes, so that a big one needs no
 * memory. A few dozen bytes a stream; no allocation.
 */
#ifndef SWARM_READER_H
#define SWARM_READER_H

#include "ledger.h"

enum { READER_CARRY = 63 };

struct reader {
    struct head head;     /* of the message at hand */
    uint32_t padding;     /* bytes of it that have not come */
    uint32_t first, span; /* the channels of this stream: a range */
    uint32_t *next;       /* borrowed: expected sequence numbers, one a channel */
    uint64_t id, last_id; /* of the event at hand, 0 when it has none; the stream's last one */
    uint8_t state;
    uint8_t carried;          /* bytes in carry */
    bool ready;               /* the server has said that it is subscribed */
    bool refused;             /* the answer was not 200 */
    bool message, named, gap; /* what the next blank line ends: ours; an event with a name; a gap */
    char carry[READER_CARRY]; /* a line that is not complete; the rest of a longer one is dropped */
};

/* reader_skip_head: what is fed is the body alone. */
void reader_skip_head(struct reader *r);

/* reader_feed: `ready` is the line by which the server says that nothing is missed any more. */
void reader_feed(struct reader *r, struct ledger *l, const char *bytes, size_t len,
                 uint64_t read_ns, const char *ready);

#endif
