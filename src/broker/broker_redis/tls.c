#include "broker/broker_redis/tls.h"

#ifdef SLUICE_HIREDIS_SSL

#include "base/mem.h"

#include <arpa/inet.h>
#include <hiredis/hiredis.h>
#include <hiredis/hiredis_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>

struct tls_trust {
    SSL_CTX *context; /* owned */
};

bool tls_available(void)
{
    return true;
}

static const char *last_error(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    return reason ? reason : "unknown error";
}

struct tls_trust *tls_trust_create(const struct redis_url *url, char *why, size_t why_size)
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    int trusted = 0;
    if (context && url->cacert)
        trusted = SSL_CTX_load_verify_locations(context, url->cacert, NULL);
    else if (context)
        trusted = SSL_CTX_set_default_verify_paths(context);
    if (trusted != 1) {
        snprintf(why, why_size, "TLS: cannot read the certificates in %s: %s",
                 url->cacert ? url->cacert : "the system's store", last_error());
        SSL_CTX_free(context);
        return NULL;
    }
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    struct tls_trust *trust = mem_zalloc(sizeof(*trust));
    trust->context = context;
    return trust;
}

void tls_trust_destroy(struct tls_trust **trust)
{
    if (!*trust)
        return;
    SSL_CTX_free((*trust)->context);
    mem_free(*trust);
    *trust = NULL;
}

/* An address is looked for among the certificate's addresses, a name among its names. */
static bool expect_host(SSL *ssl, const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set_tlsext_host_name(ssl, host) == 1 && SSL_set1_host(ssl, host) == 1;
}

struct ssl_st *tls_begin(const struct tls_trust *trust, const struct redis_url *url,
                         struct redisContext *context, char *why, size_t why_size)
{
    ERR_clear_error();
    SSL *ssl = SSL_new(trust->context);
    if (!ssl || !expect_host(ssl, url->host) || redisInitiateSSL(context, ssl) != REDIS_OK) {
        snprintf(why, why_size, "TLS: %s", context->err ? context->errstr : last_error());
        SSL_free(ssl);
        return NULL;
    }
    return ssl;
}

bool tls_wants_read(const struct ssl_st *session)
{
    return session && SSL_want_read(session);
}

void tls_prepare(const struct ssl_st *session)
{
    if (session)
        ERR_clear_error();
}

bool tls_explain(const struct ssl_st *session, char *why, size_t why_size)
{
    if (!session)
        return false;
    long verified = SSL_get_verify_result(session);
    if (verified != X509_V_OK) {
        snprintf(why, why_size, "TLS: the server's certificate: %s",
                 X509_verify_cert_error_string(verified));
        return true;
    }
    if (SSL_is_init_finished(session) || ERR_peek_last_error() == 0)
        return false;
    snprintf(why, why_size, "TLS: %s", last_error());
    return true;
}

#else

bool tls_available(void)
{
    return false;
}

struct tls_trust *tls_trust_create(const struct redis_url *url, char *why, size_t why_size)
{
    return NULL;
}

void tls_trust_destroy(struct tls_trust **trust)
{
}

struct ssl_st *tls_begin(const struct tls_trust *trust, const struct redis_url *url,
                         struct redisContext *context, char *why, size_t why_size)
{
    return NULL;
}

bool tls_wants_read(const struct ssl_st *session)
{
    return false;
}

void tls_prepare(const struct ssl_st *session)
{
}

bool tls_explain(const struct ssl_st *session, char *why, size_t why_size)
{
    return false;
}

#endif
