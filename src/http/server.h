/*
 * The HTTP side: listeners, worker threads, connections, streams, endpoints. Created on the main
 * thread, before any worker runs; then each worker lives on its own thread and talks to the core by
 * its downlink and the uplink only.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "access/access.h"
#include "base/buf.h"
#include "base/clock.h"
#include "http/hooks.h"
#include "hub/lane.h"
#include "hub/namespaces.h"
#include "ops/metrics.h"
#include "proto/cidr.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_server; /* opaque */

/*
 * Everything is borrowed: `listen`, `base_path` and the names of the TLS files for the call, the
 * rest until the server is destroyed or all workers have answered MSG_SETTINGS with another one of
 * these.
 */
struct http_options {
    uint32_t workers;
    char *const *listen; /* "address:port", "[v6]:port", with http:// or https://, "unix:/path" */
    size_t listen_count;
    const char *unix_mode, *unix_owner; /* of unix sockets: "0660", "user:group" */
    const char *base_path;              /* "" or "/a" */
    const char *tls_cert, *tls_key;     /* PEM files; NULL: no TLS */
    bool memory; /* no Redis: what "receivers" counts, and what readiness means */
    uint32_t retry_ms, heartbeat_seconds, request_seconds;
    uint32_t max_connections; /* streams and requests, all workers together */
    uint32_t max_per_address; /* the same for one client address; 0: no limit */
    uint32_t max_channels, name_bytes;
    uint64_t body_bytes, message_bytes, queue_bytes;
    const struct cidr *trusted; /* proxies whose word on the client is taken */
    size_t trusted_count;
    bool proxy_protocol; /* every TCP connection begins with a PROXY header */
    char *const *cors_origins;
    size_t cors_origin_count;
    const struct access *access;
    struct http_hooks hooks;
    const struct namespaces *namespaces;
    const struct clock *clock;
    struct uplink *uplink;
    struct metrics *const *metrics; /* [workers + 1]: one for each worker, the core's last */
};

/* http_server_create: binds all listeners. 0 with an owned *out, or ERR_SYS / ERR_INVALID with one
 * line in why. */
int http_server_create(const struct http_options *options, struct http_server **out,
                       struct buf *why);

/* http_check_tls: would this pair of PEM files do? 0, or ERR_INVALID with one line in why. */
int http_check_tls(const char *cert, const char *key, struct buf *why);

/* http_server_downlinks: the ways to the workers, [workers]; borrowed, live as long as the server.
 */
struct downlink *http_server_downlinks(struct http_server *server);

/* http_server_start: starts the threads. Each ends after MSG_STOP and answers MSG_STOPPED. */
int http_server_start(struct http_server *server, struct buf *why);

/* http_server_destroy: waits for the threads, which must have been told to stop. */
void http_server_destroy(struct http_server **server);

#endif
