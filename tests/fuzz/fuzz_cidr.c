/*
 * What is taken for an address or network is printed as text that means the same; a network
 * contains its base, and not the base with a bit of its prefix turned over.
 */
#include "base/err.h"
#include "fuzz.h"
#include "proto/cidr.h"

static void check_address(struct span text)
{
    struct net_address address, again;
    struct buf out = {0};
    if (net_address_parse(text, &address) != 0)
        return;
    net_address_print(&out, &address);
    FUZZ_CHECK(net_address_parse(buf_view(&out), &again) == 0 && net_address_eq(&address, &again));
    buf_free(&out);
}

static void check_contains(const struct cidr *network)
{
    FUZZ_CHECK(cidr_contains(network, &network->base));
    for (unsigned bit = 0; bit < network->bits; bit++) {
        struct net_address other = network->base;
        other.bytes[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
        FUZZ_CHECK(!cidr_contains(network, &other));
        FUZZ_CHECK(!cidrs_contain(network, 1, &other));
    }
    if (network->bits < 128) {
        struct net_address last = network->base;
        last.bytes[15] |= 1;
        FUZZ_CHECK(cidrs_contain(network, 1, &last));
    }
}

static void check_network(struct span text)
{
    const struct cidr marked = {.bits = 77};
    struct cidr network = marked, again;
    char why[CIDR_WHY_BYTES] = "", why_again[CIDR_WHY_BYTES];
    struct buf out = {0};
    if (cidr_parse(text, &network, why) != 0) {
        FUZZ_CHECK(why[0] && strlen(why) < sizeof(why) && network.bits == marked.bits);
        return;
    }
    cidr_print(&out, &network);
    FUZZ_CHECK(cidr_parse(buf_view(&out), &again, why_again) == 0);
    FUZZ_CHECK(again.bits == network.bits && net_address_eq(&again.base, &network.base));
    check_contains(&network);
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_make((const char *)data, size);
    check_address(text);
    check_network(text);
    return 0;
}
