/*
 * Is a webhook from who holds the secret? Compares in constant time, and tells nothing of the
 * secret or of what the right signature would have been. Pure; any thread.
 */
#ifndef BUS_SIGNATURE_H
#define BUS_SIGNATURE_H

#include "base/span.h"
#include "proto/webhook_rule.h"

#include <stdbool.h>
#include <stdint.h>

struct signature_request {
    struct span method, path; /* as they came: the path with its base and its query */
    struct span body;         /* as it came, byte for byte */
    /* the value of a header by its name in any case; ptr NULL: it is not there */
    struct span (*header)(const void *ctx, const char *name);
    const void *ctx;      /* borrowed */
    uint64_t now_seconds; /* since 1970 */
};

/*
 * signature_error: NULL when the request is genuine, else a static sentence for the sender: no
 * signature, one that cannot be read, one that does not match, or a time that is too far from ours;
 * that is looked at last, so that it is the sender's own.
 * Contentful's path is signed without a query; one that has it does not match.
 */
const char *signature_error(const struct webhook_signature *how,
                            const struct signature_request *request);

/* secret_equal: compares in a time that tells nothing about `secret` but its length. An empty
 * secret equals nothing. */
bool secret_equal(struct span given, const char *secret);

#endif
