/*
 * The workloads: each is one command of the swarm, runs until all of its messages have reached
 * everybody or its time is over, and leaves its figures in struct result.
 */
#ifndef SWARM_WORKLOAD_H
#define SWARM_WORKLOAD_H

#include "crowd.h"
#include "publisher.h"

/* A command's words; what was not given has the default of workload_defaults. */
struct order {
    uint32_t streams, channels, span, bulk; /* connect */
    uint32_t per_link;
    uint32_t group;                   /* whose channels are published to */
    uint32_t messages, bytes, window; /* publish; resume: how many messages back */
    uint32_t durable;                 /* publish, rate: 1 by the gateway's function in Redis */
    uint32_t port, pid;               /* server */
    uint32_t per_second;              /* rate */
    uint32_t big_bytes, bigs;         /* rate: messages to `big_group` meanwhile */
    uint32_t big_group;
    uint32_t seconds; /* the longest it may take; idle: how long */
};

struct result {
    const char *failure; /* NULL when it went well */
    uint64_t cpu_ns;     /* of the server */
    uint64_t wall_ns;    /* from the first write to the last read; idle, connect: as a whole */
    uint64_t late_ns;    /* rate: the most that a write was behind its time */
    uint64_t own_cpu_ns; /* of the swarm */
    uint32_t big_messages;
    uint64_t big_ns; /* the slowest big message, write to last read */
};

enum { MOST_GROUPS = 8 };

struct bench {
    struct ledger *ledger;
    struct crowd *crowd;
    struct publisher publisher, big_publisher;
    bool durable;      /* how the command at hand publishes */
    int pid;           /* of the server */
    uint32_t base_fds; /* its descriptors before the first stream */
    struct group groups[MOST_GROUPS];
    uint32_t group_count;
    uint32_t random;
};

void workload_connect(struct bench *b, const struct order *o, struct result *r);
void workload_disconnect(struct bench *b, const struct order *o, struct result *r);
void workload_publish(struct bench *b, const struct order *o, struct result *r);
void workload_rate(struct bench *b, const struct order *o, struct result *r);
void workload_resume(struct bench *b, const struct order *o, struct result *r);
void workload_server(struct bench *b, const struct order *o, struct result *r);
void workload_idle(struct bench *b, const struct order *o, struct result *r);

/* workload_wait: handles what comes for that long. */
bool workload_wait(struct bench *b, uint64_t timeout_ns);

#endif
