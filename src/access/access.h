/*
 * Who may do what. Decides, performs no I/O, knows no clock. Immutable after creation, so every
 * thread may ask. Every endpoint asks access_decide; nothing else decides.
 */
#ifndef ACCESS_ACCESS_H
#define ACCESS_ACCESS_H

#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum access_action {
    ACCESS_READ,       /* subscribe to a channel or pattern */
    ACCESS_PUBLISH,    /* publish to a channel */
    ACCESS_INVALIDATE, /* the bus: invalidate */
    ACCESS_PEER,       /* the bus: read the feed, acknowledge */
    ACCESS_STATS,      /* /metrics and /api */
};

struct access_key {
    const char *name; /* borrowed for the call of access_create */
    uint8_t sha256[32];
    const char *const *scopes; /* "publish:<glob>", "invalidate", "peer", "stats" */
    size_t scope_count;
};

struct access_options {
    bool open; /* development: lifts the keys; foreign Origin and Host are refused */
    const struct access_key *keys;
    size_t key_count;
    const char *const
        *cors_origins; /* origins that do not count as foreign; "*" does not widen open mode */
    size_t cors_origin_count;
};

struct access; /* opaque */

struct access *access_create(const struct access_options *options);
void access_destroy(struct access **access);

/* What a request shows of its sender. Spans are borrowed; ptr NULL where the header is absent. */
struct access_request {
    struct span authorization; /* the Authorization header */
    struct span origin;        /* the Origin header */
    struct span host;          /* the Host header */
    bool unix_socket;          /* came over a unix socket: Host is not checked */
};

/* Who that is. A plain value: no pointers into the request. key: index + 1 of the key, 0 for
 * nobody. */
struct identity {
    uint32_t key;
    bool open;    /* let in by open mode */
    bool bad_key; /* showed credentials that nobody has */
    bool foreign; /* open mode, and Origin or Host is foreign */
};

/* access_identify: compares digests of all keys in constant time; the key itself is not kept. */
struct identity access_identify(const struct access *access, const struct access_request *request);

/*
 * access_decide: may this identity do this to this channel (or pattern; empty where none applies)?
 * 0, ERR_UNKNOWN_ID (401: no or bad credentials) or ERR_DENIED (403); then *why is a static
 * sentence. Reading is open to everybody who is not `foreign`.
 */
int access_decide(const struct access *access, const struct identity *who,
                  enum access_action action, struct span channel, const char **why);

/* access_name: the key's name for logs, "open" or "anonymous"; never a secret. Borrowed. */
const char *access_name(const struct access *access, const struct identity *who);

#endif
