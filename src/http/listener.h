/* Listening sockets of a worker. */
#ifndef HTTP_LISTENER_H
#define HTTP_LISTENER_H

#include "http/worker.h"

/*
 * listeners_open: opens all of the options' listeners for all workers: a TCP address once for each
 * worker (SO_REUSEPORT), a unix path once for all. 0, or ERR_SYS / ERR_INVALID with one line in
 * why.
 */
int listeners_open(struct http_server *server, struct buf *why);
void listeners_close(struct http_server *server);

/* listeners_start: begins to accept, on the worker's thread or before it runs; listeners_stop: ends
 * it. */
void listeners_start(struct worker *w);
void listeners_stop(struct worker *w);

/* listeners_drain: takes what is queued, then closes this worker's own sockets, so that a connect
 * is refused. */
void listeners_drain(struct worker *w);

/* listeners_room: a descriptor came free; listeners_retry: accepts again, if there is one. */
void listeners_room(struct worker *w);
void listeners_retry(struct worker *w);

#endif
