#include "proto/proxy.h"

#include "base/err.h"

#include <string.h>

enum {
    V2_HEAD_BYTES = 16,
    V2_SIGNATURE_BYTES = 12,
    V2_VERSION = 0x20,
    V2_LOCAL = V2_VERSION | 0,
    V2_PROXY = V2_VERSION | 1,
    TLV_HEAD_BYTES = 3,
};

static const char v1_start[] = "PROXY ";
static const char v2_start[V2_SIGNATURE_BYTES + 1] = "\r\n\r\n\0\r\nQUIT\n";

static int fail(const char **why, const char *problem)
{
    *why = problem;
    return ERR_INVALID;
}

/* As many of the bytes as there are: could they begin with the mark? */
static bool may_begin(struct span bytes, const char *mark, size_t len)
{
    return memcmp(bytes.ptr, mark, bytes.len < len ? bytes.len : len) == 0;
}

/* The line without its CRLF. 0, 1 or ERR_INVALID as proxy_parse. */
static int find_line(struct span bytes, struct span *line, const char **why)
{
    for (size_t i = 0; i < bytes.len && i < PROXY_V1_MAX_BYTES - 1; i++) {
        if (bytes.ptr[i] == '\n')
            return fail(why, "the PROXY line has a LF without a CR");
        if (bytes.ptr[i] != '\r')
            continue;
        if (i + 1 == bytes.len)
            return 1;
        if (bytes.ptr[i + 1] != '\n')
            return fail(why, "the PROXY line has a CR without a LF");
        *line = span_make(bytes.ptr, i);
        return 0;
    }
    if (bytes.len >= PROXY_V1_MAX_BYTES - 1)
        return fail(why, "the PROXY line has more than 107 bytes");
    return 1;
}

/* Takes the word before the next space off the front, and the space; without one, all of it. */
static struct span take_word(struct span *rest)
{
    const char *space = rest->len ? memchr(rest->ptr, ' ', rest->len) : NULL;
    struct span word = span_make(rest->ptr, space ? (size_t)(space - rest->ptr) : rest->len);
    size_t used = word.len + (space != NULL);
    *rest = span_make(rest->ptr + used, rest->len - used);
    return word;
}

/* Digits without a leading zero, 0 to 65535. */
static bool parse_port(struct span word, uint16_t *out)
{
    unsigned port = 0;
    if (word.len == 0 || word.len > 5 || (word.len > 1 && word.ptr[0] == '0'))
        return false;
    for (size_t i = 0; i < word.len; i++) {
        if (word.ptr[i] < '0' || word.ptr[i] > '9')
            return false;
        port = port * 10 + (unsigned)(word.ptr[i] - '0');
    }
    *out = (uint16_t)port;
    return port <= UINT16_MAX;
}

/* A mapped address is IPv6 here: HAProxy writes one when the two ends are of two families. */
static bool parse_address(struct span word, bool v6, struct net_address *out)
{
    bool colon = word.len && memchr(word.ptr, ':', word.len);
    return colon == v6 && net_address_parse(word, out) == 0;
}

/* What stands behind "PROXY TCP4 " or "PROXY TCP6 ". */
static int parse_endpoints(struct span rest, bool v6, struct proxy_header *out, const char **why)
{
    struct proxy_header header = {.has_client = true};
    if (!parse_address(take_word(&rest), v6, &header.source))
        return fail(why, "the PROXY line has a source that is no address of its family");
    if (!parse_address(take_word(&rest), v6, &header.destination))
        return fail(why, "the PROXY line has a destination that is no address of its family");
    if (!parse_port(take_word(&rest), &header.source_port))
        return fail(why, "the PROXY line has a source port that is not 0 to 65535");
    /* All the rest: a word too many, or a space at the end, makes it no port. */
    if (!parse_port(rest, &header.destination_port))
        return fail(why, "the PROXY line does not end with a port of 0 to 65535");
    *out = header;
    return 0;
}

static int parse_v1(struct span bytes, struct proxy_header *out, size_t *consumed, const char **why)
{
    struct span line;
    int rc = find_line(bytes, &line, why);
    if (rc != 0)
        return rc;
    size_t used = line.len + 2;
    take_word(&line); /* PROXY */
    struct span family = take_word(&line);
    if (span_is(family, "UNKNOWN"))
        *out = (struct proxy_header){0}; /* whatever else stands in the line */
    else if (span_is(family, "TCP4") || span_is(family, "TCP6"))
        rc = parse_endpoints(line, span_is(family, "TCP6"), out, why);
    else
        rc = fail(why, "the PROXY line has a family that is not TCP4, TCP6 or UNKNOWN");
    if (rc == 0)
        *consumed = used;
    return rc;
}

static unsigned byte_at(struct span bytes, size_t at)
{
    return (unsigned char)bytes.ptr[at];
}

static unsigned number_at(struct span bytes, size_t at)
{
    return byte_at(bytes, at) << 8 | byte_at(bytes, at + 1);
}

/* The families that exist. A valid one whose clients cannot be ours counts as UNSPEC, as the
 * protocol wants it. */
struct family {
    uint8_t code;
    uint8_t address_bytes;  /* of one address */
    uint16_t payload_bytes; /* the least that there must be: both addresses and ports */
};
static const struct family families[] = {
    {0x00, 0, 0},   /* UNSPEC */
    {0x11, 4, 12},  /* TCP over IPv4 */
    {0x21, 16, 36}, /* TCP over IPv6 */
    {0x12, 0, 12},  /* UDP over IPv4 */
    {0x22, 0, 36},  /* UDP over IPv6 */
    {0x31, 0, 216}, /* unix stream */
    {0x32, 0, 216}, /* unix datagram */
};

static const struct family *find_family(unsigned code)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        if (families[i].code == code)
            return &families[i];
    return NULL;
}

static bool tlvs_add_up(struct span tlvs)
{
    while (tlvs.len >= TLV_HEAD_BYTES) {
        size_t size = TLV_HEAD_BYTES + number_at(tlvs, 1);
        if (size > tlvs.len)
            return false;
        tlvs = span_make(tlvs.ptr + size, tlvs.len - size);
    }
    return tlvs.len == 0;
}

/* An address of 4 or 16 bytes; four behind the zeros and ones of a mapped one. */
static struct net_address copy_address(const char *from, size_t bytes)
{
    struct net_address address = {.bytes = {[10] = 0xff, [11] = 0xff}};
    memcpy(address.bytes + sizeof(address.bytes) - bytes, from, bytes);
    return address;
}

static int parse_payload(struct span payload, const struct family *family, struct proxy_header *out,
                         const char **why)
{
    size_t bytes = family->address_bytes, used = family->payload_bytes;
    if (bytes == 0) {
        *out = (struct proxy_header){0};
        return 0;
    }
    if (!tlvs_add_up(span_make(payload.ptr + used, payload.len - used)))
        return fail(why, "the PROXY header has a TLV that does not end where the header does");
    *out = (struct proxy_header){
        .has_client = true,
        .source = copy_address(payload.ptr, bytes),
        .destination = copy_address(payload.ptr + bytes, bytes),
        .source_port = (uint16_t)number_at(payload, 2 * bytes),
        .destination_port = (uint16_t)number_at(payload, 2 * bytes + 2),
    };
    return 0;
}

/* The fixed 16 bytes, each judged when it is there. The family is left NULL for LOCAL, which has
 * none. */
static int parse_v2_head(struct span bytes, const struct family **family, const char **why)
{
    if (bytes.len > 12) {
        unsigned command = byte_at(bytes, 12);
        if ((command & 0xf0) != V2_VERSION)
            return fail(why, "the PROXY header has a version that is not 2");
        if (command != V2_LOCAL && command != V2_PROXY)
            return fail(why, "the PROXY header has a command that is neither LOCAL nor PROXY");
        if (command == V2_PROXY && bytes.len > 13 && !(*family = find_family(byte_at(bytes, 13))))
            return fail(why, "the PROXY header has a family that does not exist");
    }
    if (bytes.len < V2_HEAD_BYTES)
        return 1;
    size_t length = number_at(bytes, 14);
    if (length > PROXY_MAX_BYTES - V2_HEAD_BYTES)
        return fail(why, "the PROXY header has more than 536 bytes");
    if (*family && length < (*family)->payload_bytes)
        return fail(why, "the PROXY header is too short for its addresses");
    return 0;
}

static int parse_v2(struct span bytes, struct proxy_header *out, size_t *consumed, const char **why)
{
    const struct family *family = NULL;
    int rc = parse_v2_head(bytes, &family, why);
    if (rc != 0)
        return rc;
    size_t length = number_at(bytes, 14);
    if (bytes.len - V2_HEAD_BYTES < length)
        return 1;
    struct span payload = span_make(bytes.ptr + V2_HEAD_BYTES, length);
    rc = parse_payload(payload, family ? family : find_family(0), out, why);
    if (rc == 0)
        *consumed = V2_HEAD_BYTES + length;
    return rc;
}

int proxy_parse(struct span bytes, struct proxy_header *out, size_t *consumed, const char **why)
{
    if (bytes.len == 0)
        return 1;
    if (may_begin(bytes, v1_start, sizeof(v1_start) - 1))
        return parse_v1(bytes, out, consumed, why);
    if (may_begin(bytes, v2_start, V2_SIGNATURE_BYTES))
        return parse_v2(bytes, out, consumed, why);
    return fail(why, "there is no PROXY header");
}
