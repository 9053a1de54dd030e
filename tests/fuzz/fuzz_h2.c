/*
 * Input: one byte of circumstances, then what a client sends behind the preface of HTTP/2, fed to a
 * worker by a real socket. Whatever it is, nothing of it is left when the client has gone.
 * Circumstances: 1 the client reads only at the end, 2 it drains half way, 4 bytes come a few at a
 * time, 8 all deadlines are due half way.
 */
#include "base/log.h"
#include "fuzz.h"
#include "http/conn.h"
#include "http/h2.h"

#include <sys/socket.h>
#include <unistd.h>

enum { INPUT_MOST = 20000, LOOP_TURNS = 3, DRIP_BYTES = 97 };

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

static void nobody(void *ctx)
{
}

static struct http_server *start(struct uplink *uplink, struct metrics *const *metrics)
{
    static struct access *access;
    static struct namespaces *namespaces;
    struct http_server *server = NULL;
    struct buf why = {0};
    if (!access) {
        access = access_create(&(struct access_options){.open = true});
        namespaces = namespaces_create(NULL, 0);
    }
    struct http_options options = {
        .workers = 1,
        .unix_mode = "0600",
        .unix_owner = "",
        .base_path = "",
        .memory = true,
        .retry_ms = 2000,
        .heartbeat_seconds = 15,
        .request_seconds = 10,
        .max_connections = 50,
        .max_channels = 10,
        .name_bytes = 100,
        .body_bytes = 4096,
        .message_bytes = 4096,
        .queue_bytes = 4096,
        .access = access,
        .namespaces = namespaces,
        .clock = &clock_system,
        .uplink = uplink,
        .metrics = metrics,
    };
    FUZZ_CHECK(http_server_create(&options, &server, &why) == 0);
    return server;
}

static void turn(struct worker *w, int peer, bool reads)
{
    char sink[65536];
    for (int i = 0; i < LOOP_TURNS; i++)
        ev_run(w->loop, EVRUN_NOWAIT);
    while (reads && recv(peer, sink, sizeof(sink), MSG_DONTWAIT) > 0)
        ;
}

static void happen(struct worker *w, uint8_t how)
{
    struct list *first = list_first(&w->conns);
    struct conn *root = first ? LIST_ENTRY(first, struct conn, node) : NULL;
    if ((how & 2) && root && root->state == CONN_SESSION)
        h2_drain(root->h2);
    if (how & 8)
        LIST_FOREACH (n, &w->conns) {
            conn_due(LIST_ENTRY(n, struct conn, node));
        }
}

static void feed(struct worker *w, int peer, struct span bytes, uint8_t how)
{
    size_t step = how & 4 ? DRIP_BYTES : bytes.len, half = bytes.len / 2;
    bool happened = false;
    turn(w, peer, true);
    while (bytes.len > 0 && list_first(&w->conns)) {
        size_t n = bytes.len < step ? bytes.len : step;
        ssize_t sent = send(peer, bytes.ptr, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent <= 0)
            break;
        bytes = span_make(bytes.ptr + sent, bytes.len - (size_t)sent);
        turn(w, peer, !(how & 1));
        if (!happened && bytes.len <= half)
            happen(w, how);
        happened = happened || bytes.len <= half;
    }
    turn(w, peer, true);
    turn(w, peer, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct metrics one, core;
    static struct metrics *const metrics[] = {&one, &core};
    struct uplink uplink;
    int fds[2], send_bytes = 4096;
    if (size < 1 || size > INPUT_MOST)
        return 0;
    log_setup(LOG_ERROR, false);
    mailbox_init(&uplink.control, (struct lane_wake){.wake = nobody});
    struct http_server *server = start(&uplink, metrics);
    struct worker *w = &server->workers[0];
    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof(send_bytes));
    conn_accept(w, fds[0], &(struct conn_origin){.is_unix = true});
    FUZZ_CHECK(send(fds[1], preface, sizeof(preface) - 1, MSG_NOSIGNAL) > 0);
    feed(w, fds[1], span_make((const char *)data + 1, size - 1), data[0]);
    close(fds[1]);
    turn(w, -1, false);
    FUZZ_CHECK(list_empty(&w->conns) && list_empty(&w->reap));
    FUZZ_CHECK(atomic_load(&server->sockets) == 0);
    FUZZ_CHECK(metrics_get(&one.http2) == 0 && metrics_get(&one.connections) == 0);
    http_server_destroy(&server);
    mailbox_fini(&uplink.control);
    return 0;
}
