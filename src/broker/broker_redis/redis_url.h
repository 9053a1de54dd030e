/*
 * The URL of a Redis server, taken apart. Pure: no I/O, no look-up. No message and no description
 * repeats anything that could be part of a password, however the URL is broken.
 *
 *   redis://[user[:password]@]host[:port][/db][?db=n]
 *   rediss://…[?cacert=/path/of/ca.pem]
 *   unix://[user[:password]@]/path[?db=n], also unix:/path and redis+unix://
 */
#ifndef BROKER_REDIS_REDIS_URL_H
#define BROKER_REDIS_REDIS_URL_H

#include "base/span.h"

#include <stddef.h>
#include <stdint.h>

enum redis_transport { REDIS_TCP, REDIS_TLS, REDIS_UNIX };

struct redis_url {
    enum redis_transport transport;
    uint16_t port;
    uint32_t db;
    char *host;     /* owned; a name or an address without brackets; NULL for a unix socket */
    char *path;     /* owned; of the unix socket, else NULL */
    char *user;     /* owned; decoded, may be NULL */
    char *password; /* owned; decoded, may be NULL */
    char *cacert;   /* owned; a file of certificates to trust, NULL: the system's */
};

/*
 * redis_url_parse: 0, or ERR_INVALID with one line in `why`: what is wrong and what would be valid.
 * On success *out is owned by the caller and ends with redis_url_free.
 */
int redis_url_parse(struct span text, struct redis_url *out, char *why, size_t why_size);

/* redis_url_free: wipes the password before it gives the memory back; *url is empty then. */
void redis_url_free(struct redis_url *url);

/* redis_url_describe: the URL without user and password; returns `out`. */
const char *redis_url_describe(const struct redis_url *url, char *out, size_t out_size);

/* redis_url_discreet: `why`, or fixed words where it repeats the password, as some servers do. */
const char *redis_url_discreet(const struct redis_url *url, const char *why);

#endif
