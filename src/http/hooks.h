/*
 * What the endpoints for webhooks and POST /revalidate ask of the invalidation bus, whose room http
 * does not see: main.c joins them. Pure functions of the configuration, for any thread.
 */
#ifndef HTTP_HOOKS_H
#define HTTP_HOOKS_H

#include "base/buf.h"
#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

/* A delivery as it came; everything is borrowed. */
struct hook_delivery {
    struct span name;         /* of the webhook */
    struct span method, path; /* the path with its base and its query */
    struct span body;
    struct span (*header)(const void *ctx, const char *name); /* ptr NULL: it is not there */
    const void *ctx;
    uint64_t now_seconds; /* since 1970 */
};

enum { HOOK_WHY_BYTES = 256 };

struct hook_verdict {
    int status;               /* 200, or how it is refused */
    char why[HOOK_WHY_BYTES]; /* when it is not 200: one line */
    struct buf body; /* owned: the invalidation, for BUS_INVALIDATE; empty: nothing to do */
    struct buf key;  /* owned: its idempotency key; empty: it has none */
};

struct http_hooks {
    bool (*has_secret)(const void *ctx); /* that of POST /revalidate is configured */
    bool (*secret_is)(const void *ctx, struct span given); /* in constant time */
    bool (*has_webhook)(const void *ctx, struct span name);
    /* judge: of a webhook that there is; the verdict is zeroed before */
    void (*judge)(const void *ctx, const struct hook_delivery *delivery, struct hook_verdict *out);
    const void *ctx; /* borrowed */
};

#endif
