/*
 * What the text of single settings must look like. Pure. Each check returns NULL, or a static
 * phrase that says what is wrong with the value and fits behind it ("has no port").
 */
#ifndef OPS_CONFIG_CHECK_H
#define OPS_CONFIG_CHECK_H

#include "base/span.h"

#include <stdbool.h>

const char *check_listen(struct span entry);
/* check_mode: an octal file mode of three or four digits, for all bits of 0777. */
const char *check_mode(struct span mode);
const char *check_network(struct span network); /* good until the thread's next call */
const char *check_base_path(struct span path);
const char *check_url_given(struct span url);
const char *check_channel_prefix(struct span prefix);
const char *check_origin(struct span origin); /* or "*" */
const char *check_key_name(struct span name);
const char *check_scope(struct span scope);
/* These are good when empty. */
const char *check_secret(struct span secret);
const char *check_webhook_name(struct span name);
const char *check_variable(struct span name);
const char *check_header_name(struct span name);
const char *check_field(struct span path);
const char *check_redis_prefix(struct span prefix);

/* listen_is_private: only this host can reach it: a loopback address or a unix socket. */
bool listen_is_private(struct span entry);

#endif
