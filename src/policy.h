/*
 * What a configuration amounts to, in the terms of the rooms: part of the composition root. The
 * core thread makes and destroys one; what it points to is immutable, so every thread may use it. A
 * reload makes another.
 */
#ifndef POLICY_H
#define POLICY_H

#include "access/access.h"
#include "http/server.h"
#include "hub/namespaces.h"
#include "ops/config.h"
#include "proto/cidr.h"

struct policy {
    struct config *config;         /* owned */
    struct access *access;         /* owned */
    struct namespaces *namespaces; /* owned */
    struct cidr *trusted;          /* owned: config->trusted_proxies, read */
    struct http_options http;      /* borrows from the others; see policy_fill_http */
};

/* policy_create: takes the configuration over. policy_destroy: NULL is allowed. */
struct policy *policy_create(struct config *config);
void policy_destroy(struct policy **policy);

/* What the gateway has whatever its policy is; borrowed by the options for as long as they live. */
struct policy_surroundings {
    uint32_t max_connections;
    struct uplink *uplink;
    struct metrics **metrics; /* [workers + 1] */
};

void policy_fill_http(struct policy *p, const struct policy_surroundings *around);

#endif
