/* Bytes from elsewhere, made fit for one line of a terminal. Pure. */
#ifndef CLI_PRINTABLE_H
#define CLI_PRINTABLE_H

#include "base/buf.h"
#include "base/span.h"

/*
 * printable: appends s as UTF-8 without control characters: \n \r \t as those two bytes, the others
 * (which a terminal might obey) as \xNN; ill-formed UTF-8 is replaced by U+FFFD.
 */
void printable(struct buf *out, struct span s);

#endif
