/*
 * One connection of `sluice tail`: asks for the stream and hands its bytes on until it ends, is
 * refused, is silent for too long, or there is a reason to stop. Blocks; on the calling thread.
 */
#ifndef CLI_TAIL_STREAM_H
#define CLI_TAIL_STREAM_H

#include "base/clock.h"
#include "cli/client.h"
#include "cli/wake.h"

struct stream_request {
    const struct client_options *client; /* borrowed */
    const char *url;                     /* borrowed: with its query */
    struct span last_id;                 /* borrowed: empty for none */
    uint64_t idle_us;          /* without a byte for this long the stream counts as dead */
    const struct clock *clock; /* borrowed */
    struct wake *wake;         /* borrowed */
    /* Bytes of the stream, borrowed for the call; false ends the connection. */
    bool (*on_bytes)(void *ctx, struct span bytes);
    void *ctx;
};

enum stream_end {
    STREAM_LOST,    /* what time cures: refused for now, closed, broken, silent */
    STREAM_DENIED,  /* what must not be repeated: 400, 401, 403 and the like, or no event stream */
    STREAM_STOPPED, /* on_bytes or the wake said so */
};

/*
 * tail_stream_run: `why` gets a line for people about a LOST or DENIED end; *asked_ms what a
 * Retry-After header asked for, else 0.
 */
enum stream_end tail_stream_run(const struct stream_request *request, struct buf *why,
                                uint32_t *asked_ms);

#endif
