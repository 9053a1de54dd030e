#include "crowd.h"

#include "h2.h"
#include "proc.h"
#include "reader.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum {
    MOST_HANDSHAKES = 2000, /* within a listener's backlog */
    EVENTS = 256,
    READ_BYTES = 65536,
    REQUEST_BYTES = 8192,
};

struct stream {
    bool ready, ended;
    struct reader reader;
};

enum state { UNBORN, SENDING, WAITING, READY, CLOSED };

/* A connection and its streams, which are neighbours: one with HTTP/1. */
struct member {
    struct link link;
    enum state state;
    bool bulk;
    uint32_t first, count, ready;
    uint64_t cursor;     /* as in struct group */
    struct h2 *h2;       /* owned; NULL with HTTP/1 */
    struct crowd *crowd; /* borrowed */
};

struct crowd {
    struct ledger *ledger;         /* borrowed */
    const struct dialect *dialect; /* borrowed */
    struct sockaddr_in server;
    const char *names; /* borrowed */
    enum wire wire;
    SSL_CTX *tls; /* owned; NULL in clear */
    struct stream *streams;
    struct member **members; /* owned, each: an HTTP/2 session points to its own */
    uint32_t *expected;      /* of all streams, group after group */
    uint32_t count, ready, expected_count;
    uint32_t member_count, begun, in_flight;
    int epoll, bulk_epoll;
    uint64_t keep_until_ns; /* the processor is not given up before this time */
    char failure[128];
    char bytes[READ_BYTES];
};

/* What is in an event's data besides a member's number. */
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
                           const struct sockaddr_in *server, enum wire wire, const char *names)
{
    struct crowd *c = must(calloc(1, sizeof(*c)));
    c->ledger = ledger;
    c->dialect = dialect;
    c->server = *server;
    c->wire = wire;
    c->tls = link_tls(wire);
    c->names = names;
    c->epoll = epoll_create1(EPOLL_CLOEXEC);
    c->bulk_epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(c->epoll, EPOLL_CTL_ADD, c->bulk_epoll, EPOLLIN, data_bulk);
    return c;
}

void crowd_server(struct crowd *c, uint16_t port)
{
    c->server.sin_port = htons(port);
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
    return c->failure[0] ? 0 : c->member_count - c->begun + c->in_flight;
}

uint32_t crowd_ready(const struct crowd *c)
{
    return c->ready;
}

/* The arrays move here, so that the readers' borrowed pointers are set anew. */
static void grow(struct crowd *c, const struct group *g)
{
    uint32_t *old = c->expected;
    uint32_t pairs = c->expected_count + g->streams * g->span;
    uint32_t members = c->member_count + g->streams / g->per_link + 1;
    c->streams = must(realloc(c->streams, (c->count + g->streams) * sizeof(*c->streams)));
    c->members = must(realloc(c->members, members * sizeof(struct member *)));
    c->expected = must(malloc(pairs * sizeof(*c->expected)));
    if (old)
        memcpy(c->expected, old, c->expected_count * sizeof(*old));
    for (uint32_t i = 0; i < c->count; i++)
        c->streams[i].reader.next = c->expected + (c->streams[i].reader.next - old);
    free(old);
}

static void add_stream(struct crowd *c, const struct group *g, uint32_t i)
{
    struct stream *s = &c->streams[c->count++];
    memset(s, 0, sizeof(*s));
    s->reader.first = g->first_channel + i * g->span % g->channels;
    s->reader.span = g->span;
    s->reader.next = c->expected + c->expected_count;
    s->reader.last_id = g->cursor;
    for (uint32_t k = 0; k < g->span; k++) {
        struct channel *channel = &c->ledger->channels[s->reader.first + k];
        s->reader.next[k] = channel->published - g->behind;
        channel->readers++;
    }
    c->expected_count += g->span;
}

void crowd_open(struct crowd *c, const struct group *g)
{
    grow(c, g);
    for (uint32_t i = 0; i < g->streams; i++) {
        if (i % g->per_link == 0) {
            struct member *m = must(calloc(1, sizeof(*m)));
            *m = (struct member){
                .link.fd = -1, .bulk = g->bulk, .first = c->count, .cursor = g->cursor, .crowd = c};
            c->members[c->member_count++] = m;
        }
        c->members[c->member_count - 1]->count++;
        add_stream(c, g, i);
    }
}

/* ---- what comes ---- */

static void became_ready(struct crowd *c, struct member *m, struct stream *s)
{
    s->ready = true;
    c->ready++;
    m->ready += 1;
    if (m->ready == m->count) {
        m->state = READY;
        c->in_flight--;
    }
}

static void feed(struct crowd *c, struct member *m, struct stream *s, const char *bytes, size_t len)
{
    reader_feed(&s->reader, c->ledger, bytes, len, now_ns(), c->dialect->ready);
    if (s->ready)
        return;
    errno = EPROTO;
    if (s->reader.refused)
        fail(c, "the answer is not 200");
    else if (s->reader.ready)
        became_ready(c, m, s);
}

/* The server has ended a stream that we did not end. */
static void was_ended(struct crowd *c, struct stream *s)
{
    if (s->ended)
        return;
    c->ledger->tally.closed++;
    if (s->ready)
        c->ready--;
    else
        fail(c, "closed before it was ready");
    s->ended = true;
    s->ready = false;
}

static void was_closed(struct crowd *c, struct member *m)
{
    for (uint32_t i = 0; i < m->count; i++)
        was_ended(c, &c->streams[m->first + i]);
    link_close(&m->link);
    m->state = CLOSED;
}

/* ---- HTTP/2 ---- */

static struct stream *stream_at(struct member *m, uint32_t request)
{
    return &m->crowd->streams[m->first + request % m->count];
}

static void on_h2_head(void *ctx, uint32_t request, bool ok)
{
    struct member *m = ctx;
    errno = EPROTO;
    if (!ok)
        fail(m->crowd, "the answer is not 200");
    reader_skip_head(&stream_at(m, request)->reader);
}

static void on_h2_body(void *ctx, uint32_t request, const char *bytes, size_t len)
{
    struct member *m = ctx;
    feed(m->crowd, m, stream_at(m, request), bytes, len);
}

static void on_h2_end(void *ctx, uint32_t request)
{
    struct member *m = ctx;
    was_ended(m->crowd, stream_at(m, request));
}

static const struct h2_events h2_events = {on_h2_head, on_h2_body, on_h2_end};

/* ---- requests ---- */

static size_t write_target(const struct crowd *c, const struct stream *s, char *out)
{
    char name[64];
    size_t n = 0;
    for (uint32_t k = 0; k < s->reader.span && n < REQUEST_BYTES - 256; k++) {
        crowd_channel_name(c, s->reader.first + k, name);
        n += (size_t)sprintf(out + n, "%s%s", k ? c->dialect->further : c->dialect->first, name);
    }
    return n;
}

/* As link_send: of one request whole or nothing. */
static ssize_t send_request(struct crowd *c, struct member *m)
{
    char request[REQUEST_BYTES] = "GET ", id[32];
    size_t n = 4 + write_target(c, &c->streams[m->first], request + 4);
    n += (size_t)sprintf(request + n, " HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: "
                                      "text/event-stream\r\nUser-Agent: swarm\r\n");
    if (m->cursor) {
        id_write(m->cursor, id);
        n += (size_t)sprintf(request + n, "Last-Event-ID: %s\r\n", id);
    }
    n += (size_t)sprintf(request + n, "\r\n");
    ssize_t sent = link_send(&m->link, request, n);
    if (sent >= 0 && sent != (ssize_t)n)
        errno = EMSGSIZE;
    return sent == (ssize_t)n || sent < 0 ? sent : -1;
}

static void submit_requests(struct crowd *c, struct member *m)
{
    char target[REQUEST_BYTES];
    m->h2 = h2_create(&m->link, &h2_events, m);
    for (uint32_t i = 0; i < m->count; i++) {
        write_target(c, &c->streams[m->first + i], target);
        h2_request(m->h2, target);
    }
}

/* The bulk's members are waited for in their own epoll once they are ready. */
static void watch_member(struct crowd *c, struct member *m, uint32_t number, int op)
{
    bool writing = m->link.writing && (m->state == SENDING || (m->h2 && h2_wants_write(m->h2)));
    watch(m->bulk && m->state == READY ? c->bulk_epoll : c->epoll, op, m->link.fd,
          writing ? EPOLLIN | EPOLLOUT : EPOLLIN, number);
}

/* Sends what is still to be sent; false when it cannot be. */
static bool push(struct crowd *c, struct member *m)
{
    if (m->h2)
        return h2_flush(m->h2);
    if (m->state != SENDING)
        return true;
    if (send_request(c, m) < 0)
        return errno == EAGAIN;
    m->state = WAITING;
    return true;
}

static void begin_member(struct crowd *c, uint32_t number)
{
    struct member *m = c->members[number];
    if (!link_open(&m->link, &c->server, number, c->tls)) {
        fail(c, "connect");
        return;
    }
    c->in_flight++;
    m->state = c->wire == WIRE_H2 ? WAITING : SENDING;
    if (c->wire == WIRE_H2)
        submit_requests(c, m);
    if (!push(c, m)) {
        fail(c, "send a request");
        return;
    }
    watch_member(c, m, number, EPOLL_CTL_ADD);
}

/* ---- the loop ---- */

/* One piece: more is told of by the next wait. A record of TLS fits in. */
static bool read_piece(struct crowd *c, struct member *m)
{
    ssize_t n = link_recv(&m->link, c->bytes, sizeof(c->bytes));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n <= 0)
        return false;
    if (m->h2)
        return h2_feed(m->h2, c->bytes, (size_t)n);
    feed(c, m, &c->streams[m->first], c->bytes, (size_t)n);
    return true;
}

static void attend(struct crowd *c, uint32_t number)
{
    struct member *m = c->members[number];
    bool was_ready = m->state == READY, was_writing = m->link.writing;
    if (m->link.fd < 0)
        return;
    bool well = m->state == SENDING || read_piece(c, m);
    if (!well || !push(c, m)) {
        was_closed(c, m);
        return;
    }
    if (m->bulk && !was_ready && m->state == READY) {
        watch(c->epoll, EPOLL_CTL_DEL, m->link.fd, 0, 0);
        watch_member(c, m, number, EPOLL_CTL_ADD);
    } else if (was_writing != m->link.writing) {
        watch_member(c, m, number, EPOLL_CTL_MOD);
    }
}

/*
 * Redis shares this processor, and is woken by the swarm's own writes. While the swarm reads a
 * gigabyte it never sleeps, and the kernel may let Redis wait until its next tick, 4 ms later: of
 * that the server under test knows nothing, and with clients elsewhere it would not be. So the
 * swarm gives way after each piece; not for a while, however, after somebody kept it waiting long.
 */
static void give_way(struct crowd *c)
{
    uint64_t before = now_ns();
    if (before < c->keep_until_ns)
        return;
    sched_yield();
    uint64_t after = now_ns();
    c->keep_until_ns = after + 4 * (after - before);
}

static void attend_bulk(struct crowd *c)
{
    struct epoll_event e;
    if (epoll_wait(c->bulk_epoll, &e, 1, 0) == 1)
        attend(c, (uint32_t)e.data.u64);
    give_way(c);
}

bool crowd_step(struct crowd *c, uint64_t timeout_ns)
{
    struct epoll_event events[EVENTS];
    struct timespec wait = {.tv_sec = (time_t)(timeout_ns / 1000000000u),
                            .tv_nsec = (long)(timeout_ns % 1000000000u)};
    bool bulk = false;
    while (c->begun < c->member_count && c->in_flight < MOST_HANDSHAKES && !c->failure[0])
        begin_member(c, c->begun++);
    int n = epoll_pwait2(c->epoll, events, EVENTS, &wait, NULL);
    for (int i = 0; i < n; i++) {
        uint64_t data = events[i].data.u64;
        if (data == data_bulk)
            bulk = true;
        else if (data != data_foreign)
            attend(c, (uint32_t)data);
    }
    if (bulk)
        attend_bulk(c);
    return n > 0;
}

void crowd_close(struct crowd *c)
{
    for (uint32_t i = 0; i < c->count; i++) {
        struct reader *r = &c->streams[i].reader;
        for (uint32_t k = 0; k < r->span; k++)
            c->ledger->channels[r->first + k].readers--;
    }
    for (uint32_t i = 0; i < c->member_count; i++) {
        h2_destroy(&c->members[i]->h2);
        link_close(&c->members[i]->link);
        free(c->members[i]);
    }
    c->count = c->ready = c->expected_count = 0;
    c->member_count = c->begun = c->in_flight = 0;
}
