/*
 * One connected socket of a worker, in clear or over TLS: the handshake, reading by readiness,
 * writing, and the two ways of ending. It is embedded in what it belongs to, which it tells of what
 * happens by the callbacks of struct sockets; it has no deadline of its own, and keeps no bytes:
 * what is read lies in a buffer that all sockets of the worker share. Lives on the worker's thread.
 */
#ifndef HTTP_SOCKET_H
#define HTTP_SOCKET_H

#include "base/buf.h"
#include "base/span.h"

#include <ev.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

struct socket;

/* What a socket tells its owner. None of them may close the socket: its owner does so later. */
struct socket_events {
    /* the handshake is done; not told of a socket in clear */
    void (*secured)(struct socket *s);
    /* borrowed for the call; not told while paused, but for the rest of the record being read */
    void (*input)(struct socket *s, struct span bytes);
    /* there is room again, once for each socket_want_write */
    void (*writable)(struct socket *s);
    /* nothing more will be read. clean: the peer has ended its side and may still read ours;
     * otherwise the connection is of no more use. Once, unless it was stopped before. */
    void (*end)(struct socket *s, bool clean);
};

/* What the sockets of one worker have in common. */
struct sockets {
    struct ev_loop *loop;               /* borrowed */
    const struct socket_events *events; /* borrowed */
    char *input;                        /* owned: what is being read */
    char *record; /* owned: what is being put into a record; NULL without TLS */
    SSL_CTX *tls; /* owned; NULL without TLS */
};

struct socket {
    ev_io io; /* data: the struct sockets */
    SSL *ssl; /* owned; NULL in clear */
    bool handshaking;
    bool reading;           /* wants to hear of input */
    bool ended;             /* `end` was told, or will not be */
    bool writing;           /* wants to hear of room */
    bool read_needs_room;   /* OpenSSL must write before it can read on */
    bool write_needs_input; /* or the other way round */
};

/* sockets_init: cert and key are PEM files, or NULL without TLS. 0, or ERR_INVALID with one line in
 * why. */
int sockets_init(struct sockets *all, struct ev_loop *loop, const struct socket_events *events,
                 const char *cert, const char *key, struct buf *why);
/* sockets_fini: all sockets must be closed. A zeroed struct is allowed. */
void sockets_fini(struct sockets *all);

/* socket_tune: sets the options of TCP on a listener: accepted sockets inherit all of them, so that
 * a connect costs no calls for it. */
void socket_tune(int fd);

/* socket_open: takes the connected, non-blocking fd over and begins to read. False when there is no
 * memory for TLS; then fd is closed. */
bool socket_open(struct socket *s, struct sockets *all, int fd, bool tls);

/* socket_close: lets everything go; what was sent and not read does not turn the end into a reset
 * unless it is much. */
void socket_close(struct socket *s);

/* socket_stop: tells nothing more; to be closed later. */
void socket_stop(struct socket *s);

/* socket_pause: `input` and `end` are told no more; room still is. socket_resume: they are again.
 */
void socket_pause(struct socket *s);
void socket_resume(struct socket *s);

/*
 * socket_write: as writev. The bytes written, or -1 with errno: EAGAIN, EWOULDBLOCK or EINTR mean
 * that the same bytes must come first the next time. iov is used up.
 */
ssize_t socket_write(struct socket *s, struct iovec *iov, int n);

/* socket_want_write: `writable` once there is room. */
void socket_want_write(struct socket *s);

/* socket_shutdown: ends our side, over TLS with close_notify: a cut-off answer could not be told
 * from a whole one. */
void socket_shutdown(struct socket *s);

static inline int socket_fd(const struct socket *s)
{
    return s->io.fd;
}

/* socket_send: socket_write of one part. */
static inline ssize_t socket_send(struct socket *s, const char *bytes, size_t len)
{
    struct iovec part = {.iov_base = (char *)bytes, .iov_len = len};
    return s->ssl ? socket_write(s, &part, 1)
                  : send(s->io.fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

#endif
