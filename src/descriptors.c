#include "base/log.h"
#include "gateway.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

enum {
    RESERVE = 64,   /* for listeners, Redis, logs and the loops */
    MOST = 1 << 20, /* the loops keep tables as long as the highest descriptor */
};

/* A limit of "infinity", as containers have it, is cut down. */
uint32_t descriptors_set(uint32_t connections)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    rlim_t want = connections ? (rlim_t)connections + RESERVE : limit.rlim_max;
    if (want > MOST)
        want = MOST;
    if (want > limit.rlim_max)
        want = limit.rlim_max;
    limit.rlim_cur = want;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warn("main", "the descriptor limit could not be set: %s", strerror(errno));
    uint32_t room = want > (rlim_t)RESERVE * 2 ? (uint32_t)want - RESERVE : (uint32_t)want / 2;
    if (connections > room)
        log_warn("main", "limits.connections is %u, but the descriptor limit allows %u",
                 connections, room);
    return connections && connections < room ? connections : room;
}
