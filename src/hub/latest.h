/*
 * What waits for a stream that is too slow for all of its messages: the newest one of each channel,
 * in the order in which they came. Owned by a stream, on its worker's thread; most streams have
 * none, which is NULL.
 */
#ifndef HUB_LATEST_H
#define HUB_LATEST_H

#include "hub/frame.h"

#include <stdint.h>

struct latest; /* opaque */

/*
 * latest_put: takes a reference of its own. `channel` as in struct lane_entry. 0; 1 when an older
 * one of the channel was dropped for it; ERR_FULL when it would be of one channel more than `most`.
 */
int latest_put(struct latest **l, struct frame *f, uint64_t channel, uint32_t most);

/* latest_take: the first of them, now the caller's; *l becomes NULL behind the last one. */
struct frame *latest_take(struct latest **l);

void latest_destroy(struct latest **l);

#endif
