/* How `sluice tail` shows what a stream says. Pure. */
#ifndef CLI_TAIL_LINE_H
#define CLI_TAIL_LINE_H

#include "base/buf.h"
#include "proto/sse.h"

#include <stdbool.h>

/* The control events that concern a reader of the stream; see PROTOCOL, "Control events". */
enum tail_kind {
    TAIL_MESSAGE, /* somebody's message */
    TAIL_GAP,     /* something may have been missed */
    TAIL_CLOSING, /* sluice.busy, sluice.expired: the gateway is about to close */
    TAIL_SILENT,  /* sluice.head, sluice.ping and what later gateways may add */
};

enum tail_kind tail_kind_of(const struct sse_received *event);

/*
 * tail_line: appends a message as one line. The readable form is `CHANNEL #ID [EVENT] DATA` without
 * what is absent and without control characters; the other is {"channel","event","data","id"}. An
 * event that is not in the wrapped form is shown as it came, its channel absent.
 */
void tail_line(struct buf *out, const struct sse_received *event, bool json);

/* tail_notice: appends what a TAIL_GAP or TAIL_CLOSING event says, for people; no line end. */
void tail_notice(struct buf *out, const struct sse_received *event);

#endif
