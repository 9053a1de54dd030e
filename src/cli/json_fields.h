/* The members of a JSON object that are strings, by name: what a gateway's answers are made of.
 * Pure. */
#ifndef CLI_JSON_FIELDS_H
#define CLI_JSON_FIELDS_H

#include "base/buf.h"
#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>

struct json_field {
    const char *name;
    bool given;       /* was there, and a string */
    struct buf value; /* owned; decoded */
};

/*
 * json_fields_read: fills the fields whose names it finds; other members, and values that are no
 * strings, are passed over. 0, or ERR_INVALID when the text is not one JSON object. Free the fields
 * in each case.
 */
int json_fields_read(struct span text, struct json_field *fields, size_t count);
void json_fields_free(struct json_field *fields, size_t count);

/* json_field_view: the value; ptr NULL where it was not given. */
struct span json_field_view(const struct json_field *field);

#endif
