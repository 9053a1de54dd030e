/*
 * Who the client is behind proxies: from Forwarded (RFC 7239) or X-Forwarded-For, of which only
 * what trusted proxies wrote is believed. Pure; any thread.
 *
 * Each proxy writes at the right end who connected to it, so the lists are read from the right: the
 * peer is known; if it is trusted, the last element is what it said; if that address is trusted
 * too, the one before is what that one said; and so on to the first address that is not trusted,
 * which is the client. All that is left of it may be the client's own invention and is not even
 * looked at: a quote that a client leaves open cannot swallow what a proxy wrote behind it.
 *
 * What cannot be believed ends the walk at the last trusted hop, which is then taken for the
 * client: an element that is malformed or empty, `unknown`, an obfuscated `_name`, a Forwarded
 * element without `for` or with two, more than FORWARDED_MAX_HOPS. If trusted hops are all there
 * is, the leftmost of them is the client.
 *
 * Which header: the one that is there with anything but blanks. When both are, they must agree: a
 * proxy that writes only one of them lets the other through as the client sent it, and nobody
 * can tell which. If they disagree the peer is taken for the client, so that who makes one up is
 * counted together with all others who do.
 */
#ifndef PROTO_FORWARDED_H
#define PROTO_FORWARDED_H

#include "base/span.h"
#include "proto/cidr.h"

#include <stddef.h>

enum { FORWARDED_MAX_HOPS = 64 };

/* The values of all fields of each name, in the order in which they came. All borrowed. */
struct forwarded_fields {
    const struct span *forwarded;
    size_t forwarded_count;
    const struct span *x_forwarded_for;
    size_t x_forwarded_for_count;
};

/* Why the walk ended where it did. */
enum forwarded_end {
    FORWARDED_PEER,    /* *out is the peer: it is not trusted, or neither header is there */
    FORWARDED_CLIENT,  /* *out is what the last trusted proxy said */
    FORWARDED_STOPPED, /* *out is the last trusted hop: what it said cannot be believed */
};

/*
 * forwarded_client: *out is always set. In Forwarded, `for` is an IPv4 address, or "[IPv6]", with
 * or without a port, by the RFC's grammar; spaces and tabs around the semicolons are let through.
 * In X-Forwarded-For, which has no grammar, an address, IPv4:port, [IPv6] or [IPv6]:port.
 */
enum forwarded_end forwarded_client(const struct forwarded_fields *fields,
                                    const struct cidr *trusted, size_t trusted_count,
                                    const struct net_address *peer, struct net_address *out);

#endif
