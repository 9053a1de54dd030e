/* JSON text written by hand where a whole tree would be wasteful. The input must be valid UTF-8. */
#ifndef PROTO_JSON_TEXT_H
#define PROTO_JSON_TEXT_H

#include "base/buf.h"
#include "base/span.h"

/* json_text_string: appends s as a JSON string in quotes. Escapes " \ and below 0x20, no more. */
void json_text_string(struct buf *out, struct span s);

/* json_text_error: appends {"error":"..."}; the message is repaired to UTF-8 first. */
void json_text_error(struct buf *out, struct span message);

#endif
