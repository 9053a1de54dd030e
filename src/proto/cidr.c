#include "proto/cidr.h"

#include "base/err.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum { MAPPED_BITS = 96, WHOLE_BITS = 128 };

static const uint8_t mapped[MAPPED_BITS / 8] = {[10] = 0xff, [11] = 0xff};

/* The text with a NUL behind it, for inet_pton; false when it is too long or has one already. */
static bool to_cstr(struct span text, char out[INET6_ADDRSTRLEN])
{
    if (text.len == 0 || text.len >= INET6_ADDRSTRLEN || memchr(text.ptr, 0, text.len))
        return false;
    memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    return true;
}

int net_address_parse(struct span text, struct net_address *out)
{
    char z[INET6_ADDRSTRLEN];
    struct net_address address;
    if (!to_cstr(text, z))
        return ERR_INVALID;
    if (inet_pton(AF_INET, z, address.bytes + sizeof(mapped)) == 1)
        memcpy(address.bytes, mapped, sizeof(mapped));
    else if (inet_pton(AF_INET6, z, address.bytes) != 1)
        return ERR_INVALID;
    *out = address;
    return 0;
}

bool net_address_is_v4(const struct net_address *address)
{
    return memcmp(address->bytes, mapped, sizeof(mapped)) == 0;
}

bool net_address_eq(const struct net_address *a, const struct net_address *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static const char *to_text(const struct net_address *address, char out[INET6_ADDRSTRLEN])
{
    bool v4 = net_address_is_v4(address);
    return inet_ntop(v4 ? AF_INET : AF_INET6, address->bytes + (v4 ? sizeof(mapped) : 0), out,
                     INET6_ADDRSTRLEN);
}

void net_address_print(struct buf *out, const struct net_address *address)
{
    char text[INET6_ADDRSTRLEN];
    buf_str(out, to_text(address, text));
}

/* Digits without a leading zero, at most `most`; -1 for anything else. */
static int parse_bits(struct span text, int most)
{
    int bits = 0;
    if (text.len == 0 || text.len > 3 || (text.len > 1 && text.ptr[0] == '0'))
        return -1;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return -1;
        bits = bits * 10 + (text.ptr[i] - '0');
    }
    return bits <= most ? bits : -1;
}

/* The mask of byte i of an address with so many bits before it ends. */
static uint8_t mask_of(int bits, size_t i)
{
    int left = bits - (int)i * 8;
    return left >= 8 ? 0xff : left <= 0 ? 0 : (uint8_t)(0xff << (8 - left));
}

static int shown_bits(const struct cidr *network)
{
    return network->bits - (net_address_is_v4(&network->base) ? MAPPED_BITS : 0);
}

static int fail(char why[CIDR_WHY_BYTES], const char *problem)
{
    snprintf(why, CIDR_WHY_BYTES, "%s", problem);
    return ERR_INVALID;
}

static int check_host_bits(const struct cidr *given, char why[CIDR_WHY_BYTES])
{
    struct cidr network = *given;
    for (size_t i = 0; i < sizeof(network.base.bytes); i++)
        network.base.bytes[i] &= mask_of(network.bits, i);
    if (net_address_eq(&network.base, &given->base))
        return 0;
    char text[INET6_ADDRSTRLEN];
    snprintf(why, CIDR_WHY_BYTES, "has bits set behind its prefix; the network is %s/%d",
             to_text(&network.base, text), shown_bits(&network));
    return ERR_INVALID;
}

int cidr_parse(struct span text, struct cidr *out, char why[CIDR_WHY_BYTES])
{
    struct cidr network = {.bits = WHOLE_BITS};
    const char *slash = text.len ? memchr(text.ptr, '/', text.len) : NULL;
    struct span address = span_make(text.ptr, slash ? (size_t)(slash - text.ptr) : text.len);
    if (net_address_parse(address, &network.base) != 0)
        return fail(why, slash ? "has no IP address before the slash" : "is not an IP address");
    if (slash) {
        bool dotted = !memchr(address.ptr, ':', address.len);
        int most = dotted ? WHOLE_BITS - MAPPED_BITS : WHOLE_BITS;
        int bits = parse_bits(span_make(slash + 1, text.len - address.len - 1), most);
        if (bits < 0)
            return fail(why, dotted ? "has a prefix that is not 0 to 32"
                                    : "has a prefix that is not 0 to 128");
        network.bits = (uint8_t)(bits + WHOLE_BITS - most);
    }
    if (check_host_bits(&network, why) != 0)
        return ERR_INVALID;
    *out = network;
    return 0;
}

void cidr_print(struct buf *out, const struct cidr *network)
{
    net_address_print(out, &network->base);
    buf_printf(out, "/%d", shown_bits(network));
}

bool cidr_contains(const struct cidr *network, const struct net_address *address)
{
    if (net_address_is_v4(address) != net_address_is_v4(&network->base))
        return false;
    for (size_t i = 0; i < sizeof(address->bytes); i++)
        if ((address->bytes[i] ^ network->base.bytes[i]) & mask_of(network->bits, i))
            return false;
    return true;
}

bool cidrs_contain(const struct cidr *networks, size_t count, const struct net_address *address)
{
    for (size_t i = 0; i < count; i++)
        if (cidr_contains(&networks[i], address))
            return true;
    return false;
}
