#include "link.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SOURCES = 9 }; /* 127.0.0.1 to .9: each has its own ports */

bool link_wire(const char *name, enum wire *out)
{
    static const char *const names[] = {
        [WIRE_CLEAR] = "clear", [WIRE_TLS] = "tls", [WIRE_H2] = "h2"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (strcmp(names[i], name) != 0)
            continue;
        *out = (enum wire)i;
        return true;
    }
    return false;
}

SSL_CTX *link_tls(enum wire wire)
{
    static const unsigned char h1[] = "\x08http/1.1", h2[] = "\x02h2";
    if (wire == WIRE_CLEAR)
        return NULL;
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    if (!tls || SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION) != 1)
        abort();
    SSL_CTX_set_verify(tls, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    int err = wire == WIRE_H2 ? SSL_CTX_set_alpn_protos(tls, h2, sizeof(h2) - 1)
                              : SSL_CTX_set_alpn_protos(tls, h1, sizeof(h1) - 1);
    if (err)
        abort();
    return tls;
}

static bool open_socket(struct link *l, const struct sockaddr_in *server, uint32_t number)
{
    int on = 1;
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK + number % SOURCES)};
    l->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0)
        return false;
    setsockopt(l->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    if (bind(l->fd, (struct sockaddr *)&from, sizeof(from)) != 0)
        return false;
    return connect(l->fd, (const struct sockaddr *)server, sizeof(*server)) == 0 ||
           errno == EINPROGRESS;
}

bool link_open(struct link *l, const struct sockaddr_in *server, uint32_t number, SSL_CTX *tls)
{
    *l = (struct link){.fd = -1};
    if (!open_socket(l, server, number))
        return false;
    if (!tls)
        return true;
    l->ssl = SSL_new(tls);
    if (!l->ssl || SSL_set_fd(l->ssl, l->fd) != 1)
        abort();
    SSL_set_connect_state(l->ssl);
    return true;
}

/* What SSL_read and SSL_write say, as system calls say it. */
static ssize_t answer_of(struct link *l, int n)
{
    if (n > 0)
        return n;
    switch (SSL_get_error(l->ssl, n)) {
    case SSL_ERROR_WANT_READ:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_WANT_WRITE:
        l->writing = true;
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL: /* not yet connected counts as no room, as in clear */
        l->writing = errno == ENOTCONN || errno == EAGAIN;
        if (l->writing)
            errno = EAGAIN;
        return -1;
    default:
        errno = EPROTO;
        return -1;
    }
}

ssize_t link_send(struct link *l, const char *bytes, size_t len)
{
    l->writing = false;
    if (l->ssl) {
        ERR_clear_error();
        errno = 0;
        return answer_of(l, SSL_write(l->ssl, bytes, (int)len));
    }
    ssize_t sent = send(l->fd, bytes, len, MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == ENOTCONN)) {
        errno = EAGAIN;
        l->writing = true;
    }
    return sent;
}

ssize_t link_recv(struct link *l, char *bytes, size_t room)
{
    l->writing = false;
    if (!l->ssl)
        return recv(l->fd, bytes, room, 0);
    ERR_clear_error();
    errno = 0;
    return answer_of(l, SSL_read(l->ssl, bytes, (int)room));
}

bool link_chose_h2(const struct link *l)
{
    const unsigned char *name;
    unsigned len = 0;
    if (l->ssl)
        SSL_get0_alpn_selected(l->ssl, &name, &len);
    return len == 2 && memcmp(name, "h2", 2) == 0;
}

void link_close(struct link *l)
{
    SSL_free(l->ssl);
    if (l->fd >= 0)
        close(l->fd);
    *l = (struct link){.fd = -1};
}
