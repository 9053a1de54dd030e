/*
 * What the endpoints for webhooks and POST /revalidate ask of the invalidation bus: part of the
 * composition root, which joins http and bus by the terms of the configuration.
 */
#ifndef WEBHOOKS_H
#define WEBHOOKS_H

#include "http/hooks.h"
#include "ops/config.h"

/* webhooks_fill: for any thread, as long as the configuration lives. */
void webhooks_fill(struct http_hooks *hooks, const struct config *config);

#endif
