#include "http/tls.h"

#include "base/err.h"

#include <errno.h>
#include <openssl/err.h>
#include <pthread.h>
#include <string.h>

/* The first of OpenSSL's errors is the cause; a file that cannot be opened is the system's. */
static int say(struct buf *why, const char *key, const char *path, const char *what)
{
    unsigned long code = ERR_peek_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    if (code && ERR_SYSTEM_ERROR(code))
        buf_printf(why, "%s: \"%s\": %s", key, path, strerror(ERR_GET_REASON(code)));
    else
        buf_printf(why, "%s: \"%s\" %s%s%s", key, path, what, reason ? ": " : "",
                   reason ? reason : "");
    ERR_clear_error();
    return ERR_INVALID;
}

/* No question on a terminal: the gateway would stand still until somebody answered it. */
static int on_passphrase(char *out, int size, int writing, void *ctx)
{
    return -1;
}

static int load(SSL_CTX *ctx, const char *cert, const char *key, struct buf *why)
{
    SSL_CTX_set_default_passwd_cb(ctx, on_passphrase);
    if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
        return say(why, "tls.cert", cert, "is no PEM certificate that can be used");
    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
        return say(why, "tls.key", key, "is no PEM private key of that certificate");
    if (SSL_CTX_check_private_key(ctx) != 1)
        return say(why, "tls.key", key, "does not belong to the certificate");
    return 0;
}

/* A context that does nothing but hold the pair; owned by the caller. */
static int create_pair(SSL_CTX **out, const char *cert, const char *key, struct buf *why)
{
    ERR_clear_error();
    SSL_CTX *pair = SSL_CTX_new(TLS_server_method());
    if (!pair)
        return say(why, "tls", cert, "cannot be used: OpenSSL would not start");
    int err = load(pair, cert, key, why);
    if (err)
        SSL_CTX_free(pair);
    else
        *out = pair;
    return err;
}

int tls_check(const char *cert, const char *key, struct buf *why)
{
    SSL_CTX *pair = NULL;
    int err = create_pair(&pair, cert, key, why);
    SSL_CTX_free(pair);
    return err;
}

/* Where a context has the pair that replaces its own. */
static int pair_index;
static pthread_once_t pair_once = PTHREAD_ONCE_INIT;

static void on_free(void *ctx, void *pair, CRYPTO_EX_DATA *data, int index, long n, void *arg)
{
    SSL_CTX_free(pair);
}

static void make_pair_index(void)
{
    pair_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, on_free);
}

/*
 * A context has room for one pair of each kind of key, and one of another kind would be served
 * beside the new one, or instead of it: so each handshake takes the pair in force and nothing else.
 */
static int on_certificate(SSL *ssl, void *arg)
{
    SSL_CTX *pair = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), pair_index);
    STACK_OF(X509) *chain = NULL;
    SSL_CTX_get0_chain_certs(pair, &chain);
    SSL_certs_clear(ssl);
    return SSL_use_cert_and_key(ssl, SSL_CTX_get0_certificate(pair), SSL_CTX_get0_privatekey(pair),
                                chain, 1);
}

int tls_replace(SSL_CTX *ctx, const char *cert, const char *key, struct buf *why)
{
    SSL_CTX *pair = NULL;
    int err = create_pair(&pair, cert, key, why);
    if (err)
        return err;
    pthread_once(&pair_once, make_pair_index);
    SSL_CTX_free(SSL_CTX_get_ex_data(ctx, pair_index));
    SSL_CTX_set_ex_data(ctx, pair_index, pair);
    SSL_CTX_set_cert_cb(ctx, on_certificate, NULL);
    return 0;
}

void tls_adopt(SSL *ssl)
{
    /* Idle streams are most of them: their record buffers are 34 kB each unless given back. */
    SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                          SSL_MODE_RELEASE_BUFFERS);
}

static ssize_t write_some(SSL *ssl, const char *bytes, size_t len)
{
    ERR_clear_error();
    int n = SSL_write(ssl, bytes, (int)len);
    if (n > 0)
        return n;
    int error = SSL_get_error(ssl, n);
    errno = error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ ? EAGAIN : ECONNRESET;
    return -1;
}

/* One record: as many parts as fit, from byte `skip` of the first on. */
static ssize_t write_record(SSL *ssl, char *scratch, const struct iovec *iov, int n, size_t skip)
{
    const char *first = (const char *)iov[0].iov_base + skip;
    size_t len = iov[0].iov_len - skip;
    if (len >= TLS_SCRATCH)
        return write_some(ssl, first, TLS_SCRATCH);
    if (n == 1)
        return write_some(ssl, first, len);
    memcpy(scratch, first, len);
    for (int i = 1; i < n && len < TLS_SCRATCH; i++) {
        size_t part = iov[i].iov_len < TLS_SCRATCH - len ? iov[i].iov_len : TLS_SCRATCH - len;
        memcpy(scratch + len, iov[i].iov_base, part);
        len += part;
    }
    return write_some(ssl, scratch, len);
}

ssize_t tls_write(SSL *ssl, char *scratch, const struct iovec *iov, int n)
{
    ssize_t total = 0;
    size_t skip = 0;
    while (n > 0) {
        ssize_t sent = write_record(ssl, scratch, iov, n, skip);
        if (sent < 0)
            return total ? total : sent;
        total += sent;
        skip += (size_t)sent;
        while (n > 0 && skip >= iov->iov_len) {
            skip -= iov->iov_len;
            iov++;
            n--;
        }
    }
    return total;
}
