/*
 * libwebsockets of one worker: its context on the worker's loop, a virtual host in clear and one
 * with TLS, both without listeners of their own. It owns sockets and handshakes; what connections
 * do is in conn.c.
 */
#ifndef HTTP_LIBRARY_H
#define HTTP_LIBRARY_H

#include "http/worker.h"

/* library_log: sends its lines to our log; once, before the first start. */
void library_log(void);

/* library_start: sets w->lws, vhost, tls_vhost, tls and scratch; on the main thread, while no
 * worker runs. */
int library_start(struct worker *w, struct buf *why);
/* library_stop: the same the other way round; closes what is open. */
void library_stop(struct worker *w);

#endif
