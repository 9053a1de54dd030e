/*
 * One connection to the server: a TCP socket, in clear or with TLS 1.3, that never blocks. The
 * handshake is part of the first send. Not a byte is kept here but what OpenSSL keeps.
 */
#ifndef SWARM_LINK_H
#define SWARM_LINK_H

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum wire { WIRE_CLEAR, WIRE_TLS, WIRE_H2 };

struct link {
    int fd;       /* owned; -1 when closed */
    SSL *ssl;     /* owned; NULL in clear */
    bool writing; /* the last call waits for room to write, else for something to read */
};

/* link_wire: false when there is none of that name. */
bool link_wire(const char *name, enum wire *out);

/* link_tls: a context for it; NULL in clear. The server's certificate is believed as it is: only
 * the cost counts here. */
SSL_CTX *link_tls(enum wire wire);

/* link_open: begins to connect, from the loopback address that `number` chooses; errno is set when
 * false. */
bool link_open(struct link *l, const struct sockaddr_in *server, uint32_t number, SSL_CTX *tls);

/* link_send, link_recv: as send() and recv(); EAGAIN when `writing` says what to wait for. A
 * repeated send must bring the same bytes. */
ssize_t link_send(struct link *l, const char *bytes, size_t len);
ssize_t link_recv(struct link *l, char *bytes, size_t room);

/* link_chose_h2: the handshake has ended in HTTP/2. */
bool link_chose_h2(const struct link *l);

void link_close(struct link *l);

#endif
