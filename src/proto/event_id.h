/*
 * The id of a durable message: microseconds of the dataset's one clock, which never gives one
 * twice. As text, which is also the entry's id in its Redis stream, "<us / 1000>-<us % 1000>".
 * Pure; any thread.
 */
#ifndef PROTO_EVENT_ID_H
#define PROTO_EVENT_ID_H

#include "base/span.h"

#include <stdint.h>

/* The largest id. Redis keeps ids as scores of a sorted set, and doubles are exact up to here. */
#define EVENT_ID_MAX ((UINT64_C(1) << 53) - 1)

enum { EVENT_ID_TEXT = 24 }; /* bytes of the longest text with its NUL, of any uint64_t */

/*
 * event_id_parse: 0 or ERR_INVALID. One id has one text: no sign, no blanks, no leading zeros, and
 * behind the dash at most 999. "0-0" is the id 0, which comes before the first message.
 * ERR_TOO_LARGE: it would be one, but is above EVENT_ID_MAX, later than any that can be given.
 */
int event_id_parse(struct span text, uint64_t *out);

/* event_id_format: writes the text with its NUL; returns its length without. */
size_t event_id_format(char out[EVENT_ID_TEXT], uint64_t id);

#endif
