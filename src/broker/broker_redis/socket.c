#include "broker/broker_redis/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IDLE_SECONDS = 15, PROBE_SECONDS = 5, PROBES = 3 };

/* None of these is needed for correctness (the beat is), so failures do not matter. */
static void tune(int fd, uint32_t unacked_ms)
{
    const struct {
        int level, name, value;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, IDLE_SECONDS},
        {IPPROTO_TCP, TCP_KEEPINTVL, PROBE_SECONDS},
        {IPPROTO_TCP, TCP_KEEPCNT, PROBES},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, (int)unacked_ms},
    };
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                   sizeof(options[i].value));
}

int socket_dial(const struct address *to, uint32_t unacked_ms)
{
    int fd = socket(to->bytes.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (to->bytes.ss_family != AF_UNIX)
        tune(fd, unacked_ms);
    if (connect(fd, (const struct sockaddr *)&to->bytes, to->len) == 0 || errno == EINPROGRESS)
        return fd;
    int failed = errno;
    close(fd);
    errno = failed;
    return -1;
}

/*
 * While Redis is away, a connect to a loopback port of the ephemeral range may get that very port
 * as its own and so reach itself, and then hold the port against Redis. Reset, it is free at once.
 */
static bool is_myself(int fd)
{
    struct sockaddr_storage near = {0}, far = {0};
    socklen_t near_len = sizeof(near), far_len = sizeof(far);
    const struct linger reset = {.l_onoff = 1};
    if (getsockname(fd, (struct sockaddr *)&near, &near_len) < 0 || near.ss_family == AF_UNIX ||
        getpeername(fd, (struct sockaddr *)&far, &far_len) < 0 || near_len != far_len ||
        memcmp(&near, &far, near_len) != 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    return true;
}

int socket_outcome(int fd)
{
    int failed = 0;
    socklen_t len = sizeof(failed);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &len) < 0)
        return errno;
    return !failed && is_myself(fd) ? ECONNREFUSED : failed;
}
