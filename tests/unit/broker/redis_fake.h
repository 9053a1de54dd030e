/*
 * A Redis on a thread that says what the test wants: just enough of the protocol for the broker to
 * come up, answers that can be replaced, and bytes of the test's choice on the pub/sub connection
 * (PUBLISH them to the channel "inject").
 */
#ifndef TESTS_REDIS_FAKE_H
#define TESTS_REDIS_FAKE_H

#include "proto/functions.h"
#include "redis_harness.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

/* The largest command is the one that loads the library. */
enum { FAKE_CLIENTS = 8, FAKE_BYTES = 131072, FAKE_WORDS = 20 };

struct fake_client {
    int fd; /* -1: free */
    size_t len;
    char bytes[FAKE_BYTES];
};

struct fake {
    int listener, port;
    char url[64];
    pthread_t thread;
    atomic_bool stop;
    atomic_bool swallow_beats;
    const char *at_accept; /* said to each new client before it is closed */
    _Atomic(const char *)
        verb; /* the command, or what stands behind it, whose answer is replaced */
    _Atomic(const char *) answer; /* by this */
    int pubsub;                   /* the client that subscribed last */
    struct fake_client clients[FAKE_CLIENTS];
};

static void fake_say(int fd, const void *bytes, size_t len)
{
    if (fd >= 0)
        (void)!send(fd, bytes, len, MSG_NOSIGNAL);
}

static void fake_array(int fd, size_t count, const struct span *words)
{
    struct buf out = {0};
    buf_printf(&out, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++) {
        buf_printf(&out, "$%zu\r\n", words[i].len);
        buf_span(&out, words[i]);
        buf_str(&out, "\r\n");
    }
    fake_say(fd, out.data, out.len);
    buf_free(&out);
}

static void fake_publish(struct fake *f, int fd, const struct span *words)
{
    const struct span message[] = {span_of("message"), words[1], words[2]};
    if (span_is(words[1], "inject"))
        fake_say(f->pubsub, words[2].ptr, words[2].len);
    else if (!f->swallow_beats)
        fake_array(f->pubsub, 3, message);
    fake_say(fd, ":1\r\n", 4);
}

static void fake_subscribe(struct fake *f, int fd, const struct span *words, size_t count)
{
    f->pubsub = fd;
    for (size_t i = 1; i < count; i++) {
        struct buf out = {0};
        buf_printf(&out, "*3\r\n$9\r\nsubscribe\r\n$%zu\r\n%.*s\r\n:1\r\n", words[i].len,
                   (int)words[i].len, words[i].ptr);
        fake_say(fd, out.data, out.len);
        buf_free(&out);
    }
}

static void fake_obey(struct fake *f, int fd, const struct span *words, size_t count)
{
    const char *verb = atomic_load(&f->verb), *answer = atomic_load(&f->answer);
    if (verb && answer && (span_is(words[0], verb) || (count > 1 && span_is(words[1], verb))))
        fake_say(fd, answer, strlen(answer));
    else if (count > 1 && span_is(words[1], "sluice_version"))
        dprintf(fd, ":%d\r\n", SLUICE_FUNCTIONS_VERSION);
    else if (span_is(words[0], "PUBLISH"))
        fake_publish(f, fd, words);
    else if (span_is(words[0], "SUBSCRIBE"))
        fake_subscribe(f, fd, words, count);
    else if (span_is(words[0], "ROLE"))
        fake_say(fd, "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n", 24);
    else
        fake_say(fd, "+OK\r\n", 5);
}

/* The length of the first whole command, or 0. */
static size_t fake_parse(const char *bytes, size_t len, struct span *words, size_t *count)
{
    const char *p = bytes, *end = bytes + len, *line;
    if (!(line = memchr(p, '\n', (size_t)(end - p))))
        return 0;
    *count = (size_t)atoi(p + 1);
    assert_true(*count <= FAKE_WORDS);
    p = line + 1;
    for (size_t i = 0; i < *count; i++) {
        if (p >= end || !(line = memchr(p, '\n', (size_t)(end - p))))
            return 0;
        words[i] = span_make(line + 1, (size_t)atoi(p + 1));
        p = line + 1 + words[i].len + 2;
        if (p > end)
            return 0;
    }
    return (size_t)(p - bytes);
}

static void fake_read(struct fake *f, struct fake_client *c)
{
    struct span words[FAKE_WORDS];
    size_t count, used;
    ssize_t got = recv(c->fd, c->bytes + c->len, sizeof(c->bytes) - c->len, 0);
    if (got <= 0) {
        if (f->pubsub == c->fd)
            f->pubsub = -1;
        close(c->fd);
        c->fd = -1;
        c->len = 0;
        return;
    }
    c->len += (size_t)got;
    while ((used = fake_parse(c->bytes, c->len, words, &count)) > 0) {
        fake_obey(f, c->fd, words, count);
        memmove(c->bytes, c->bytes + used, c->len - used);
        c->len -= used;
    }
}

static void fake_accept(struct fake *f)
{
    int fd = accept(f->listener, NULL, NULL);
    if (f->at_accept) {
        usleep(50000); /* what the client says first lies unread: its end is a reset */
        fake_say(fd, f->at_accept, strlen(f->at_accept));
        close(fd);
        return;
    }
    for (int i = 0; i < FAKE_CLIENTS; i++)
        if (f->clients[i].fd < 0) {
            f->clients[i].fd = fd;
            return;
        }
    close(fd);
}

static void *fake_run(void *arg)
{
    struct fake *f = arg;
    while (!f->stop) {
        struct pollfd fds[FAKE_CLIENTS + 1];
        for (int i = 0; i < FAKE_CLIENTS; i++)
            fds[i] = (struct pollfd){.fd = f->clients[i].fd, .events = POLLIN};
        fds[FAKE_CLIENTS] = (struct pollfd){.fd = f->listener, .events = POLLIN};
        poll(fds, FAKE_CLIENTS + 1, 10);
        for (int i = 0; i < FAKE_CLIENTS; i++)
            if (fds[i].revents)
                fake_read(f, &f->clients[i]);
        if (fds[FAKE_CLIENTS].revents)
            fake_accept(f);
    }
    return NULL;
}

UNUSED_FN static int listen_somewhere(int *port, int backlog)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(any);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&any, &len), 0);
    *port = ntohs(any.sin_port);
    return fd;
}

UNUSED_FN static struct fake *fake_start(const char *at_accept)
{
    struct fake *f = mem_zalloc(sizeof(*f));
    f->listener = listen_somewhere(&f->port, 16);
    f->at_accept = at_accept;
    f->pubsub = -1;
    snprintf(f->url, sizeof(f->url), "redis://127.0.0.1:%d", f->port);
    for (int i = 0; i < FAKE_CLIENTS; i++)
        f->clients[i].fd = -1;
    assert_int_equal(pthread_create(&f->thread, NULL, fake_run, f), 0);
    return f;
}

UNUSED_FN static void fake_replace(struct fake *f, const char *verb, const char *answer)
{
    atomic_store(&f->verb, NULL);
    atomic_store(&f->answer, answer);
    atomic_store(&f->verb, verb);
}

UNUSED_FN static void fake_stop(struct fake *f)
{
    f->stop = true;
    pthread_join(f->thread, NULL);
    for (int i = 0; i < FAKE_CLIENTS; i++)
        if (f->clients[i].fd >= 0)
            close(f->clients[i].fd);
    close(f->listener);
    mem_free(f);
}

#endif
