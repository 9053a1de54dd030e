/*
 * Names of channels and patterns, as PROTOCOL says: 1 to max_bytes of UTF-8, no control characters
 * (below 0x20, 0x7f, U+0080..U+009F), for channels none of * ? [ ] { } \; names that begin with
 * "sluice:", "sluice." or "__" are reserved.
 */
#ifndef PROTO_CHANNEL_H
#define PROTO_CHANNEL_H

#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Return NULL when the name is good, else a static sentence that says what is wrong with it, such
 * as "is empty", "is longer than the limit of name_bytes", "has a control character", "is not valid
 * UTF-8", "has one of * ? [ ] { } \\", "begins with a reserved prefix (sluice: sluice. __)".
 */
const char *channel_name_error(struct span name, size_t max_bytes);

/* The same for a glob that clients subscribe to; { } are refused, * ? [ ] \ are what it is for. */
const char *channel_pattern_error(struct span pattern, size_t max_bytes);

/* The channel of the invalidation feed: the gateways' own, without the channel prefix, durable. */
#define FEED_CHANNEL "sluice.invalidations"

/* channel_reserved: may never be published to by clients nor be delivered through a pattern. */
bool channel_reserved(struct span name);

/*
 * A namespace's `match`: a glob in which {word} (word: 1..32 of a-z A-Z 0-9 _) stands for one
 * segment: one or more bytes, none of them a dot. namespace_match_error: NULL, or what is wrong
 * with it. namespace_match: does it match all of the name?
 */
const char *namespace_match_error(struct span match);
bool namespace_match(struct span match, struct span name);

#endif
