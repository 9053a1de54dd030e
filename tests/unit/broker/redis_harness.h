/*
 * A real redis-server of the test's own (private directory, free loopback port, unix socket; killed
 * by its pid, and by the kernel should the test die), and a broker on a libev loop whose events are
 * written down as text, one line each.
 */
#ifndef TESTS_REDIS_HARNESS_H
#define TESTS_REDIS_HARNESS_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "broker/broker_redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNUSED_FN __attribute__((unused))

struct server {
    pid_t pid; /* 0: not running */
    int port;
    char dir[64], socket[96], url[96];
};

UNUSED_FN static int free_port(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(any);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&any, &len), 0);
    close(fd);
    return ntohs(any.sin_port);
}

/* The raw answer to one inline command ("SET a b"); empty when there is no server. */
UNUSED_FN static const char *ask(const struct server *s, const char *command)
{
    static char answer[65536];
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = 5};
    size_t len = 0;
    answer[0] = '\0';
    snprintf(un.sun_path, sizeof(un.sun_path), "%s", s->socket);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0) {
        dprintf(fd, "%s\r\nQUIT\r\n", command);
        ssize_t got;
        while (len < sizeof(answer) - 1 &&
               (got = read(fd, answer + len, sizeof(answer) - 1 - len)) > 0)
            len += (size_t)got;
        answer[len] = '\0';
    }
    close(fd);
    return answer;
}

/* False when it ended at once, since somebody else has taken the port meanwhile. */
static bool server_try(struct server *s, const char *const *extra)
{
    char port[8];
    const char *argv[32] = {"redis-server", "--port",      port,     "--bind",    "127.0.0.1",
                            "--unixsocket", s->socket,     "--save", "",          "--dir",
                            s->dir,         "--daemonize", "no",     "--logfile", "log",
                            "--appendonly", "no"};
    size_t n = 17;
    snprintf(port, sizeof(port), "%d", s->port);
    for (; extra && *extra && n < 31; extra++)
        argv[n++] = *extra;
    s->pid = fork();
    assert_true(s->pid >= 0);
    if (s->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execvp(argv[0], (char *const *)argv);
        _exit(127);
    }
    for (int i = 0; i < 500; i++) {
        const char *answer = ask(s, "PING");
        if (answer[0] == '+' || strncmp(answer, "-NOAUTH", 7) == 0)
            return true;
        if (waitpid(s->pid, NULL, WNOHANG) == s->pid)
            break;
        usleep(10000);
    }
    s->pid = 0;
    return false;
}

UNUSED_FN static void server_run(struct server *s, const char *const *extra)
{
    assert_true(server_try(s, extra));
}

UNUSED_FN static void server_start(struct server *s, const char *const *extra)
{
    *s = (struct server){0};
    snprintf(s->dir, sizeof(s->dir), "/tmp/sluice-unit-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->socket, sizeof(s->socket), "%s/redis.sock", s->dir);
    for (int i = 0; s->pid == 0 && i < 5; i++) {
        s->port = free_port();
        server_try(s, extra);
    }
    assert_int_not_equal(s->pid, 0);
    snprintf(s->url, sizeof(s->url), "redis://127.0.0.1:%d", s->port);
}

UNUSED_FN static void server_kill(struct server *s)
{
    if (s->pid > 0) {
        kill(s->pid, SIGKILL);
        waitpid(s->pid, NULL, 0);
    }
    s->pid = 0;
}

UNUSED_FN static void server_stop(struct server *s)
{
    static const char *const files[] = {"redis.sock", "log", "dump.rdb"};
    char path[160];
    server_kill(s);
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s/%s", s->dir, files[i]);
        unlink(path);
    }
    rmdir(s->dir);
}

struct rig {
    struct ev_loop *loop;
    struct broker *broker;
    struct buf heard;       /* all events, a line each */
    int subscribed;         /* confirmations so far */
    const char *destroy_at; /* the event from within which the broker is destroyed */
};

static void hear(struct rig *rig, const char *event, struct span a, struct span b, struct span c)
{
    struct span parts[] = {span_of(event), a, b, c};
    for (size_t i = 0; i < 4; i++) {
        if (i > 0 && parts[i].ptr)
            buf_byte(&rig->heard, i == 1 ? ' ' : '|');
        for (size_t k = 0; k < parts[i].len; k++) {
            unsigned char x = (unsigned char)parts[i].ptr[k];
            if (x >= ' ' && x < 0x7f)
                buf_byte(&rig->heard, (char)x);
            else
                buf_printf(&rig->heard, "\\x%02x", x);
        }
    }
    buf_byte(&rig->heard, '\n');
    if (rig->destroy_at && rig->broker && strcmp(rig->destroy_at, event) == 0) {
        struct broker *b_ = rig->broker;
        rig->broker = NULL;
        b_->ops->destroy(b_);
        buf_str(&rig->heard, "destroyed\n");
    }
}

#define NONE span_make(NULL, 0)

static void rig_up(void *ctx)
{
    hear(ctx, "up", NONE, NONE, NONE);
}

static void rig_down(void *ctx, const char *why)
{
    hear(ctx, "down", span_of(why), NONE, NONE);
}

static void rig_subscribed(void *ctx, enum topic_kind kind, struct span name)
{
    struct rig *rig = ctx;
    rig->subscribed++;
    hear(rig, kind == TOPIC_PATTERN ? "psub" : "sub", name, NONE, NONE);
}

static void rig_unsubscribed(void *ctx, enum topic_kind kind, struct span name)
{
    hear(ctx, kind == TOPIC_PATTERN ? "punsub" : "unsub", name, NONE, NONE);
}

static void rig_refused(void *ctx, enum topic_kind kind, struct span name, const char *why)
{
    hear(ctx, "refused", name, span_of(why), NONE);
}

static void rig_message(void *ctx, struct span channel, struct span pattern, struct span payload)
{
    hear(ctx, "message", channel, pattern.ptr ? pattern : span_of("-"), payload);
}

static void rig_oversize(void *ctx, struct span channel, struct span pattern, uint64_t bytes)
{
    char text[24];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);
    hear(ctx, "oversize", channel, span_of(text), NONE);
}

static void rig_fence(void *ctx, struct span epoch, uint64_t clock, uint64_t floor)
{
    char text[24];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)clock);
    hear(ctx, "fence", epoch, span_of(text), span_of(floor ? "floor" : "no floor"));
}

static const struct broker_events rig_events = {
    .on_up = rig_up,
    .on_down = rig_down,
    .on_subscribed = rig_subscribed,
    .on_unsubscribed = rig_unsubscribed,
    .on_refused = rig_refused,
    .on_message = rig_message,
    .on_oversize = rig_oversize,
    .on_fence = rig_fence,
};

UNUSED_FN static void rig_published(void *arg, int err, const char *why, int64_t receivers)
{
    char text[24];
    snprintf(text, sizeof(text), "%lld", (long long)receivers);
    assert_true((err == 0) == (why == NULL));
    hear(arg, "published", span_of(err ? err_name(err) : "ok"), span_of(why ? why : text), NONE);
}

/* Quick limits, so that no test waits long; a test of the usual ones says so. */
UNUSED_FN static const struct redis_options quick = {
    .message_bytes = 1048576,
    .connect_timeout_ms = 500,
    .command_timeout_ms = 400,
    .beat_interval_ms = 100,
    .beat_timeout_ms = 600,
};

UNUSED_FN static void rig_create(struct rig *rig, const char *url, const struct redis_options *o)
{
    char why[256];
    struct redis_options options = *o;
    options.url = url;
    assert_int_equal(broker_redis_check_url(url, why, sizeof(why)), 0);
    *rig = (struct rig){.loop = ev_loop_new(EVFLAG_AUTO)};
    rig->broker = broker_redis_create(rig->loop, &options, &rig_events, rig);
    broker_redis_start(rig->broker);
}

UNUSED_FN static void rig_free(struct rig *rig)
{
    if (rig->broker)
        rig->broker->ops->destroy(rig->broker);
    rig->broker = NULL;
    /* No watcher of the broker is left, so the loop ends by itself. */
    assert_int_equal(ev_run(rig->loop, EVRUN_NOWAIT), 0);
    ev_loop_destroy(rig->loop);
    buf_free(&rig->heard);
}

UNUSED_FN static double seconds_since(uint64_t start)
{
    return (double)(clock_mono_us(&clock_system) - start) / 1e6;
}

static void on_nap(struct ev_loop *loop, ev_timer *w, int revents)
{
}

/* Runs the loop for a while, or until `text` was heard `times` times. */
static bool run_until(struct rig *rig, const char *text, int times, double seconds)
{
    uint64_t start = clock_mono_us(&clock_system);
    ev_timer nap;
    bool found = false;
    ev_timer_init(&nap, on_nap, 0.01, 0.01);
    ev_timer_start(rig->loop, &nap);
    while (!found && seconds_since(start) < seconds) {
        ev_run(rig->loop, EVRUN_ONCE);
        int count = 0;
        if (text)
            for (const char *p = buf_cstr(&rig->heard); (p = strstr(p, text)); p++)
                count++;
        found = text && count >= times;
    }
    ev_timer_stop(rig->loop, &nap);
    return found;
}

UNUSED_FN static bool run_until_subscribed(struct rig *rig, int count, double seconds)
{
    uint64_t start = clock_mono_us(&clock_system);
    while (rig->subscribed < count && seconds_since(start) < seconds)
        run_until(rig, NULL, 0, 0.01);
    return rig->subscribed == count;
}

UNUSED_FN static void expect(struct rig *rig, const char *text, double seconds)
{
    if (!run_until(rig, text, 1, seconds))
        fail_msg("not heard within %.1f s: %s; heard was:\n%.2000s", seconds, text,
                 buf_cstr(&rig->heard));
}

UNUSED_FN static void settle(struct rig *rig, double seconds)
{
    run_until(rig, NULL, 0, seconds);
}

UNUSED_FN static int heard_times(struct rig *rig, const char *text)
{
    int count = 0;
    for (const char *p = buf_cstr(&rig->heard); (p = strstr(p, text)); p++)
        count++;
    return count;
}

UNUSED_FN static void forget_heard(struct rig *rig)
{
    buf_reset(&rig->heard);
}

UNUSED_FN static void subscribe(struct rig *rig, enum topic_kind kind, const char *name)
{
    rig->broker->ops->subscribe(rig->broker, kind, span_of(name));
}

UNUSED_FN static void unsubscribe(struct rig *rig, enum topic_kind kind, const char *name)
{
    rig->broker->ops->unsubscribe(rig->broker, kind, span_of(name));
}

UNUSED_FN static void publish(struct rig *rig, const char *channel, struct span payload)
{
    rig->broker->ops->publish(rig->broker, span_of(channel), payload, rig_published, rig);
}

#endif
