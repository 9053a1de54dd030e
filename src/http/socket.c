#include "http/socket.h"

#include "base/mem.h"
#include "http/tls.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <unistd.h>

enum {
    /* No record is larger, so that after a read OpenSSL never holds bytes back: of those no event
     * would tell. */
    INPUT_BYTES = 64 * 1024,
    READS_A_TURN = 4, /* so that one client's upload does not hold up the others */
    UNSENT_BYTES = 128 * 1024,
    SINK_READS = 8, /* of what nobody will look at, before a close */
};

_Static_assert(INPUT_BYTES >= SSL3_RT_MAX_PLAIN_LENGTH, "a record must fit in");

static struct sockets *all_of(const struct socket *s)
{
    return s->io.data;
}

/* Makes the loop watch for what is wanted now. */
static void watch(struct socket *s)
{
    bool reads = s->reading && !s->ended;
    bool in = (reads && !s->read_needs_room) || s->write_needs_input;
    bool out = (s->writing && !s->write_needs_input) || (reads && s->read_needs_room);
    int events = (in ? EV_READ : 0) | (out ? EV_WRITE : 0);
    if (events == (s->io.events & (EV_READ | EV_WRITE)) && ev_is_active(&s->io) == (events != 0))
        return;
    ev_io_stop(all_of(s)->loop, &s->io);
    ev_io_modify(&s->io, events);
    if (events)
        ev_io_start(all_of(s)->loop, &s->io);
}

static void end(struct socket *s, bool clean)
{
    if (s->ended)
        return;
    /* A socket at its end is readable for ever: the loop would spin. */
    s->ended = true;
    all_of(s)->events->end(s, clean);
}

/* What OpenSSL's last call waits for; false when it has failed for good. */
static bool wants(struct socket *s, int returned, bool *needs_room)
{
    int error = SSL_get_error(s->ssl, returned);
    *needs_room = error == SSL_ERROR_WANT_WRITE;
    return *needs_room || error == SSL_ERROR_WANT_READ;
}

/* One read into the shared buffer. Above 0: bytes. 0: there is nothing now. -1: the end was told.
 */
static ssize_t read_tls(struct socket *s)
{
    ERR_clear_error();
    int n = SSL_read(s->ssl, all_of(s)->input, INPUT_BYTES);
    s->read_needs_room = false;
    if (n > 0)
        return n;
    if (wants(s, n, &s->read_needs_room))
        return 0;
    end(s, SSL_get_error(s->ssl, n) == SSL_ERROR_ZERO_RETURN);
    return -1;
}

static ssize_t read_clear(struct socket *s)
{
    ssize_t n = recv(s->io.fd, all_of(s)->input, INPUT_BYTES, MSG_DONTWAIT);
    if (n > 0)
        return n;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return 0;
    end(s, n == 0);
    return -1;
}

static void read_turn(struct socket *s)
{
    for (int i = 0; i < READS_A_TURN && s->reading && !s->ended; i++) {
        ssize_t n = s->ssl ? read_tls(s) : read_clear(s);
        if (n <= 0)
            return;
        all_of(s)->events->input(s, span_make(all_of(s)->input, (size_t)n));
        if (!s->ssl && n < INPUT_BYTES)
            return; /* that was all there is */
    }
}

static void shake_hands(struct socket *s)
{
    ERR_clear_error();
    int n = SSL_do_handshake(s->ssl);
    s->read_needs_room = false;
    if (n == 1) {
        s->handshaking = false;
        all_of(s)->events->secured(s);
    } else if (!wants(s, n, &s->read_needs_room)) {
        end(s, false);
    }
}

static void on_ready(struct ev_loop *loop, ev_io *io, int revents)
{
    struct socket *s = (struct socket *)(void *)io;
    bool room = revents & EV_WRITE, input = revents & EV_READ;
    if (s->handshaking)
        shake_hands(s);
    if (!s->handshaking) {
        if (input || s->read_needs_room)
            read_turn(s);
        if (s->writing && (room || s->write_needs_input)) {
            s->writing = s->write_needs_input = false;
            all_of(s)->events->writable(s);
        }
    }
    watch(s);
}

bool socket_open(struct socket *s, struct sockets *all, int fd, bool tls)
{
    *s = (struct socket){.reading = true, .handshaking = tls};
    ev_io_init(&s->io, on_ready, fd, EV_READ);
    s->io.data = all;
    if (tls) {
        s->ssl = SSL_new(all->tls);
        if (!s->ssl || SSL_set_fd(s->ssl, fd) != 1) {
            SSL_free(s->ssl);
            close(fd);
            return false;
        }
        SSL_set_accept_state(s->ssl);
    }
    ev_io_start(all->loop, &s->io);
    return true;
}

void socket_stop(struct socket *s)
{
    s->ended = true;
    s->reading = s->writing = s->read_needs_room = s->write_needs_input = false;
    watch(s);
}

void socket_close(struct socket *s)
{
    socket_stop(s);
    for (int i = 0; i < SINK_READS; i++)
        if (recv(s->io.fd, all_of(s)->input, INPUT_BYTES, MSG_DONTWAIT) <= 0)
            break;
    SSL_free(s->ssl);
    s->ssl = NULL;
    close(s->io.fd);
}

void socket_pause(struct socket *s)
{
    s->reading = false;
    watch(s);
}

void socket_resume(struct socket *s)
{
    s->reading = true;
    watch(s);
}

void socket_want_write(struct socket *s)
{
    s->writing = true;
    watch(s);
}

ssize_t socket_write(struct socket *s, struct iovec *iov, int n)
{
    if (s->ssl) {
        s->write_needs_input = false;
        return tls_write(s->ssl, all_of(s)->record, iov, n, &s->write_needs_input);
    }
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)n};
    return sendmsg(s->io.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void socket_shutdown(struct socket *s)
{
    if (s->ssl && !s->handshaking) {
        ERR_clear_error();
        SSL_shutdown(s->ssl);
    }
    shutdown(s->io.fd, SHUT_WR);
}

void socket_tune(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        /* A client that does not read holds the kernel's memory too: this much unsent, not
         * megabytes. */
        {IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_BYTES},
        /* A peer that vanished without a FIN is found within two minutes, idle or written to. */
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, 60},
        {IPPROTO_TCP, TCP_KEEPINTVL, 15},
        {IPPROTO_TCP, TCP_KEEPCNT, 3},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, 110000},
    };
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
}

int sockets_init(struct sockets *all, struct ev_loop *loop, const struct socket_events *events,
                 const char *cert, const char *key, struct buf *why)
{
    *all = (struct sockets){.loop = loop, .events = events, .input = mem_alloc(INPUT_BYTES)};
    if (!cert)
        return 0;
    all->record = mem_alloc(TLS_SCRATCH);
    return tls_create(&all->tls, cert, key, why);
}

void sockets_fini(struct sockets *all)
{
    SSL_CTX_free(all->tls);
    mem_free(all->record);
    mem_free(all->input);
    *all = (struct sockets){0};
}
