/*
 * What is said first on each connection: AUTH, PING, SELECT, a name, ROLE; sent in one go. It finds
 * out whether this is a Redis that we may and can work with. Core thread.
 */
#ifndef BROKER_REDIS_HELLO_H
#define BROKER_REDIS_HELLO_H

#include "broker/broker_redis/link.h"

#include <stdbool.h>
#include <stddef.h>

enum hello_verdict { HELLO_WAITING, HELLO_DONE, HELLO_REFUSED };

struct hello {
    const struct redis_url *url; /* borrowed */
    size_t step;                 /* whose answer is awaited */
    bool done;
};

/* hello_begin: queues the commands; each reply goes to hello_reply until it is not HELLO_WAITING.
 */
void hello_begin(struct hello *h, struct link *link, const struct redis_url *url);

/* hello_reply: HELLO_REFUSED leaves one line in why, which never repeats a password. */
enum hello_verdict hello_reply(struct hello *h, const struct redisReply *reply, char *why,
                               size_t why_size);

/* hello_role: NULL when this answer to ROLE is a primary's (or ROLE is not allowed), else why not.
 */
const char *hello_role(const struct redisReply *reply);

#endif
