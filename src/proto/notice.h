/*
 * What a publish of a durable message tells the gateways on sluice:note:<channel>:
 *
 *     <epoch> <id> <previous id> <event length>\n<event><data>
 *
 * and the shorter text of a beat, "<epoch> <id> <floor id>". Spans point into the payload. Pure;
 * any thread.
 */
#ifndef PROTO_NOTICE_H
#define PROTO_NOTICE_H

#include "base/buf.h"
#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

/* What stands before a channel's name where its notices are published. */
#define NOTICE_PREFIX "sluice:note:"

enum { NOTICE_EPOCH_BYTES = 16 }; /* an epoch is so many of 0-9 a-f */

struct notice {
    struct span epoch; /* of the dataset whose clock made the ids */
    uint64_t id;       /* event_id; never 0 */
    uint64_t previous; /* of the channel's message before, below id; 0: Redis remembers none */
    struct span event; /* empty: the message has no event name */
    struct span data;
};

struct beat {
    struct span epoch;
    uint64_t id; /* what was published before the beat has this id or a lower one, what comes after
                    it a higher one */
    uint64_t floor; /* at most id; cursors below it may have missed what Redis has lost */
};

/*
 * notice_parse, beat_parse: NULL with *out filled in, or a static phrase that says what is wrong,
 * *out untouched, such as "has no epoch of 16 hexadecimal digits". An event name that no message
 * may have (sse_event_error) is refused. All of data is taken as it is.
 */
const char *notice_parse(struct span payload, struct notice *out);
const char *beat_parse(struct span payload, struct beat *out);

bool notice_is_epoch(struct span text);

/* notice_write, beat_write: append what the parsers read. */
void notice_write(struct buf *out, const struct notice *notice);
void beat_write(struct buf *out, const struct beat *beat);

#endif
