/*
 * Redis's glob, byte for byte as its stringmatchlen does it (case-sensitive), so that the gateway
 * and PSUBSCRIBE agree: `*` any run (crosses dots), `?` one byte, `[a-z]` `[^x]`, `\x` the byte x.
 * Source: redis/src/util.c and https://redis.io/docs/latest/commands/keys/.
 */
#ifndef PROTO_GLOB_H
#define PROTO_GLOB_H

#include "base/buf.h"
#include "base/span.h"

#include <stdbool.h>

/* glob_match: does `pattern` match all of `name`? Bounded: at worst len(pattern) x len(name). */
bool glob_match(struct span pattern, struct span name);

/*
 * glob_element: does the element at *at, which is no '*' run, match the one byte c? Moves *at
 * behind it, whatever the answer. Needs *at < pattern.len. For matchers that extend the glob.
 */
bool glob_element(struct span pattern, size_t *at, char c);

/* glob_escape: appends a pattern to `out` that matches just `name`. */
void glob_escape(struct buf *out, struct span name);

/* glob_literal_prefix: how many leading bytes of `pattern` stand for themselves. */
size_t glob_literal_prefix(struct span pattern);

#endif
