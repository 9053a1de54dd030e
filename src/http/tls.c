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

/* What every browser since 2014 has, and HTTP/2 allows (RFC 9113, appendix A); TLS 1.3 has its own.
 */
static const char ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

static const unsigned char alpn[] = {2, 'h', '2', 8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

/* Our order counts. A client that knows none of them is served as one that names none. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *arg)
{
    unsigned char *found = NULL;
    if (SSL_select_next_proto(&found, out_len, alpn, sizeof(alpn), in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = found;
    return SSL_TLSEXT_ERR_OK;
}

int tls_create(SSL_CTX **out, const char *cert, const char *key, struct buf *why)
{
    ERR_clear_error();
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx || SSL_CTX_set_cipher_list(ctx, ciphers) != 1) {
        SSL_CTX_free(ctx);
        return say(why, "tls", cert, "cannot be used: OpenSSL would not start");
    }
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    /* What ends without close_notify is told whole by HTTP itself, and may still be answered. */
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF);
    /* Idle streams are most of them: their record buffers are 34 kB each unless given back. */
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    /* Else a client that sends records of no bytes for us would be served within one read. */
    SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
    /* Tickets are kept by the clients, who are many; a cache would be kept by us. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    int err = tls_replace(ctx, cert, key, why);
    if (err)
        SSL_CTX_free(ctx);
    else
        *out = ctx;
    return err;
}

bool tls_speaks_h2(const SSL *ssl)
{
    const unsigned char *name = NULL;
    unsigned len = 0;
    SSL_get0_alpn_selected(ssl, &name, &len);
    return len == 2 && memcmp(name, "h2", 2) == 0;
}

static ssize_t write_some(SSL *ssl, const char *bytes, size_t len, bool *needs_input)
{
    ERR_clear_error();
    int n = SSL_write(ssl, bytes, (int)len);
    if (n > 0)
        return n;
    int error = SSL_get_error(ssl, n);
    *needs_input = error == SSL_ERROR_WANT_READ;
    errno = error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ ? EAGAIN : ECONNRESET;
    return -1;
}

/* One record: as many parts as fit, from byte `skip` of the first on. */
static ssize_t write_record(SSL *ssl, char *scratch, const struct iovec *iov, int n, size_t skip,
                            bool *needs_input)
{
    const char *first = (const char *)iov[0].iov_base + skip;
    size_t len = iov[0].iov_len - skip;
    if (len >= TLS_SCRATCH)
        return write_some(ssl, first, TLS_SCRATCH, needs_input);
    if (n == 1)
        return write_some(ssl, first, len, needs_input);
    memcpy(scratch, first, len);
    for (int i = 1; i < n && len < TLS_SCRATCH; i++) {
        size_t part = iov[i].iov_len < TLS_SCRATCH - len ? iov[i].iov_len : TLS_SCRATCH - len;
        memcpy(scratch + len, iov[i].iov_base, part);
        len += part;
    }
    return write_some(ssl, scratch, len, needs_input);
}

ssize_t tls_write(SSL *ssl, char *scratch, const struct iovec *iov, int n, bool *needs_input)
{
    ssize_t total = 0;
    size_t skip = 0;
    while (n > 0) {
        ssize_t sent = write_record(ssl, scratch, iov, n, skip, needs_input);
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
