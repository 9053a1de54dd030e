#include "proto/utf8.h"

#include <stdint.h>

/* What a lead byte asks for: how many bytes follow, and the bounds of the first of them. */
struct lead {
    uint8_t from, to;     /* lead bytes */
    uint8_t more;         /* bytes to follow */
    uint8_t lower, upper; /* first byte to follow; the others lie within 80..bf */
};

/* The narrow bounds keep out overlong forms, surrogates and what lies beyond U+10FFFF. */
static const struct lead leads[] = {
    {0xc2, 0xdf, 1, 0x80, 0xbf}, {0xe0, 0xe0, 2, 0xa0, 0xbf}, {0xe1, 0xec, 2, 0x80, 0xbf},
    {0xed, 0xed, 2, 0x80, 0x9f}, {0xee, 0xef, 2, 0x80, 0xbf}, {0xf0, 0xf0, 3, 0x90, 0xbf},
    {0xf1, 0xf3, 3, 0x80, 0xbf}, {0xf4, 0xf4, 3, 0x80, 0x8f},
};

static const struct lead *find_lead(uint8_t byte)
{
    for (size_t i = 0; i < sizeof(leads) / sizeof(leads[0]); i++)
        if (byte >= leads[i].from && byte <= leads[i].to)
            return &leads[i];
    return NULL;
}

/* How many bytes from p on are ASCII; eight at a time, since most payloads are nothing else. */
static size_t ascii_run(const char *p, size_t len)
{
    size_t i = 0;
    for (; len - i >= 8; i += 8) {
        uint64_t word;
        memcpy(&word, p + i, 8);
        if (word & 0x8080808080808080u)
            break;
    }
    while (i < len && !((uint8_t)p[i] & 0x80))
        i++;
    return i;
}

/*
 * Looks at the sequence that begins at p, where no ASCII stands. *len becomes its length, or that
 * of the maximal part that the decoder gives up on as one.
 */
static bool sequence(const char *p, size_t left, size_t *len)
{
    const struct lead *lead = find_lead((uint8_t)p[0]);
    *len = 1;
    if (!lead)
        return false;
    uint8_t lower = lead->lower, upper = lead->upper;
    while (*len <= lead->more) {
        if (*len == left || (uint8_t)p[*len] < lower || (uint8_t)p[*len] > upper)
            return false;
        lower = 0x80;
        upper = 0xbf;
        ++*len;
    }
    return true;
}

/* How many bytes from the start of s are well-formed; *bad is the length of the bad part behind. */
static size_t valid_run(struct span s, size_t *bad)
{
    size_t at = 0;
    while ((at += ascii_run(s.ptr + at, s.len - at)) < s.len) {
        size_t len;
        if (!sequence(s.ptr + at, s.len - at, &len)) {
            *bad = len;
            return at;
        }
        at += len;
    }
    *bad = 0;
    return at;
}

bool utf8_valid(struct span s)
{
    size_t bad = 0;
    return s.len == 0 || (valid_run(s, &bad) == s.len && bad == 0);
}

size_t utf8_repair(struct buf *out, struct span s)
{
    size_t replaced = 0;
    while (s.len) {
        size_t bad;
        size_t good = valid_run(s, &bad);
        buf_append(out, s.ptr, good);
        if (bad) {
            buf_str(out, "\xef\xbf\xbd");
            replaced++;
        }
        s = span_make(s.ptr + good + bad, s.len - good - bad);
    }
    return replaced;
}
