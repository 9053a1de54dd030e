/*
 * Text for people in error lines: quoting, hiding passwords, "did you mean". Pure; any thread. What
 * it is given may be hostile: it is cut, and control characters are escaped.
 */
#ifndef OPS_CONFIG_TEXT_H
#define OPS_CONFIG_TEXT_H

#include "base/buf.h"
#include "base/span.h"

#include <stddef.h>

/* show_escaped: appends at most 100 bytes of text. show_quoted: the same in quotes. */
void show_escaped(struct buf *out, struct span text);
void show_quoted(struct buf *out, struct span text);

/* suggest: of `count` names the one that is a slip of the pen away from `name`, or an empty span.
 */
struct span suggest(struct span name, const struct span *names, size_t count);

/* show_unknown: appends "; did you mean X? Valid here: X, Y, Z", or just what is valid. */
void show_unknown(struct buf *out, struct span name, const struct span *valid, size_t count);

#endif
