#include "base/siphash.h"

struct state {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotl(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

/* Reads up to 8 bytes as a little-endian number, whatever the machine's order and alignment. */
static uint64_t load_le(const uint8_t *p, size_t len)
{
    uint64_t x = 0;
    for (size_t i = 0; i < len; i++)
        x |= (uint64_t)p[i] << (8 * i);
    return x;
}

static void sip_round(struct state *s)
{
    s->v0 += s->v1;
    s->v1 = rotl(s->v1, 13) ^ s->v0;
    s->v0 = rotl(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotl(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotl(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotl(s->v1, 17) ^ s->v2;
    s->v2 = rotl(s->v2, 32);
}

static void take_word(struct state *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

uint64_t siphash13(const uint8_t key[16], struct span bytes)
{
    uint64_t k0 = load_le(key, 8), k1 = load_le(key + 8, 8);
    struct state s = {
        .v0 = k0 ^ 0x736f6d6570736575u, /* "somepseudorandomlygeneratedbytes", from the paper */
        .v1 = k1 ^ 0x646f72616e646f6du,
        .v2 = k0 ^ 0x6c7967656e657261u,
        .v3 = k1 ^ 0x7465646279746573u,
    };
    const uint8_t *p = (const uint8_t *)bytes.ptr;
    size_t left = bytes.len;
    for (; left >= 8; left -= 8, p += 8)
        take_word(&s, load_le(p, 8));
    take_word(&s, load_le(p, left) | (uint64_t)(bytes.len & 0xff) << 56);
    s.v2 ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
