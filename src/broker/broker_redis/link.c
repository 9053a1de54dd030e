#include "broker/broker_redis/link.h"

#include "base/cast.h"
#include "base/clock.h"
#include "base/mem.h"
#include "broker/broker_redis/socket.h"

#include <errno.h>
#include <ev.h>
#include <hiredis/hiredis.h>
#include <hiredis/sds.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINK_MAGIC = 0x6c696e6b, READS_A_TURN = 16, READ_BYTES = 16 * 1024 };

enum link_state { LINK_DIALLING, LINK_OPEN, LINK_CLOSED };

struct link {
    uint32_t magic;
    enum link_state state;
    struct ev_loop *loop;             /* borrowed */
    const struct link_events *events; /* borrowed, static */
    void *ctx;                        /* borrowed */
    struct link_options options;

    struct address list[ADDRESSES_MAX];
    size_t count, next; /* addresses; the next one to try */
    int dial_fd;        /* owned until the context owns it; -1: none */
    int dial_errno;     /* of the address tried last */
    ev_timer dial_timer;

    redisContext *context; /* owned; NULL before LINK_OPEN */
    struct ssl_st *tls;    /* borrowed: the context owns it; NULL: in clear */
    ev_io readable, writable;
    uint64_t last_read;
    unsigned busy; /* our own frames on the stack: nothing is freed below them */
    bool gone;     /* link_close was called */
};

static void stop_watchers(struct link *l)
{
    ev_io_stop(l->loop, &l->readable);
    ev_io_stop(l->loop, &l->writable);
    ev_timer_stop(l->loop, &l->dial_timer);
}

static void free_link(struct link *l)
{
    if (l->context)
        redisFree(l->context);
    if (l->dial_fd >= 0)
        close(l->dial_fd);
    l->magic = 0;
    mem_free(l);
}

/* Every event is told between enter and leave. */
static void enter(struct link *l)
{
    l->busy++;
}

static void leave(struct link *l)
{
    if (--l->busy == 0 && l->gone)
        free_link(l);
}

static void fail(struct link *l, const char *why)
{
    if (l->state == LINK_CLOSED)
        return;
    l->state = LINK_CLOSED;
    stop_watchers(l);
    l->events->on_closed(l->ctx, why);
}

static void fail_context(struct link *l)
{
    char why[256];
    const redisContext *c = l->context;
    if (tls_explain(l->tls, why, sizeof(why))) {
        fail(l, why);
        return;
    }
    if (c->err == REDIS_ERR_EOF)
        snprintf(why, sizeof(why), "Redis closed the connection");
    else if (c->err == REDIS_ERR_PROTOCOL)
        snprintf(why, sizeof(why), "this is not Redis's protocol: %s", c->errstr);
    else
        snprintf(why, sizeof(why), "the connection is lost: %s", c->errstr);
    fail(l, why);
}

static void tell_replies(struct link *l)
{
    while (l->state == LINK_OPEN) {
        void *reply = NULL;
        if (redisGetReplyFromReader(l->context, &reply) != REDIS_OK) {
            fail_context(l);
            return;
        }
        if (!reply)
            return;
        l->events->on_reply(l->ctx, reply);
        freeReplyObject(reply);
    }
}

/* Not for ever: a flood on this connection must not starve the rest of the loop. */
static void read_some(struct link *l)
{
    for (int i = 0; i < READS_A_TURN && l->state == LINK_OPEN; i++) {
        size_t before = l->context->reader->len;
        tls_prepare(l->tls);
        if (redisBufferRead(l->context) != REDIS_OK) {
            fail_context(l);
            return;
        }
        size_t got = l->context->reader->len - before;
        if (got > 0)
            l->last_read = clock_mono_us(&clock_system);
        tell_replies(l);
        if (got < READ_BYTES && !(l->tls && got > 0))
            return;
    }
}

/*
 * When the peer closed after an error ("max number of clients"), writing fails while the error
 * still waits to be read: read it first, it is the better reason.
 */
static void write_failed(struct link *l)
{
    redisContext *c = l->context;
    int err = c->err;
    c->err = 0;
    read_some(l);
    if (l->state != LINK_OPEN)
        return;
    c->err = err;
    fail_context(l);
}

static void write_some(struct link *l)
{
    int done = 0;
    bool more = link_output(l) >= LINK_OUTPUT_LOW || l->events->on_writable(l->ctx);
    if (l->state != LINK_OPEN)
        return;
    tls_prepare(l->tls);
    if (redisBufferWrite(l->context, &done) != REDIS_OK)
        write_failed(l);
    else if ((done && !more) || tls_wants_read(l->tls))
        ev_io_stop(l->loop, &l->writable);
}

static void on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
    struct link *l = CAST_CHECKED(struct link, w->data, LINK_MAGIC);
    enter(l);
    read_some(l);
    /* A TLS handshake may have waited for this before it could write. */
    if (l->tls && l->state == LINK_OPEN && link_output(l) > 0)
        ev_io_start(loop, &l->writable);
    leave(l);
}

static void open_link(struct link *l)
{
    char why[256] = "out of memory";
    redisContext *c = redisConnectFd(l->dial_fd);
    if (!c) {
        fail(l, why);
        return;
    }
    l->context = c;
    l->dial_fd = -1;
    c->flags &= ~REDIS_BLOCK;
    ev_timer_stop(l->loop, &l->dial_timer);
    if (l->options.trust) {
        l->tls = tls_begin(l->options.trust, l->options.url, c, why, sizeof(why));
        if (!l->tls) {
            fail(l, why);
            return;
        }
    }
    l->state = LINK_OPEN;
    l->last_read = clock_mono_us(&clock_system);
    ev_io_set(&l->readable, c->fd, EV_READ);
    ev_io_start(l->loop, &l->readable);
    l->events->on_open(l->ctx);
}

static void dial_failed(struct link *l, int failed)
{
    ev_io_stop(l->loop, &l->writable);
    if (l->dial_fd >= 0)
        close(l->dial_fd);
    l->dial_fd = -1;
    l->dial_errno = failed;
    /* From the loop, not from within link_dial. */
    ev_timer_stop(l->loop, &l->dial_timer);
    ev_timer_set(&l->dial_timer, 0., 0.);
    ev_timer_start(l->loop, &l->dial_timer);
}

static void dial_next(struct link *l)
{
    const struct address *to = &l->list[l->next++];
    l->dial_fd = socket_dial(to, l->options.unacked_ms);
    if (l->dial_fd < 0) {
        dial_failed(l, errno);
        return;
    }
    ev_io_set(&l->writable, l->dial_fd, EV_WRITE);
    ev_io_start(l->loop, &l->writable);
    /* One address that swallows packets leaves the others their share of the time. */
    ev_timer_set(&l->dial_timer, l->options.dial_seconds / (double)l->count, 0.);
    ev_timer_start(l->loop, &l->dial_timer);
}

static void dial_over(struct link *l)
{
    char where[ADDRESS_TEXT], why[ADDRESS_TEXT + 128], text[96];
    snprintf(why, sizeof(why), "cannot connect to %s: %s",
             address_text(&l->list[l->count - 1], where, sizeof(where)),
             strerror_r(l->dial_errno, text, sizeof(text)));
    fail(l, why);
}

static void on_dial_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct link *l = CAST_CHECKED(struct link, w->data, LINK_MAGIC);
    enter(l);
    if (l->dial_fd >= 0)
        dial_failed(l, ETIMEDOUT);
    else if (l->next < l->count)
        dial_next(l);
    else
        dial_over(l);
    leave(l);
}

static void on_writable(struct ev_loop *loop, ev_io *w, int revents)
{
    struct link *l = CAST_CHECKED(struct link, w->data, LINK_MAGIC);
    enter(l);
    if (l->state == LINK_OPEN) {
        write_some(l);
    } else {
        int failed = socket_outcome(l->dial_fd);
        if (failed)
            dial_failed(l, failed);
        else
            open_link(l);
    }
    leave(l);
}

struct link *link_dial(struct ev_loop *loop, const struct link_options *options,
                       const struct address *list, size_t count, const struct link_events *events,
                       void *ctx)
{
    struct link *l = mem_zalloc(sizeof(*l));
    l->magic = LINK_MAGIC;
    l->loop = loop;
    l->events = events;
    l->ctx = ctx;
    l->options = *options;
    l->count = count < ADDRESSES_MAX ? count : ADDRESSES_MAX;
    memcpy(l->list, list, l->count * sizeof(*list));
    l->dial_fd = -1;
    ev_init(&l->readable, on_readable);
    ev_init(&l->writable, on_writable);
    ev_init(&l->dial_timer, on_dial_timer);
    l->readable.data = l->writable.data = l->dial_timer.data = l;
    dial_next(l);
    return l;
}

void link_command(struct link *l, size_t argc, const struct span *argv)
{
    if (l->state != LINK_OPEN)
        return;
    const char **words = mem_alloc(argc * sizeof(*words));
    size_t *lens = mem_alloc(argc * sizeof(*lens));
    for (size_t i = 0; i < argc; i++) {
        words[i] = argv[i].len ? argv[i].ptr : "";
        lens[i] = argv[i].len;
    }
    redisAppendCommandArgv(l->context, (int)argc, words, lens);
    mem_free(words);
    mem_free(lens);
    link_wake(l);
}

void link_wake(struct link *l)
{
    if (l->state == LINK_OPEN)
        ev_io_start(l->loop, &l->writable);
}

size_t link_output(const struct link *l)
{
    return l->context ? sdslen(l->context->obuf) : 0;
}

uint64_t link_last_read(const struct link *l)
{
    return l->last_read;
}

const struct address *link_address(const struct link *l)
{
    return &l->list[l->next - 1];
}

void link_close(struct link **link)
{
    struct link *l = *link;
    *link = NULL;
    if (!l)
        return;
    stop_watchers(l);
    l->state = LINK_CLOSED;
    l->gone = true;
    if (l->busy == 0)
        free_link(l);
}
