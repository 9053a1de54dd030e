/*
 * The namespaces in order: which settings are a channel's. Immutable after creation: any thread may
 * ask.
 */
#ifndef HUB_NAMESPACES_H
#define HUB_NAMESPACES_H

#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct namespace_settings {
    char *match;   /* owned; see namespace_match in proto/channel.h */
    bool envelope; /* the payload is {"event":..,"data":..}; otherwise it is the data */
    bool durable;  /* messages have ids and can be replayed */
    bool latest;   /* a slow client gets the newest message of each channel, not all */
    uint64_t history_messages, history_seconds; /* of a durable channel */
};

struct namespaces; /* opaque */

/* namespaces_create: copies. */
struct namespaces *namespaces_create(const struct namespace_settings *settings, size_t count);
void namespaces_destroy(struct namespaces **n);

/* namespaces_find: the first that matches the channel's name; never NULL (a raw one is the last
 * resort). */
const struct namespace_settings *namespaces_find(const struct namespaces *n, struct span channel);

/* namespaces_all_durable: is every channel that matches this pattern surely durable? */
bool namespaces_all_durable(const struct namespaces *n, struct span pattern);

/* namespaces_durable: has any of them history? Then a pattern may meet durable messages. */
bool namespaces_durable(const struct namespaces *n);

#endif
