/*
 * IP addresses and networks in CIDR notation (RFC 4632, RFC 4291 2.3), strictly: what somebody
 * trusts is written without guessing. Pure; any thread.
 */
#ifndef PROTO_CIDR_H
#define PROTO_CIDR_H

#include "base/buf.h"
#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In network order; IPv4 as the mapped ::ffff:a.b.c.d, so one client has one form. */
struct net_address {
    uint8_t bytes[16];
};

struct cidr {
    struct net_address base; /* no bit is set behind the prefix */
    uint8_t bits;            /* 0 to 128, of the mapped form: 10.0.0.0/8 has 104 */
};

/*
 * net_address_parse: "192.0.2.1" or "2001:db8::1": no zone, no brackets, no port, no leading zeros
 * in IPv4. 0 or ERR_INVALID.
 */
int net_address_parse(struct span text, struct net_address *out);

/* net_address_print: appends it as RFC 5952 wants it; a mapped address as IPv4. */
void net_address_print(struct buf *out, const struct net_address *address);

bool net_address_is_v4(const struct net_address *address);
bool net_address_eq(const struct net_address *a, const struct net_address *b);

enum { CIDR_WHY_BYTES = 128 };

/*
 * cidr_parse: "10.0.0.0/8", "2001:db8::/32", or an address alone, which is a network of one. 0 or
 * ERR_INVALID with a phrase in why that fits behind the text. Bits behind the prefix are an error
 * that names the network which was probably meant: 10.1.2.3/8 could be 10.0.0.0/8 or a slip of a
 * far narrower one.
 */
int cidr_parse(struct span text, struct cidr *out, char why[CIDR_WHY_BYTES]);

/* cidr_print: appends what cidr_parse reads, always with its prefix. */
void cidr_print(struct buf *out, const struct cidr *network);

/*
 * cidr_contains: an IPv6 network holds no IPv4 address, not even ::/0, whose numbers would: who
 * writes it means IPv6. Networks within ::ffff:0:0/96 are IPv4 ones, however they were written.
 */
bool cidr_contains(const struct cidr *network, const struct net_address *address);

/* cidrs_contain: does one of them? */
bool cidrs_contain(const struct cidr *networks, size_t count, const struct net_address *address);

#endif
