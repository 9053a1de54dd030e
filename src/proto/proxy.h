/*
 * The PROXY protocol, versions 1 and 2 (HAProxy's doc/proxy-protocol.txt): the few bytes in which a
 * load balancer says who it speaks for, before the first byte of the client. Strict. Pure; any
 * thread. Who may send one is the caller's question: believe it from trusted_proxies only.
 */
#ifndef PROTO_PROXY_H
#define PROTO_PROXY_H

#include "base/span.h"
#include "proto/cidr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PROXY_V1_MAX_BYTES = 107, /* a line with its CRLF */
    PROXY_MAX_BYTES = 536, /* a whole header with its TLVs: what the smallest TCP segment holds */
};

struct proxy_header {
    /*
     * false: the proxy speaks for itself (a health check: LOCAL) or does not know for whom
     * (UNKNOWN, UNSPEC, a UDP or unix client): the connection's own address counts. The rest is
     * zero then.
     */
    bool has_client;
    struct net_address source, destination; /* the client, and where it connected to */
    uint16_t source_port, destination_port;
};

/*
 * proxy_parse: reads one header from the front of `bytes`. 0 with *out and *consumed (bytes of the
 * header; what is behind it is the client's); 1 when more is needed; ERR_INVALID with a static
 * sentence in *why. Errors are found as early as can be, a limit before its bytes come, and more
 * bytes never change them. Never 1 when PROXY_MAX_BYTES are there.
 *
 * TLVs are skipped, but must add up; LOCAL and UNSPEC skip everything. Refused: a bare CR or LF,
 * leading zeros, two spaces, more or fewer words than the version has, an address of the other
 * family, versions, commands and families that do not exist, a length that the addresses do not fit
 * into.
 */
int proxy_parse(struct span bytes, struct proxy_header *out, size_t *consumed, const char **why);

#endif
