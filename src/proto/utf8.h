/* UTF-8, as the Encoding standard has it (https://encoding.spec.whatwg.org/#utf-8-decoder). */
#ifndef PROTO_UTF8_H
#define PROTO_UTF8_H

#include "base/buf.h"
#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>

bool utf8_valid(struct span s);

/*
 * utf8_repair: appends s to out, each maximal invalid part replaced by U+FFFD as the standard's
 * decoder does in mode "replacement" (a byte order mark is kept). Returns the number of
 * replacements.
 */
size_t utf8_repair(struct buf *out, struct span s);

#endif
