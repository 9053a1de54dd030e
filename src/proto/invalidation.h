/*
 * What an invalidation names: the body of POST /invalidate as strangers write it, and the one form
 * in which the function library takes it. Names are collected as JSON text, list by list, so a
 * thousand of them are four blocks of memory. Pure; any thread.
 */
#ifndef PROTO_INVALIDATION_H
#define PROTO_INVALIDATION_H

#include "base/buf.h"
#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    INVALIDATION_NAMES = 10000,     /* at most, in all lists together */
    INVALIDATION_NAME_BYTES = 1024, /* of one name */
    INVALIDATION_PEER_BYTES = 64,   /* of a peer's name, such as an origin */
};

enum invalidation_list {
    INVALIDATION_KEYS,
    INVALIDATION_TAGS,
    INVALIDATION_PATHS,
    INVALIDATION_PATTERNS,
    INVALIDATION_LISTS,
};

/* A zeroed struct names nothing. */
struct invalidation {
    struct buf lists[INVALIDATION_LISTS];     /* owned: the names as JSON strings, by comma */
    size_t count;                             /* of names in all lists */
    char origin[INVALIDATION_PEER_BYTES + 1]; /* empty: of nobody */
};

/* invalidation_list_name: "keys", "tags", "paths", "patterns". */
const char *invalidation_list_name(enum invalidation_list list);

/*
 * Return NULL, or a static phrase that says what is wrong and fits behind the name's place.
 * A name: 1 to 1024 bytes of UTF-8 without control characters; a key not of the gateways' own,
 * which begin with "sluice:". A peer: 1 to 64 of a-z A-Z 0-9 . _ -, and not - alone.
 */
const char *invalidation_name_error(enum invalidation_list list, struct span name);
const char *peer_name_error(struct span name);

/* invalidation_add: NULL, or what is wrong with the name; then nothing was added. Does not look at
 * INVALIDATION_NAMES. */
const char *invalidation_add(struct invalidation *inv, enum invalidation_list list,
                             struct span name);

/*
 * invalidation_parse: {"keys":[…],"tags":[…],"paths":[…],"patterns":[…],"origin":"app-1"}, each
 * member optional, at least one name. 0, or ERR_INVALID or ERR_TOO_LARGE (more than 10,000 names)
 * with one line in why that says what is wrong and where: `body is not JSON: unexpected character
 * at byte 17`, `keys[3]: has a control character`, `tags: expected an array of strings`, `colour:
 * unknown member`, `body: names nothing`. An origin that is null is none. On failure *out is
 * untouched.
 */
int invalidation_parse(struct span body, struct invalidation *out, char *why, size_t why_size);
void invalidation_free(struct invalidation *inv);

/*
 * invalidation_write: appends what sluice_invalidate and sluice_doom take, which is also what the
 * feed's events carry: every member, lists that are empty as [], an origin that is none as "".
 */
void invalidation_write(const struct invalidation *inv, const char *cause, struct buf *out);

/*
 * invalidation_origin: the origin in the data of an event of the feed. False, and an empty string,
 * when the event has none or is not such an event (a flush).
 */
bool invalidation_origin(struct span event, char out[INVALIDATION_PEER_BYTES + 1]);

#endif
