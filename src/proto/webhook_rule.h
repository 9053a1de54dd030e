/*
 * What the configuration says of a webhook, as plain structs: the configuration makes and owns
 * them, src/bus reads them.
 */
#ifndef PROTO_WEBHOOK_RULE_H
#define PROTO_WEBHOOK_RULE_H

#include "proto/invalidation.h"
#include "proto/json_read.h"

#include <stddef.h>
#include <stdint.h>

/* A field of the body that must have just this value. */
struct webhook_condition {
    char *field;         /* owned; good for json_path_find */
    enum json_kind kind; /* JSON_STRING, JSON_NUMBER, JSON_LITERAL or JSON_NULL */
    char *value;         /* owned; a string decoded, any other value as written */
};

struct webhook_list {
    char **templates; /* owned; each without template_error */
    size_t count;
};

/* When all conditions are met, the names that the templates make are invalidated. */
struct webhook_rule {
    struct webhook_condition *when; /* owned; none: always */
    size_t when_count;
    struct webhook_list lists[INVALIDATION_LISTS];
};

enum signature_form {
    SIGNATURE_BODY,       /* an HMAC of the body, as GitHub and Shopify send it */
    SIGNATURE_STRIPE,     /* t=seconds,v1=hex: of "t.body" */
    SIGNATURE_CONTENTFUL, /* of method, path, the headers that another header lists, and body */
    SIGNATURE_TOKEN,      /* no signature: the secret itself, as GitLab sends it */
};

enum signature_encoding { SIGNATURE_HEX, SIGNATURE_BASE64 };

/* How a sender proves who it is. HMAC is that of RFC 2104 with SHA-256. */
struct webhook_signature {
    enum signature_form form;
    enum signature_encoding encoding; /* of the HMAC, where the form leaves a choice: BODY */
    char *header;                     /* owned; in which it comes */
    char *prefix;                     /* owned; what stands before it there, such as "sha256=" */
    const char *secret;               /* borrowed; never logged */
    uint32_t tolerance_seconds;       /* how far a signed time may be from ours */
};

/* Where the id of a delivery stands; both empty: nowhere. */
struct webhook_delivery {
    char *header; /* owned; its name */
    char *field;  /* owned; its path in the body */
};

#endif
