#include "http/listener.h"

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/conn.h"
#include "http/greeting.h"
#include "ops/config.h"
#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    BACKLOG = 4096,
    ACCEPTS_A_TURN = 256, /* so that a storm of connects does not starve the streams */
    DEFER_SECONDS = 5,    /* the kernel keeps a silent connection to itself this long */
};

static const double retry_seconds = 1.0;

/* "127.0.0.1:80", "[::1]:80", ":80" into an address. */
static int parse_tcp(const char *text, struct sockaddr_storage *addr, socklen_t *len,
                     struct buf *why)
{
    char host[256];
    const char *colon = strrchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : 0;
    bool bracketed = n >= 2 && text[0] == '[' && text[n - 1] == ']';
    if (!colon || n >= sizeof(host)) {
        buf_printf(why, "listen: \"%s\" is not address:port", text);
        return ERR_INVALID;
    }
    snprintf(host, sizeof(host), "%.*s", (int)(bracketed ? n - 2 : n), text + bracketed);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV | AI_NUMERICHOST};
    struct addrinfo *found = NULL;
    int err = getaddrinfo(host[0] ? host : NULL, colon + 1, &hints, &found);
    if (err) {
        buf_printf(why, "listen: \"%s\": %s", text, gai_strerror(err));
        return ERR_INVALID;
    }
    memcpy(addr, found->ai_addr, found->ai_addrlen);
    *len = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

static int fail(struct buf *why, const char *text, const char *what)
{
    buf_printf(why, "listen: \"%s\": %s: %s", text, what, strerror(errno));
    return ERR_SYS;
}

/*
 * A port may be shared among our workers, not with another gateway that somebody forgot: bind once
 * without SO_REUSEPORT first.
 */
static int probe(const char *text, const struct sockaddr_storage *addr, socklen_t len,
                 struct buf *why)
{
    int on = 1, fd = socket(addr->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail(why, text, "socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    int err = bind(fd, (const struct sockaddr *)addr, len) == 0 ? 0 : fail(why, text, "bind");
    close(fd);
    return err;
}

static int open_tcp(const char *text, const struct sockaddr_storage *addr, socklen_t len, int *out,
                    struct buf *why)
{
    int on = 1, defer = DEFER_SECONDS;
    int fd = socket(addr->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail(why, text, "socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    if (addr->ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &defer, sizeof(defer));
    socket_tune(fd);
    if (bind(fd, (const struct sockaddr *)addr, len) != 0 || listen(fd, BACKLOG) != 0) {
        int err = fail(why, text, "bind");
        close(fd);
        return err;
    }
    *out = fd;
    return 0;
}

static void log_listening(int fd, bool tls)
{
    struct sockaddr_storage addr = {0};
    socklen_t len = sizeof(addr);
    char host[INET6_ADDRSTRLEN] = "", port[16] = "";
    if (getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
        return;
    getnameinfo((struct sockaddr *)&addr, len, host, sizeof(host), port, sizeof(port),
                NI_NUMERICHOST | NI_NUMERICSERV);
    log_info("http", addr.ss_family == AF_INET6 ? "listening on [%s]:%s%s" : "listening on %s:%s%s",
             host, port, tls ? " with TLS" : "");
}

static void add_listener(struct worker *w, int fd, bool is_unix, bool tls)
{
    struct listener *l = &w->listeners[w->listener_count++];
    l->fd = fd;
    l->is_unix = is_unix;
    l->tls = tls;
}

static int listen_tcp(struct http_server *server, const char *text, bool tls, struct buf *why)
{
    struct sockaddr_storage addr = {0};
    socklen_t len = 0;
    int err = parse_tcp(text, &addr, &len, why);
    if (!err)
        err = probe(text, &addr, len, why);
    for (uint32_t i = 0; !err && i < server->options.workers; i++) {
        int fd = -1;
        err = open_tcp(text, &addr, len, &fd, why);
        if (err)
            break;
        add_listener(&server->workers[i], fd, false, tls);
        /* Port 0: the first socket is given one, the others share it. */
        if (i == 0)
            getsockname(fd, (struct sockaddr *)&addr, &len);
    }
    if (!err)
        log_listening(server->workers[0].listeners[server->workers[0].listener_count - 1].fd, tls);
    return err;
}

/* A socket file that nobody answers on is left over from a crash; one that answers is somebody's.
 */
static int clear_stale(const char *text, const struct sockaddr_un *addr, struct buf *why)
{
    struct stat st;
    if (lstat(addr->sun_path, &st) != 0)
        return 0;
    errno = EEXIST;
    if (!S_ISSOCK(st.st_mode))
        return fail(why, text, "is not a socket");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool alive = fd >= 0 && connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0;
    if (fd >= 0)
        close(fd);
    errno = EADDRINUSE;
    if (alive)
        return fail(why, text, "bind");
    return unlink(addr->sun_path) == 0 ? 0 : fail(why, text, "unlink");
}

/* "user:group", "user" or ":group" into ids; -1 stays as it is. */
static int find_owner(const char *owner, uid_t *uid, gid_t *gid, struct buf *why)
{
    char user[130];
    const char *colon = strchr(owner, ':');
    *uid = (uid_t)-1;
    *gid = (gid_t)-1;
    snprintf(user, sizeof(user), "%.*s", (int)(colon ? colon - owner : (long)strlen(owner)), owner);
    const struct passwd *p = user[0] ? getpwnam(user) : NULL;
    const struct group *g = colon && colon[1] ? getgrnam(colon + 1) : NULL;
    if ((user[0] && !p) || (colon && colon[1] && !g)) {
        buf_printf(why, "unix.owner: \"%s\": there is no such %s", owner,
                   user[0] && !p ? "user" : "group");
        return ERR_INVALID;
    }
    if (p)
        *uid = p->pw_uid;
    if (g)
        *gid = g->gr_gid;
    return 0;
}

/* The file is nobody's but ours until its mode and owner are set. */
static int bind_unix(int fd, const struct sockaddr_un *addr, const struct http_options *o,
                     const char *text, struct buf *why)
{
    uid_t uid;
    gid_t gid;
    int err = find_owner(o->unix_owner, &uid, &gid, why);
    if (err)
        return err;
    mode_t before = umask(0177);
    int bound = bind(fd, (const struct sockaddr *)addr, sizeof(*addr));
    umask(before);
    if (bound != 0)
        return fail(why, text, "bind");
    if ((uid != (uid_t)-1 || gid != (gid_t)-1) && chown(addr->sun_path, uid, gid) != 0)
        err = fail(why, text, "unix.owner");
    else if (chmod(addr->sun_path, (mode_t)strtoul(o->unix_mode, NULL, 8)) != 0)
        err = fail(why, text, "unix.mode");
    else if (listen(fd, BACKLOG) != 0)
        err = fail(why, text, "listen");
    if (err)
        unlink(addr->sun_path);
    return err;
}

static int listen_unix(struct http_server *server, const char *text, const char *path,
                       struct buf *why)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path) >= (int)sizeof(addr.sun_path)) {
        buf_printf(why, "listen: \"%s\": the path is longer than %zu bytes", text,
                   sizeof(addr.sun_path) - 1);
        return ERR_INVALID;
    }
    int err = clear_stale(text, &addr, why);
    if (err)
        return err;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail(why, text, "socket");
    err = bind_unix(fd, &addr, &server->options, text, why);
    if (err) {
        close(fd);
        return err;
    }
    for (uint32_t i = 0; i < server->options.workers; i++)
        add_listener(&server->workers[i], fd, true, false);
    log_info("http", "listening on %s", text);
    return 0;
}

int listeners_open(struct http_server *server, struct buf *why)
{
    const struct http_options *o = &server->options;
    for (uint32_t i = 0; i < o->workers; i++)
        server->workers[i].listeners = mem_zalloc(o->listen_count * sizeof(struct listener));
    for (size_t i = 0; i < o->listen_count; i++) {
        const char *text = o->listen[i];
        struct span address;
        enum config_listen kind = config_listen_split(span_of(text), &address);
        /* With tls.cert a bare address speaks TLS; http:// keeps one in clear, for a probe or a
         * proxy beside. */
        bool tls = kind == CONFIG_LISTEN_TLS || (kind == CONFIG_LISTEN_TCP && o->tls_cert);
        int err = kind == CONFIG_LISTEN_UNIX ? listen_unix(server, text, address.ptr, why)
                                             : listen_tcp(server, address.ptr, tls, why);
        if (err)
            return err;
    }
    return 0;
}

void listeners_close(struct http_server *server)
{
    for (uint32_t i = 0; i < server->options.workers; i++) {
        struct worker *w = &server->workers[i];
        for (size_t k = 0; k < w->listener_count; k++) {
            struct listener *l = &w->listeners[k];
            if (l->is_unix && i > 0)
                continue; /* shared: worker 0's */
            struct sockaddr_un addr = {0};
            socklen_t len = sizeof(addr);
            if (l->is_unix && getsockname(l->fd, (struct sockaddr *)&addr, &len) == 0)
                unlink(addr.sun_path);
            if (l->fd >= 0)
                close(l->fd);
        }
        mem_free(w->listeners);
        w->listeners = NULL;
        w->listener_count = 0;
    }
}

/* Said once, however many workers find it out and however often they look again. */
static void pause_accepting(struct worker *w)
{
    listeners_stop(w);
    ev_timer_stop(w->loop, &w->accept_retry);
    ev_timer_set(&w->accept_retry, retry_seconds, 0.);
    ev_timer_start(w->loop, &w->accept_retry);
    if (w->accept_paused)
        return;
    w->accept_paused = true;
    metrics_set(&w->metrics->accept_paused, 1);
    if (atomic_fetch_add(&w->server->paused, 1) == 0)
        log_warn("http", "descriptors are used up: accepting pauses, open connections go on");
}

/* Accepts until there is nobody left, or `most` are in; false when descriptors are used up. */
static bool accept_some(struct worker *w, struct listener *l, int most)
{
    for (int i = 0; i < most; i++) {
        struct sockaddr_storage from = {0};
        socklen_t len = sizeof(from);
        int fd = accept4(l->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            if (l->is_unix)
                conn_accept(w, fd, &(struct conn_origin){.is_unix = true});
            else
                greeting_accept(w, fd, &from, l->tls);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_accepting(w);
            return false;
        }
        /* A client that gave up while it waited is its own affair. */
        if (errno != ECONNABORTED && errno != EINTR)
            break;
    }
    return true;
}

static void on_acceptable(struct ev_loop *loop, ev_io *io, int revents)
{
    accept_some(io->data, (struct listener *)(void *)io, ACCEPTS_A_TURN);
}

void listeners_drain(struct worker *w)
{
    listeners_stop(w);
    for (size_t i = 0; i < w->listener_count; i++) {
        struct listener *l = &w->listeners[i];
        if (l->fd < 0)
            continue;
        /* One that the workers share is closed with the last of them: let nobody queue until then.
         */
        if (l->is_unix)
            shutdown(l->fd, SHUT_RDWR);
        /* A socket that is closed with connections in its queue resets them. */
        accept_some(w, l, 2 * BACKLOG);
        if (l->is_unix)
            continue; /* shared with the other workers */
        close(l->fd);
        l->fd = -1;
    }
}

void listeners_start(struct worker *w)
{
    for (size_t i = 0; i < w->listener_count; i++) {
        ev_io *io = &w->listeners[i].io;
        ev_io_init(io, on_acceptable, w->listeners[i].fd, EV_READ);
        io->data = w;
        ev_io_start(w->loop, io);
    }
}

void listeners_stop(struct worker *w)
{
    for (size_t i = 0; i < w->listener_count; i++)
        ev_io_stop(w->loop, &w->listeners[i].io);
}

void listeners_room(struct worker *w)
{
    if (!w->accept_paused)
        return;
    ev_timer_stop(w->loop, &w->accept_retry);
    ev_timer_set(&w->accept_retry, 0., 0.);
    ev_timer_start(w->loop, &w->accept_retry);
}

void listeners_retry(struct worker *w)
{
    if (!w->accept_paused || w->stopping || w->draining)
        return;
    /* accept4 takes a descriptor before it looks for a client: with nobody waiting it tells too. */
    for (size_t i = 0; i < w->listener_count; i++)
        if (!accept_some(w, &w->listeners[i], ACCEPTS_A_TURN))
            return;
    w->accept_paused = false;
    metrics_set(&w->metrics->accept_paused, 0);
    if (atomic_fetch_sub(&w->server->paused, 1) == 1)
        log_info("http", "accepting again");
    listeners_start(w);
}
