/*
 * One request and its answer. Made by the connection when a head is complete, ended by the answer.
 * An endpoint sees only this: it reads what it needs, then answers at once or keeps the number and
 * answers when the core has.
 */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H

#include "access/access.h"
#include "base/buf.h"
#include "http/conn.h"
#include "proto/http1.h"
#include "proto/query.h"

#include <stdbool.h>
#include <stdint.h>

struct route;

struct exchange {
    uint64_t number;
    struct conn *conn;         /* borrowed */
    const struct route *route; /* borrowed; NULL when there is none */
    struct buf head;           /* owned: what the spans of req point into */
    struct http1_request req;
    struct span path;   /* raw, without the base path */
    struct query query; /* owned */
    struct identity who;
    struct buf body; /* owned */
    uint64_t body_left;
    struct http1_chunked chunked;
    bool waiting; /* is in worker->exchanges */
};

/* exchange_create: parses nothing more than the head that it is given the bytes of. */
struct exchange *exchange_create(struct conn *c, struct span head, const struct http1_request *req);
void exchange_destroy(struct exchange **x);

/* exchange_begin: finds the route, checks method, access and size. False when it was answered
 * already. */
bool exchange_begin(struct exchange *x);
/* exchange_body: takes body bytes; returns how many belonged to it; *done when it is complete. -1:
 * answered. */
ssize_t exchange_body(struct exchange *x, struct span bytes, bool *done);
/* exchange_data: the same for HTTP/2, whose frames say where the body ends. */
void exchange_data(struct exchange *x, struct span bytes);
/* exchange_run: hands it to its endpoint. */
void exchange_run(struct exchange *x);

/* exchange_wait: the answer comes later, by worker_exchange(number). */
void exchange_wait(struct exchange *x);
struct exchange *worker_exchange(struct worker *w, uint64_t number);

struct reply {
    int status;
    const char *type;    /* NULL: no Content-Type */
    struct span body;    /* borrowed for the call */
    const char *headers; /* further header lines, each with CRLF; NULL */
    bool endless;        /* no Content-Length: a GET would be answered with a stream */
    bool cache;          /* may be kept (otherwise Cache-Control: no-store) */
};

/* exchange_reply: answers and ends the exchange; x is gone afterwards. */
void exchange_reply(struct exchange *x, const struct reply *reply);

/* exchange_json: the same with a JSON body. exchange_error: {"error":"..."}; keeps the format's
 * text short. */
void exchange_json(struct exchange *x, int status, struct span json);
void exchange_error(struct exchange *x, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* exchange_refuse: 401 or 403 for what access_decide said. */
void exchange_refuse(struct exchange *x, int err, const char *why);

/* exchange_head: the status line and the headers that every answer has, into out; open for more. */
void exchange_head(struct exchange *x, struct buf *out, int status);

/* exchange_may: asks access_decide; answers and returns false when it may not. */
bool exchange_may(struct exchange *x, enum access_action action, struct span channel);

static inline struct worker *exchange_worker(const struct exchange *x)
{
    return x->conn->worker;
}

#endif
