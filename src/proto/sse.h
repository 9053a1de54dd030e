/*
 * Server-Sent Events, both ways. Source:
 * https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
#ifndef PROTO_SSE_H
#define PROTO_SSE_H

#include "base/buf.h"
#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

/* One event to encode. Absent fields have ptr NULL. `data` is always written, if only as "data:".
 */
struct sse_event {
    struct span
        event;      /* no CR, LF, NUL: see sse_field_error; absent or "message": no line is made */
    struct span id; /* no CR, LF, NUL */
    struct span data; /* any valid UTF-8; split at CR, LF and CRLF into data: lines */
};

/* sse_field_error: NULL when s may stand as an event name or id, else what is wrong with it. */
const char *sse_field_error(struct span s);

/* sse_event_error: the same for the event name of a message, which must not begin with "sluice.":
 * clients believe the gateway's own events, such as a gap. */
const char *sse_event_error(struct span s);

/* sse_encode: appends the event's bytes with the blank line that ends it. Order: id, event, data.
 */
void sse_encode(struct buf *out, const struct sse_event *event);

/* sse_comment: appends ": text\n\n" (text has no line ends). sse_retry: appends "retry: ms\n\n". */
void sse_comment(struct buf *out, const char *text);
void sse_retry(struct buf *out, uint32_t ms);

/*
 * sse_wrap: appends the data of the wrapped form: {"channel":..,"event":..,"data":..,"id":..};
 * event and id are null where absent; data is a string.
 */
void sse_wrap(struct buf *out, struct span channel, const struct sse_event *event);

/* The reading side, for `sluice tail`: an incremental parser that keeps to the standard. */
struct sse_parser;

struct sse_received {
    struct span event;   /* "message" when the stream named none */
    struct span data;    /* lines joined with LF */
    struct span last_id; /* the last event id in force, possibly empty */
};

struct sse_handler {
    void (*on_event)(void *ctx, const struct sse_received *event); /* spans borrowed for the call */
    void (*on_retry)(void *ctx, uint32_t ms);
    void (*on_comment)(void *ctx, struct span text);
    void *ctx;
};

/* max_event_bytes: one line or one event's data beyond it makes sse_parser_feed fail. */
struct sse_parser *sse_parser_create(const struct sse_handler *handler, size_t max_event_bytes);
void sse_parser_destroy(struct sse_parser **parser);
/* sse_parser_feed: 0, or ERR_TOO_LARGE (sticky). */
int sse_parser_feed(struct sse_parser *parser, struct span bytes);
/* sse_parser_restart: a new connection: forgets half-read lines and fields, keeps last_id. */
void sse_parser_restart(struct sse_parser *parser);
struct span sse_parser_last_id(const struct sse_parser *parser);

#endif
