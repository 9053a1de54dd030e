/*
 * One HTTP/1.1 connection: a raw socket of libwebsockets, a strict reader of requests, a queue of
 * frames to write. Requests are answered one after the other; a request for a stream turns the
 * connection into one for good. Lives on its worker's thread; it ends in one place, at the end of a
 * loop turn (conn_reap_all).
 */
#ifndef HTTP_CONN_H
#define HTTP_CONN_H

#include "base/buf.h"
#include "http/tls.h"
#include "http/wheel.h"
#include "http/worker.h"
#include "hub/outq.h"

#include <libwebsockets.h>
#include <stdbool.h>

#define CONN_MAGIC 0xc044ec71u

struct exchange;
struct stream;

enum conn_state {
    CONN_HEAD,    /* reads a request's head, or waits for one */
    CONN_BODY,    /* reads the body of `exchange` */
    CONN_WAITING, /* `exchange` waits for its answer */
    CONN_STREAM,  /* an event stream: what the client still sends is dropped */
    CONN_ENDING,  /* writes what is queued, then closes */
    CONN_LINGER,  /* all is written and our side is shut: waits for the client to close */
    CONN_DEAD,    /* to be reaped */
};

/* Where a connection comes from. */
struct conn_origin {
    bool is_unix, tls;
    bool behind_proxy;       /* peer is a trusted proxy: each request says whom it is for */
    struct net_address peer; /* not of a unix socket */
};

struct conn {
    /* What a delivery touches, together. */
    uint32_t magic;
    enum conn_state state;
    bool blocked; /* the socket takes no more: waits for POLLOUT */
    bool yielded; /* has had its share of this turn: goes on at the next POLLOUT */
    bool goodbye; /* is to end politely at the end of the turn */
    bool paused;  /* reading is switched off */
    int fd;       /* borrowed: libwebsockets's */
    SSL *ssl;     /* borrowed: libwebsockets's; NULL in clear and before the handshake is done */
    struct worker *worker; /* borrowed */
    struct outq out;
    struct list mark; /* in worker->reap or worker->dirty */
    /* The rest. */
    struct lws *wsi; /* borrowed: libwebsockets's */
    struct conn_origin origin;
    struct net_address client;   /* whom the limit for an address counts it to, */
    bool counted;                /* if it does */
    bool over_all, over_address; /* it is over a limit */
    bool resumed;                /* reading was off until the present answer */
    bool close_next;             /* no further request on this connection */
    bool served;                 /* has had an answer: idle now, not new */
    bool in_input;               /* conn_process is on the stack */
    struct list node;            /* in worker->conns */
    struct wheel_entry deadline;
    struct buf in;             /* bytes not yet understood */
    struct exchange *exchange; /* owned; NULL between requests */
    struct stream *stream;     /* owned; only in CONN_STREAM */
};

/* conn_accept: takes a connected socket over; closes it when that fails. */
void conn_accept(struct worker *w, int fd, const struct conn_origin *origin);

/* conn_set_client: the client behind a proxy, for the limits; the connection's own from then on. */
void conn_set_client(struct conn *c, const struct net_address *client);

/* conn_too_many: a static sentence when it is over a limit of connections, else NULL. */
const char *conn_too_many(const struct conn *c);

/* conn_callback: libwebsockets's callback for raw sockets. */
int conn_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                  size_t len);

/* conn_send: writes a frame or queues it (a reference of its own). 0, or ERR_FULL past `limit`
 * bytes. */
int conn_send(struct conn *c, struct frame *f, uint64_t limit);

/*
 * conn_send_run: writes the worker's run from entry `from` on, in one system call where the socket
 * takes it; the rest is queued. As conn_send.
 */
int conn_send_run(struct conn *c, uint32_t from, uint64_t limit);

/* conn_queue: queues without writing yet; conn_flush writes. */
int conn_queue(struct conn *c, struct frame *f, uint64_t limit);
void conn_flush(struct conn *c);

/* conn_resume: reads again; to be called before writing, since a paused socket reports no room
 * either. */
void conn_resume(struct conn *c);

/* conn_answered: the present exchange's answer is queued: on to the next request, or to the end. */
void conn_answered(struct conn *c);

/* conn_end: writes what is queued, then closes politely. conn_kill: closes at the end of the turn.
 */
void conn_end(struct conn *c);
void conn_kill(struct conn *c);

/* conn_goodbye: conn_end at the end of the turn, for use within a fan-out. */
void conn_goodbye(struct conn *c);

/* conn_linger: for conn_flush: the last byte of a connection that is ending is written. */
void conn_linger(struct conn *c);
/* conn_uncount: for conn_free: takes it out of the limits. */
void conn_uncount(struct conn *c);

/* conn_due: its deadline has fired. */
void conn_due(struct conn *c);

/* conn_reap_all: ends those marked; from the loop's prepare watcher only. */
void conn_reap_all(struct worker *w);

#endif
