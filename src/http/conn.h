/*
 * One HTTP/1.1 connection: a socket, a strict reader of requests, a queue of frames to write.
 * Requests are answered one after the other; a request for a stream turns the connection into one
 * for good. Over HTTP/2 (h2.h) each request is a connection of this kind, without a socket: a part.
 * Lives on its worker's thread; it ends in one place, at the end of a loop turn (conn_reap_all).
 */
#ifndef HTTP_CONN_H
#define HTTP_CONN_H

#include "base/buf.h"
#include "http/socket.h"
#include "http/wheel.h"
#include "http/worker.h"
#include "hub/outq.h"
#include "proto/http1.h"

#include <stdbool.h>

#define CONN_MAGIC 0xc044ec71u

enum { CONN_HEAD_BYTES = 16384 };

/*
 * Up to CONN_BULK_FROM bytes a write costs about what any system call does, and is done at once.
 * What is larger is bulk: it is written in slices, of which a loop turn has a budget, connection
 * after connection, so that a huge message to many does not hold up the small ones of others.
 */
enum { CONN_BULK_FROM = 16 * 1024, CONN_SLICE = 64 * 1024 };

struct exchange;
struct h2;
struct stream;

enum conn_state {
    CONN_HEAD,    /* reads a request's head, or waits for one */
    CONN_BODY,    /* reads the body of `exchange` */
    CONN_WAITING, /* `exchange` waits for its answer */
    CONN_STREAM,  /* an event stream: what the client still sends is dropped */
    CONN_SESSION, /* HTTP/2: see h2.h */
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
    bool blocked;          /* the socket takes no more: waits for room */
    bool yielded;          /* has more to write than its share of this turn: see worker->bulk */
    bool goodbye;          /* is to end politely at the end of the turn */
    bool hungry;           /* its stream has more to write when there is room: stream_room */
    struct worker *worker; /* borrowed */
    struct outq out;
    int32_t stream_id; /* of a part; 0: has a socket */
    union {
        struct socket socket;
        struct list sibling; /* of a part: among those of its connection */
    };
    struct list mark; /* in worker->reap, worker->dirty or worker->bulk */
    /* The rest. */
    struct conn_origin origin;
    struct net_address client;   /* whom the limit for an address counts it to, */
    bool counted;                /* if it does */
    bool in_all;                 /* it counts for the limit of all */
    bool over_all, over_address; /* it is over a limit */
    bool close_next;             /* no further request on this connection */
    bool served;                 /* has had an answer: idle now, not new */
    bool in_input;               /* conn_process is on the stack */
    bool closed;                 /* of a part: its stream is */
    struct list node;            /* in worker->conns */
    struct wheel_entry deadline;
    struct buf in;             /* bytes not yet understood */
    struct exchange *exchange; /* owned; NULL between requests */
    struct stream *stream;     /* owned; only in CONN_STREAM */
    struct h2 *h2;             /* owned; of a part: borrowed, NULL when that is gone before it */
};

extern const struct http1_limits conn_head_limits;

/* conn_accept: takes a connected socket over; closes it when that fails. */
void conn_accept(struct worker *w, int fd, const struct conn_origin *origin);

/* conn_set_client: the client behind a proxy, for the limits; the connection's own from then on. */
void conn_set_client(struct conn *c, const struct net_address *client);

/* conn_too_many: a static sentence when it is over a limit of connections, else NULL. */
const char *conn_too_many(const struct conn *c);

/* conn_socket_events: what a connection does about its socket. */
extern const struct socket_events conn_socket_events;

/*
 * conn_answer: begins the answer to the present exchange. Its first head_len bytes are the head as
 * HTTP/1.1 has it, with its empty line; whole: the rest of `text` is all that follows.
 */
void conn_answer(struct conn *c, struct span text, size_t head_len, bool whole);

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

/* What a request is made of, for who reads it: its head (the spans of req point into it), why there
 * is none, and that its body is complete. */
void conn_begin(struct conn *c, struct span head, const struct http1_request *req);
void conn_malformed(struct conn *c, const struct http1_error *error);
void conn_body_done(struct conn *c);

/*
 * conn_write_bulk: a turn's budget of what connections have yielded, round robin; once a turn,
 * before connections are reaped. While some wait still the loop must not sleep. Then other threads
 * may have the processor, the core's above all, unless they had it for long not long ago.
 */
void conn_write_bulk(struct worker *w);
/* conn_yield: it has more to write than its share of this turn: to the end of the round. */
void conn_yield(struct conn *c);
/* conn_go_on: for conn_write_bulk: writes, then reads what waited for the queue to be empty. */
void conn_go_on(struct conn *c);

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
/* conn_count: puts it under the limits; conn_uncount: for conn_free: takes it out. */
void conn_count(struct conn *c);
void conn_uncount(struct conn *c);
/* conn_inherit_limits: the socket counts for this part; conn_inherit_place: from now on, instead of
 * itself; false when it was not counted. */
void conn_inherit_limits(struct conn *part, const struct conn *root);
bool conn_inherit_place(struct conn *part);

/* conn_due: its deadline has fired. */
void conn_due(struct conn *c);

/* conn_reap_all: ends those marked; from the loop's prepare watcher only. */
void conn_reap_all(struct worker *w);

#endif
