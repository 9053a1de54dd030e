/*
 * What was published, and what of it has arrived where. Owns the numbering of messages, the
 * expectation of each (stream, channel) pair, the latency histogram and the counts of everything
 * that may go wrong. A payload begins with a head that says which message it is; the rest is
 * padding that is known byte for byte, so that nothing need be remembered to check it.
 */
#ifndef SWARM_LEDGER_H
#define SWARM_LEDGER_H

#include "histogram.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HEAD_BYTES = 36,         /* four numbers of eight hex digits, a space after each */
    LEDGER_WINDOW = 1 << 16, /* messages under way at most */
    PAD_BYTE = 'x',
};

struct head {
    uint32_t message; /* counted over all channels */
    uint32_t channel;
    uint32_t sequence; /* counted within the channel, from 0 */
    uint32_t bytes;    /* of the payload, head included */
};

struct tally {
    uint64_t messages, deliveries;
    uint64_t lost, repeated, corrupt; /* deliveries that are wrong */
    uint64_t disordered;              /* ids that did not rise on their stream */
    uint64_t gaps, comments, closed;  /* control events; comments; streams that the server ended */
};

struct message {
    uint64_t written_ns;
    uint64_t id;      /* 0 until it has been read where it is durable */
    uint32_t missing; /* deliveries that have not come yet */
    uint32_t number, bytes;
    bool timed;   /* its latency counts */
    bool durable; /* must come with an id, the same everywhere */
};

struct channel {
    uint32_t published, readers;
};

struct ledger {
    struct tally tally;
    struct histogram latency; /* the publisher's write to the last reader's read */
    uint64_t complete;        /* messages that have reached everybody */
    uint64_t last_ns;         /* when a message was complete last */
    struct channel *channels; /* owned */
    uint32_t channel_count;
    struct message window[LEDGER_WINDOW];
};

/* ledger_add_channels: numbers follow those that are there; returns the first. */
uint32_t ledger_add_channels(struct ledger *l, uint32_t count);

/* ledger_publish: enters a message that is written now. */
struct head ledger_publish(struct ledger *l, uint32_t channel, uint32_t bytes, bool timed,
                           bool durable);

/*
 * ledger_expect_again: the last `count` messages will come to so many more streams. Returns the id
 * of the one before them; 0 when there is none or it is not known.
 */
uint64_t ledger_expect_again(struct ledger *l, uint32_t count, uint32_t streams);

/*
 * ledger_deliver: one whole message with intact padding has been read, with that id or 0. `next` is
 * the sequence number that this stream expects on the channel, and is moved on.
 */
void ledger_deliver(struct ledger *l, const struct head *h, uint64_t id, uint32_t *next,
                    uint64_t read_ns);

/* ledger_see_id: an id has come on a stream whose last one was *last. One of a message must be
 * above it, one of another event not below it. */
void ledger_see_id(struct ledger *l, uint64_t id, bool of_message, uint64_t *last);

void head_write(const struct head *h, char out[HEAD_BYTES + 1]);
/* head_read: false when it is none. */
bool head_read(const char *text, struct head *h);

/* id_read: "<ms>-<us>" as microseconds; 0 when it is none. id_write is its inverse. */
uint64_t id_read(const char *text, size_t len);
void id_write(uint64_t id, char out[32]);

#endif
