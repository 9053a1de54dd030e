#include "crowd.h"

#include "proc.h"
#include "reader.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    MOST_HANDSHAKES = 2000, /* within a listener's backlog */
    SOURCES = 9,            /* 127.0.0.1 to .9: each has its own ports */
    EVENTS = 256,
    READ_BYTES = 65536,
    REQUEST_BYTES = 8192,
};

enum state { UNBORN, SENDING, WAITING, READY, CLOSED };

struct stream {
    int fd;
    enum state state;
    bool bulk;
    struct reader reader;
};

struct crowd {
    struct ledger *ledger;         /* borrowed */
    const struct dialect *dialect; /* borrowed */
    struct sockaddr_in server;
    const char *names; /* borrowed */
    struct stream *streams;
    uint32_t *expected; /* of all streams, group after group */
    uint32_t count, begun, in_flight, ready, expected_count;
    int epoll, bulk_epoll;
    char failure[128];
    char bytes[READ_BYTES];
};

/* What is in an event's data besides a stream's number. */
static const uint64_t data_bulk = UINT64_MAX, data_foreign = UINT64_MAX - 1;

static void *must(void *p)
{
    if (!p)
        abort();
    return p;
}

static void watch(int epoll, int op, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event e = {.events = events, .data.u64 = data};
    if (epoll_ctl(epoll, op, fd, &e) != 0)
        abort();
}

struct crowd *crowd_create(struct ledger *ledger, const struct dialect *dialect,
                           const struct sockaddr_in *server, const char *names)
{
    struct crowd *c = must(calloc(1, sizeof(*c)));
    c->ledger = ledger;
    c->dialect = dialect;
    c->server = *server;
    c->names = names;
    c->epoll = epoll_create1(EPOLL_CLOEXEC);
    c->bulk_epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(c->epoll, EPOLL_CTL_ADD, c->bulk_epoll, EPOLLIN, data_bulk);
    return c;
}

void crowd_channel_name(const struct crowd *c, uint32_t channel, char out[64])
{
    snprintf(out, 64, "%s%u", c->names, channel);
}

void crowd_watch(struct crowd *c, int fd, bool writing)
{
    uint32_t events = EPOLLIN | (writing ? EPOLLOUT : 0);
    struct epoll_event e = {.events = events, .data.u64 = data_foreign};
    if (epoll_ctl(c->epoll, EPOLL_CTL_MOD, fd, &e) != 0)
        watch(c->epoll, EPOLL_CTL_ADD, fd, events, data_foreign);
}

static void fail(struct crowd *c, const char *what)
{
    if (!c->failure[0])
        snprintf(c->failure, sizeof(c->failure), "%s: %s", what, strerror(errno));
}

const char *crowd_failure(const struct crowd *c)
{
    return c->failure[0] ? c->failure : NULL;
}

uint32_t crowd_opening(const struct crowd *c)
{
    return c->failure[0] ? 0 : c->count - c->begun + c->in_flight;
}

uint32_t crowd_ready(const struct crowd *c)
{
    return c->ready;
}

/* The arrays move here, so that the readers' borrowed pointers are set anew. */
static void grow(struct crowd *c, uint32_t streams, uint32_t span)
{
    uint32_t *old = c->expected;
    uint32_t pairs = c->expected_count + streams * span;
    c->streams = must(realloc(c->streams, (c->count + streams) * sizeof(*c->streams)));
    c->expected = must(malloc(pairs * sizeof(*c->expected)));
    if (old)
        memcpy(c->expected, old, c->expected_count * sizeof(*old));
    for (uint32_t i = 0; i < c->count; i++)
        c->streams[i].reader.next = c->expected + (c->streams[i].reader.next - old);
    free(old);
}

void crowd_open(struct crowd *c, const struct group *group)
{
    grow(c, group->streams, group->span);
    for (uint32_t i = 0; i < group->streams; i++) {
        struct stream *s = &c->streams[c->count++];
        memset(s, 0, sizeof(*s));
        s->fd = -1;
        s->bulk = group->bulk;
        s->reader.first = group->first_channel + i * group->span % group->channels;
        s->reader.span = group->span;
        s->reader.next = c->expected + c->expected_count;
        for (uint32_t k = 0; k < group->span; k++) {
            struct channel *channel = &c->ledger->channels[s->reader.first + k];
            s->reader.next[k] = channel->published;
            channel->readers++;
        }
        c->expected_count += group->span;
    }
}

static size_t write_request(const struct crowd *c, const struct stream *s, char *out)
{
    char name[64];
    size_t n = (size_t)sprintf(out, "GET ");
    for (uint32_t k = 0; k < s->reader.span && n < REQUEST_BYTES - 256; k++) {
        crowd_channel_name(c, s->reader.first + k, name);
        n += (size_t)sprintf(out + n, "%s%s", k ? c->dialect->further : c->dialect->first, name);
    }
    n += (size_t)sprintf(out + n, " HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n"
                                  "User-Agent: swarm\r\n\r\n");
    return n;
}

static void send_request(struct crowd *c, struct stream *s)
{
    char request[REQUEST_BYTES];
    size_t n = write_request(c, s, request);
    uint64_t number = (uint64_t)(s - c->streams);
    ssize_t sent = send(s->fd, request, n, MSG_NOSIGNAL);
    if (sent == (ssize_t)n) {
        if (s->state == SENDING)
            watch(c->epoll, EPOLL_CTL_MOD, s->fd, EPOLLIN, number);
        else
            watch(c->epoll, EPOLL_CTL_ADD, s->fd, EPOLLIN, number);
        s->state = WAITING;
        return;
    }
    if (s->state == UNBORN && sent < 0 && (errno == EAGAIN || errno == ENOTCONN)) {
        watch(c->epoll, EPOLL_CTL_ADD, s->fd, EPOLLOUT, number);
        s->state = SENDING;
        return;
    }
    fail(c, "send a request");
}

static void begin_stream(struct crowd *c, struct stream *s, uint32_t number)
{
    int on = 1;
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK + number % SOURCES)};
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->fd < 0) {
        fail(c, "socket");
        return;
    }
    setsockopt(s->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    c->in_flight++;
    if (bind(s->fd, (struct sockaddr *)&from, sizeof(from)) != 0)
        fail(c, "bind");
    else if (connect(s->fd, (struct sockaddr *)&c->server, sizeof(c->server)) != 0 &&
             errno != EINPROGRESS)
        fail(c, "connect");
    else
        send_request(c, s);
}

static void became_ready(struct crowd *c, struct stream *s)
{
    s->state = READY;
    c->in_flight--;
    c->ready++;
    if (!s->bulk)
        return;
    watch(c->epoll, EPOLL_CTL_DEL, s->fd, 0, 0);
    watch(c->bulk_epoll, EPOLL_CTL_ADD, s->fd, EPOLLIN, (uint64_t)(s - c->streams));
}

/* The server has ended a stream that we did not end. */
static void was_closed(struct crowd *c, struct stream *s)
{
    c->ledger->tally.closed++;
    if (s->state == READY)
        c->ready--;
    else
        fail(c, "closed before it was ready");
    close(s->fd);
    s->fd = -1;
    s->state = CLOSED;
}

static void read_stream(struct crowd *c, struct stream *s)
{
    ssize_t n = recv(s->fd, c->bytes, sizeof(c->bytes), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        was_closed(c, s);
        return;
    }
    reader_feed(&s->reader, c->ledger, c->bytes, (size_t)n, now_ns(), c->dialect->ready);
    if (s->state == WAITING && s->reader.refused) {
        errno = EPROTO;
        fail(c, "the answer is not 200");
    } else if (s->state == WAITING && s->reader.ready) {
        became_ready(c, s);
    }
}

static void read_bulk(struct crowd *c)
{
    struct epoll_event e;
    if (epoll_wait(c->bulk_epoll, &e, 1, 0) == 1)
        read_stream(c, &c->streams[e.data.u64]);
}

bool crowd_step(struct crowd *c, uint64_t timeout_ns)
{
    struct epoll_event events[EVENTS];
    struct timespec wait = {.tv_sec = (time_t)(timeout_ns / 1000000000u),
                            .tv_nsec = (long)(timeout_ns % 1000000000u)};
    bool bulk = false;
    while (c->begun < c->count && c->in_flight < MOST_HANDSHAKES && !c->failure[0]) {
        begin_stream(c, &c->streams[c->begun], c->begun);
        c->begun++;
    }
    int n = epoll_pwait2(c->epoll, events, EVENTS, &wait, NULL);
    for (int i = 0; i < n; i++) {
        uint64_t data = events[i].data.u64;
        if (data == data_bulk)
            bulk = true;
        else if (data == data_foreign)
            continue;
        else if (c->streams[data].state == SENDING)
            send_request(c, &c->streams[data]);
        else if (c->streams[data].fd >= 0)
            read_stream(c, &c->streams[data]);
    }
    if (bulk)
        read_bulk(c);
    return n > 0;
}

void crowd_close(struct crowd *c)
{
    for (uint32_t i = 0; i < c->count; i++) {
        struct reader *r = &c->streams[i].reader;
        for (uint32_t k = 0; k < r->span; k++)
            c->ledger->channels[r->first + k].readers--;
        if (c->streams[i].fd >= 0)
            close(c->streams[i].fd);
    }
    c->count = c->begun = c->in_flight = c->ready = c->expected_count = 0;
}
