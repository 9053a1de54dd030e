/*
 * Reads JSON into a tree in which every node knows where in the text it stood, so that an error
 * about a value can name its line and column. json-c's trees keep no positions and let the last of
 * two members of one name win without a word. Pure; bounded: at most 1,000 entries to an object or
 * array, nested as deep as proto/json_read goes.
 */
#ifndef OPS_CONFIG_JSON_H
#define OPS_CONFIG_JSON_H

#include "base/buf.h"
#include "base/span.h"
#include "proto/json_read.h"

#include <stddef.h>

struct json_node {
    enum json_kind kind;
    size_t at;  /* offset in the text where it begins; of a member: where its name does */
    char *name; /* owned; of a member of an object */
    char *text; /* owned; a string decoded, a number or literal as written */
    struct json_node
        *child;             /* owned; first entry of an array or object, in the order of the text */
    struct json_node *next; /* owned */
};

/*
 * json_tree_read: 0 with an owned *out, or ERR_INVALID with "line 3, column 7: ..." appended to
 * why. A string with a NUL in it is an error, so that name and text are complete as C strings.
 */
int json_tree_read(struct span text, struct json_node **out, struct buf *why);
void json_tree_destroy(struct json_node **root);

/* json_where: appends "line 3, column 7" for an offset; columns count characters. */
void json_where(struct buf *out, struct span text, size_t at);

/* json_kind_name: "a string", "an array", ... */
const char *json_kind_name(enum json_kind kind);

#endif
