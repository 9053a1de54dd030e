/*
 * TLS to Redis, where this build's hiredis has it (SLUICE_HIREDIS_SSL): the server's certificate
 * and its name are always verified. Nothing outside tls.c knows OpenSSL. Core thread.
 */
#ifndef BROKER_REDIS_TLS_H
#define BROKER_REDIS_TLS_H

#include "broker/broker_redis/redis_url.h"

#include <stdbool.h>
#include <stddef.h>

struct redisContext;
struct ssl_st;
struct tls_trust; /* opaque: whom to believe */

/* tls_available: can this build speak TLS at all? */
bool tls_available(void);

/* tls_trust_create: owned by the caller; NULL with one line in why (unreadable cacert). */
struct tls_trust *tls_trust_create(const struct redis_url *url, char *why, size_t why_size);
void tls_trust_destroy(struct tls_trust **trust);

/*
 * tls_begin: starts the handshake on a connected context, which then owns the session and speaks
 * TLS by itself. The session (borrowed: lives as long as the context), or NULL with one line in
 * why.
 */
struct ssl_st *tls_begin(const struct tls_trust *trust, const struct redis_url *url,
                         struct redisContext *context, char *why, size_t why_size);

/* tls_wants_read: the last call could not go on before the peer speaks. False for NULL. */
bool tls_wants_read(const struct ssl_st *session);

/*
 * tls_prepare: call before each read and write: hiredis asks OpenSSL's per-thread error queue what
 * went wrong, and an old error of somebody else in it would end this connection.
 */
void tls_prepare(const struct ssl_st *session);

/* tls_explain: what TLS has to say about a connection that failed; false: nothing. */
bool tls_explain(const struct ssl_st *session, char *why, size_t why_size);

#endif
