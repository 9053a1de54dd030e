/* The envelope payload: {"event":"...","data":...}; a string data as it is, other JSON compact. */
#ifndef PROTO_ENVELOPE_H
#define PROTO_ENVELOPE_H

#include "base/buf.h"
#include "base/span.h"

struct envelope {
    struct buf event; /* empty when absent; free with envelope_free */
    struct buf data;
};

/*
 * envelope_parse: 0, or ERR_INVALID when the payload is no envelope: not a JSON object, no "data",
 * "event" neither absent, null nor a string fit for a message (sse_event_error), nested deeper than
 * 32, or trailing bytes. Unknown members are allowed. On failure *out is untouched.
 */
int envelope_parse(struct span payload, struct envelope *out);
void envelope_free(struct envelope *e);

/* envelope_write: appends {"event":...,"data":"..."}; event is left out when its ptr is NULL. */
void envelope_write(struct buf *out, struct span event, struct span data);

#endif
