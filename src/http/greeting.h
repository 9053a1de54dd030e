/*
 * The PROXY protocol at the front of a connection (setting proxy_protocol): read before anything
 * else sees the socket, since over TLS it comes before the handshake. Lives on the worker's thread.
 */
#ifndef HTTP_GREETING_H
#define HTTP_GREETING_H

#include "http/worker.h"

/*
 * greeting_accept: takes a connected TCP socket. Where the setting is off it goes to conn_accept at
 * once; else it waits for the header, for at most request_seconds; who is not a trusted proxy is
 * closed.
 */
void greeting_accept(struct worker *w, int fd, const struct sockaddr_storage *from, bool tls);

/* greeting_end_all: closes those that wait; for the end of a worker. */
void greeting_end_all(struct worker *w);

#endif
