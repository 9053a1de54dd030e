/*
 * How a kind of server is spoken to. The floor speaks the gateway's own dialect.
 */
#ifndef SWARM_DIALECT_H
#define SWARM_DIALECT_H

#include <stdbool.h>

struct dialect {
    const char *name;
    const char *first;   /* what stands before the first channel's name in a stream's target, */
    const char *further; /* and before each further one */
    const char *ready;   /* the comment after which nothing published is missed */
    const char *publish; /* the path to publish under by HTTP; NULL: by Redis */
};

/* dialect_find: NULL when there is none of that name. */
const struct dialect *dialect_find(const char *name);

#endif
