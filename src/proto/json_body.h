/*
 * What the bodies of publishing and of the bus have in common: the JSON of a stranger, of which the
 * first thing that is wrong is told as `place: what`, and after it nothing more is read. A cursor
 * on top of proto/json_read.h. Owns nothing; no thread.
 */
#ifndef PROTO_JSON_BODY_H
#define PROTO_JSON_BODY_H

#include "base/buf.h"
#include "base/span.h"
#include "proto/json_read.h"

#include <stdbool.h>
#include <stddef.h>

#define JSON_BODY_WHOLE SIZE_MAX

struct json_body {
    struct json_reader json;
    size_t index; /* every place lies in this element of the body; JSON_BODY_WHOLE: in no element */
    int err;      /* of the first fault; 0 */
    char *why;    /* borrowed: gets one line about it */
    size_t why_size;
};

void json_body_begin(struct json_body *b, struct span body, char *why, size_t why_size);

/* json_body_ok: no fault so far. The first to ask after the reader failed tells that. */
bool json_body_ok(struct json_body *b);

/*
 * json_body_complain: `place: what`, or `[3].place: what` (`[3]: what` with an empty place). The
 * place may be any string, such as a member's name, and is cut to what is useful.
 */
void json_body_complain(struct json_body *b, struct span place, const char *what);

/* json_body_too_many: ERR_TOO_LARGE, `body: more than 10000 names`. */
void json_body_too_many(struct json_body *b, size_t most, const char *things);

/* json_body_refuse: complains of a value that is of no use here. It is read all the same: that the
 * body is no JSON goes first. */
void json_body_refuse(struct json_body *b, struct span place, const char *expected);

/*
 * json_body_enter: steps into the object that comes next; else false, and that was told.
 * json_body_member: as json_read_member, but ends at a fault of any kind too.
 */
bool json_body_enter(struct json_body *b, struct span place);
bool json_body_member(struct json_body *b, struct buf *name);

/* json_body_first: is this the first member of its name? If not that is told. Sets *seen. */
bool json_body_first(struct json_body *b, struct span name, bool *seen);

/* json_body_string: the string that comes next, decoded into `text`, which is reset first; else
 * false, and that was told. */
bool json_body_string(struct json_body *b, struct span place, struct buf *text);

/* json_body_end: nothing may follow. True when all was well. */
bool json_body_end(struct json_body *b);

#endif
