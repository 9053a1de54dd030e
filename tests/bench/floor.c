/*
 * The floor: the least that one core can do the gateway's fan-out with. hiredis reads messages of
 * one channel, epoll tells of new clients, and each client gets the same bytes as from the gateway,
 * by one send() a delivery; with --batch all messages that have come go out in one writev() a
 * client. With --replay messages have ids, and a new client gets at once all but the first of those
 * that have come. No timeouts, no limits, no heartbeats: nothing but the work that cannot be left
 * out.
 */
#include <errno.h>
#include <fcntl.h>
#include <hiredis.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { BATCH = 1024, EVENTS = 256 };

static const char answer[] = "HTTP/1.1 200 OK\r\n"
                             "Content-Type: text/event-stream\r\n"
                             "Cache-Control: no-cache, no-transform\r\n"
                             "X-Accel-Buffering: no\r\n"
                             "Connection: close\r\n\r\n"
                             "retry: 2000\n\n: subscribed\n\n";

struct client {
    int fd;
    uint32_t place; /* in clients, once it listens */
    char *rest;     /* owned: what the socket did not take */
    size_t rest_len;
};

static struct client **clients;
static uint32_t client_count, client_room;
static struct iovec frames[BATCH];
static int frame_count;
static int epoll, listener;
static bool replay;
static unsigned long long last_id = 1700000000000000ull;
static char *past; /* with --replay: the answer, and what has come */
static size_t past_len = sizeof(answer) - 1;
static redisContext *redis;

static void watch(int op, int fd, uint32_t events, void *data)
{
    struct epoll_event e = {.events = events, .data.ptr = data};
    if (epoll_ctl(epoll, op, fd, &e) != 0)
        abort();
}

static void accept_all(void)
{
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct client *c = calloc(1, sizeof(*c));
        c->fd = fd;
        c->place = UINT32_MAX;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        watch(EPOLL_CTL_ADD, fd, EPOLLIN, c);
    }
}

static void end_client(struct client *c)
{
    close(c->fd);
    if (c->place != UINT32_MAX) {
        clients[c->place] = clients[--client_count];
        clients[c->place]->place = c->place;
    }
    free(c->rest);
    free(c);
}

static void keep_rest(struct client *c, const struct iovec *iov, int n, size_t sent)
{
    for (int i = 0; i < n; i++) {
        size_t skip = sent < iov[i].iov_len ? sent : iov[i].iov_len;
        sent -= skip;
        c->rest = realloc(c->rest, c->rest_len + iov[i].iov_len - skip + 1);
        memcpy(c->rest + c->rest_len, (char *)iov[i].iov_base + skip, iov[i].iov_len - skip);
        c->rest_len += iov[i].iov_len - skip;
    }
}

static bool send_answer(struct client *c)
{
    struct iovec all = {past ? past : (char *)answer, past_len};
    ssize_t n = send(c->fd, all.iov_base, all.iov_len, MSG_NOSIGNAL);
    if (n >= 0 && (size_t)n < all.iov_len) {
        watch(EPOLL_CTL_MOD, c->fd, EPOLLIN | EPOLLOUT, c);
        keep_rest(c, &all, 1, (size_t)n);
    }
    return n >= 0;
}

static void keep_past(const char *frame, size_t bytes)
{
    past = realloc(past, past_len + bytes);
    if (past_len == sizeof(answer) - 1)
        memcpy(past, answer, past_len);
    memcpy(past + past_len, frame, bytes);
    past_len += bytes;
}

/* A request is small: it comes in one piece. */
static void read_client(struct client *c)
{
    char bytes[8192];
    ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);
    if (n <= 0 || (c->place == UINT32_MAX && !send_answer(c))) {
        end_client(c);
        return;
    }
    if (c->place != UINT32_MAX)
        return;
    if (client_count == client_room) {
        client_room = client_room ? client_room * 2 : 1024;
        clients = realloc(clients, client_room * sizeof(struct client *));
    }
    c->place = client_count;
    clients[client_count++] = c;
}

static void write_rest(struct client *c)
{
    ssize_t n = send(c->fd, c->rest, c->rest_len, MSG_NOSIGNAL);
    if (n <= 0)
        return;
    c->rest_len -= (size_t)n;
    memmove(c->rest, c->rest + n, c->rest_len);
    if (c->rest_len == 0)
        watch(EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
}

static void fan_out(size_t bytes)
{
    for (uint32_t i = 0; i < client_count; i++) {
        struct client *c = clients[i];
        ssize_t n = 0;
        if (c->rest_len == 0)
            n = frame_count == 1 ? send(c->fd, frames[0].iov_base, bytes, MSG_NOSIGNAL)
                                 : writev(c->fd, frames, frame_count);
        if (n == (ssize_t)bytes)
            continue;
        if (c->rest_len == 0)
            watch(EPOLL_CTL_MOD, c->fd, EPOLLIN | EPOLLOUT, c);
        keep_rest(c, frames, frame_count, n > 0 ? (size_t)n : 0);
    }
    while (frame_count)
        free(frames[--frame_count].iov_base);
}

static void add_frame(const char *data, size_t len)
{
    char *frame = malloc(len + 64);
    int n = 0;
    if (replay) {
        last_id++;
        n = sprintf(frame, "id: %llu-%llu\n", last_id / 1000, last_id % 1000);
    }
    n += sprintf(frame + n, "data: %s\n\n", data);
    frames[frame_count++] = (struct iovec){frame, (size_t)n};
}

static void take_messages(bool batch)
{
    redisReply *reply = NULL;
    size_t bytes = 0;
    int waiting = 0;
    do {
        if (redisBufferRead(redis) != REDIS_OK)
            exit(1);
        while (redisGetReplyFromReader(redis, (void **)&reply) == REDIS_OK && reply) {
            if (reply->elements == 3 && reply->element[2]->type == REDIS_REPLY_STRING) {
                static bool second;
                const struct iovec *added = &frames[frame_count];
                add_frame(reply->element[2]->str, reply->element[2]->len);
                bytes += added->iov_len;
                if (replay && second)
                    keep_past(added->iov_base, added->iov_len);
                second = true;
            }
            freeReplyObject(reply);
            if (frame_count && (!batch || frame_count == BATCH)) {
                fan_out(bytes);
                bytes = 0;
            }
        }
    } while (batch && ioctl(redis->fd, FIONREAD, &waiting) == 0 && waiting > 0);
    if (frame_count)
        fan_out(bytes);
}

static void listen_anywhere(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int defer = 5;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &defer, sizeof(defer));
    if (bind(listener, (struct sockaddr *)&at, len) != 0 || listen(listener, 4096) != 0)
        exit(1);
    getsockname(listener, (struct sockaddr *)&at, &len);
    watch(EPOLL_CTL_ADD, listener, EPOLLIN, &listener);
    printf("listening on 127.0.0.1:%d\n", ntohs(at.sin_port));
    fflush(stdout);
}

static void subscribe(int port, const char *channel)
{
    int done = 0;
    redis = redisConnectNonBlock("127.0.0.1", port);
    if (!redis || redis->err || redisAppendCommand(redis, "SUBSCRIBE %s", channel) != REDIS_OK)
        exit(1);
    struct pollfd p = {.fd = redis->fd, .events = POLLOUT};
    while (!done)
        if (poll(&p, 1, 5000) != 1 || redisBufferWrite(redis, &done) != REDIS_OK)
            exit(1);
    watch(EPOLL_CTL_ADD, redis->fd, EPOLLIN, redis);
}

int main(int argc, char **argv)
{
    struct rlimit files;
    bool batch = argc == 4 && strcmp(argv[3], "--batch") == 0;
    if (argc < 3) {
        fprintf(stderr, "usage: floor REDIS_PORT CHANNEL [--batch|--replay]\n");
        return 2;
    }
    replay = argc == 4 && strcmp(argv[3], "--replay") == 0;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    subscribe(atoi(argv[1]), argv[2]);
    listen_anywhere();
    for (;;) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == redis)
                take_messages(batch);
            else if (events[i].data.ptr == &listener)
                accept_all();
            else if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                read_client(events[i].data.ptr);
            else
                write_rest(events[i].data.ptr);
        }
    }
}
