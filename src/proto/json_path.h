/*
 * One value in a JSON text, by the way to it: member names and array indexes with dots between them
 * ("data.items.0.sku"). A member whose name has a dot cannot be reached. Pure; any thread.
 */
#ifndef PROTO_JSON_PATH_H
#define PROTO_JSON_PATH_H

#include "base/buf.h"
#include "base/span.h"
#include "proto/json_read.h"

/* json_path_error: NULL, or a static phrase that says what is wrong with the path. */
const char *json_path_error(struct span path);

/*
 * json_path_find: what stands there, and in *value, which is reset first, a string decoded or any
 * other value as it was written, without its white space. JSON_BAD when nothing does, or the text
 * is no JSON up to there. Of two members of one name the last counts, as for JSON.parse.
 */
enum json_kind json_path_find(struct span json, struct span path, struct buf *value);

#endif
