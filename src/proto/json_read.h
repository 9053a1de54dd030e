/*
 * A strict reader of JSON text (RFC 8259, UTF-8 only) that makes no tree: a cursor with a sticky
 * error, which steps through containers, decodes strings and copies values. A value is copied as it
 * was written, less the white space between its tokens: numbers keep their digits
 * (12345678901234567890, 1.0, 1e3), strings their escapes, objects their order and their duplicate
 * members. json-c would be too lenient for what strangers send: even its strict mode takes 'single'
 * quotes, NaN, [00], raw line ends within strings and ill-formed UTF-8, and clamps integers beyond
 * 64 bits. Owns nothing; no thread.
 */
#ifndef PROTO_JSON_READ_H
#define PROTO_JSON_READ_H

#include "base/buf.h"
#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_READ_DEPTH 32 /* containers within containers */

enum json_kind {
    JSON_BAD, /* no value begins here, or the reader has failed */
    JSON_OBJECT,
    JSON_ARRAY,
    JSON_STRING,
    JSON_NUMBER,
    JSON_LITERAL, /* true, false */
    JSON_NULL,
};

struct json_reader {
    const char *begin, *at, *end; /* borrowed: the text */
    const char *error;            /* a static phrase, NULL while all is well */
    size_t error_at;              /* bytes before the place of the error */
    struct buf *copy;             /* borrowed: gets every token that is read; NULL: none does */
    unsigned depth;               /* containers that are open */
    uint32_t objects;             /* bit n: the container at depth n + 1 is an object */
    bool fresh;                   /* just entered: no comma stands before the next item */
};

void json_read_begin(struct json_reader *r, struct span text);

/* json_read_peek: what value comes next; reads nothing but white space. */
enum json_kind json_read_peek(struct json_reader *r);

/*
 * json_read_enter: steps into the object or array that comes next (anything else is an error).
 * Then json_read_member or json_read_element: true when the cursor stands before an item's value,
 * which is to be read before the next call; false when the container has ended, or on error. The
 * name is decoded into `name`, which is reset first.
 */
void json_read_enter(struct json_reader *r);
bool json_read_member(struct json_reader *r, struct buf *name);
bool json_read_element(struct json_reader *r);

/*
 * json_read_string: appends the decoded string (anything else is an error). Never longer than its
 * text. \u0000 gives a NUL, an unpaired surrogate U+FFFD, as a browser's TextEncoder would.
 */
void json_read_string(struct json_reader *r, struct buf *out);

/*
 * json_read_value: reads one value of any kind and appends it compact to `out`, unless that is
 * NULL; on error that has what came before the place.
 */
void json_read_value(struct json_reader *r, struct buf *out);

/* json_read_end: nothing but white space may follow. */
void json_read_end(struct json_reader *r);

#endif
