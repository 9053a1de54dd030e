/*
 * TLS of the listeners, by OpenSSL: a worker's context with its certificate, and writing by
 * records, since a stream's frames are shared and leave by our own queue. TLS 1.2 and up.
 */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

#include "base/buf.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

enum { TLS_SCRATCH = 16 * 1024 }; /* the largest record */

/* tls_check: do these two PEM files load and belong together? 0, or ERR_INVALID with one line in
 * why. */
int tls_check(const char *cert, const char *key, struct buf *why);

/* tls_create: a server's context with this pair; owned by the caller. 0, or ERR_INVALID with one
 * line in why. */
int tls_create(SSL_CTX **out, const char *cert, const char *key, struct buf *why);

/*
 * tls_write: as writev, gathering small parts into one record by way of `scratch` (TLS_SCRATCH
 * bytes). The bytes written, or -1 with errno EAGAIN (the same bytes must come first the next time)
 * or ECONNRESET. *needs_input is set when it is input that OpenSSL waits for, not room.
 */
ssize_t tls_write(SSL *ssl, char *scratch, const struct iovec *iov, int n, bool *needs_input);

/* tls_speaks_h2: was HTTP/2 chosen in its handshake? */
bool tls_speaks_h2(const SSL *ssl);

/* tls_replace: makes ctx use this pair and no other, for handshakes from now on. 0, or ERR_INVALID
 * as tls_check, and then nothing is changed. On the thread that uses ctx. */
int tls_replace(SSL_CTX *ctx, const char *cert, const char *key, struct buf *why);

#endif
