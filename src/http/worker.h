/*
 * One worker: a thread with its own libev loop, listening sockets,
 * connections and shard of the hub. The inside of http/ sees this struct; nobody else does.
 */
#ifndef HTTP_WORKER_H
#define HTTP_WORKER_H

#include "base/list.h"
#include "base/map.h"
#include "http/addresses.h"
#include "http/server.h"
#include "http/socket.h"
#include "http/wheel.h"
#include "hub/shard.h"

#include <ev.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/uio.h>

#define WORKER_MAGIC 0x3033e001u

struct h2_common;

struct listener {
    ev_io io; /* data: the worker */
    int fd;   /* owned, or a unix socket that worker 0 owns */
    bool is_unix;
    bool tls;
};

enum { RUN_ENTRIES = 256 };

/* Frames of one topic that came one after the other: written to each stream in one system call. */
struct run {
    struct lane_entry entries[RUN_ENTRIES];
    struct iovec iov[RUN_ENTRIES]; /* the same frames */
    uint32_t count;
    size_t bytes;
};

struct worker {
    uint32_t magic;
    uint32_t index;
    struct http_server *server;         /* borrowed */
    struct http_options settings;       /* this worker's own copy: changes with MSG_SETTINGS */
    const struct http_options *options; /* borrowed: settings */
    struct metrics *metrics;            /* borrowed: this thread's own */
    pthread_t thread;
    struct ev_loop *loop;      /* owned */
    struct h2_common *h2;      /* owned: what the HTTP/2 connections share */
    struct sockets sockets;    /* what the connections' sockets share */
    struct downlink *downlink; /* borrowed from the server */
    struct shard *shard;       /* owned */
    ev_async wake;
    ev_idle awake;   /* active while somebody is in bulk: the loop looks round without a sleep */
    ev_prepare turn; /* the end of a turn: connections are reaped, the core is woken */
    ev_timer accept_retry;
    struct listener *listeners; /* owned */
    size_t listener_count;
    bool accept_paused;
    struct wheel wheel;                 /* deadlines and heartbeats */
    struct list conns;                  /* all connections */
    struct list greetings;              /* sockets whose PROXY header is still to come */
    struct list reap;                   /* connections to end at the end of the turn */
    struct list dirty;                  /* connections with frames of this batch to write */
    struct list bulk;                   /* connections that have yielded, in order of their turns */
    int64_t bulk_left;                  /* bytes of bulk that may still be written in this turn */
    uint64_t keep_until_us;             /* the processor is not given up before this time */
    struct map *exchanges;              /* those that wait for the core, by number */
    struct map *feeds;                  /* of the invalidation bus, by session */
    uint64_t exchange_number;           /* the last one given */
    struct msg *control, *control_tail; /* owned: taken from the mailbox, not yet due */
    struct run *run;                    /* owned: what is being fanned out */
    uint64_t frames_taken;
    uint64_t now_s; /* seconds of the monotonic clock at the beginning of this fan-out */
    bool batching;  /* more frames wait: collect, then write once */
    bool draining;  /* no new streams; what is open ends in its time */
    bool stopping;
    ev_timer drain_over;
    uint64_t random;      /* state of xorshift: jitter only */
    uint64_t date_second; /* of the cached Date header */
    char date[40];
};

struct http_server {
    struct http_options options; /* as at the start */
    char *base_path;             /* owned: outlives the configuration that it came from */
    struct worker *workers;      /* owned, [options.workers] */
    struct downlink *downlinks;  /* owned, [options.workers] */
    uint32_t started;
    atomic_uint sockets;         /* open, of all workers: for the limit */
    atomic_uint paused;          /* workers that accept nothing: descriptors are used up */
    struct addresses *addresses; /* owned; NULL where there is no limit for an address */
    uint64_t started_us;         /* monotonic */
};

int worker_init(struct worker *w, struct http_server *server, uint32_t index, struct buf *why);
void worker_fini(struct worker *w);
/* worker_run: the thread's body. */
void *worker_run(void *arg);

/* worker_random: a number below `below`, for jitter. */
uint32_t worker_random(struct worker *w, uint32_t below);

/* worker_date: the value of a Date header for now; borrowed until the next call. */
const char *worker_date(struct worker *w);

/* worker_core: posts a message to the core, which hears of it at the end of this turn; takes
 * ownership. */
void worker_core(struct worker *w, struct msg *m);

uint64_t worker_now_us(const struct worker *w);

#endif
