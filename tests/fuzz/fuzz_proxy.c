/*
 * Each front of the input needs more, or is told what the whole is told, or was a header already.
 * What was parsed and is written again, as a line and in the binary form, parses to the same.
 */
#include "base/buf.h"
#include "base/err.h"
#include "fuzz.h"
#include "proto/proxy.h"

static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";

struct outcome {
    int rc;
    struct proxy_header header;
    size_t consumed;
    const char *why;
};

static struct outcome parse(struct span bytes)
{
    struct outcome o = {.header = {.source_port = 4711}, .consumed = SIZE_MAX};
    o.rc = proxy_parse(bytes, &o.header, &o.consumed, &o.why);
    FUZZ_CHECK(o.rc == 0 || o.rc == 1 || o.rc == ERR_INVALID);
    FUZZ_CHECK((o.rc == ERR_INVALID) == (o.why != NULL));
    if (o.rc == 0)
        FUZZ_CHECK(o.consumed <= bytes.len && o.consumed <= PROXY_MAX_BYTES);
    else
        FUZZ_CHECK(o.consumed == SIZE_MAX && o.header.source_port == 4711);
    FUZZ_CHECK(o.rc != 1 || bytes.len < PROXY_MAX_BYTES);
    return o;
}

static bool same(const struct proxy_header *a, const struct proxy_header *b)
{
    return a->has_client == b->has_client && net_address_eq(&a->source, &b->source) &&
           net_address_eq(&a->destination, &b->destination) && a->source_port == b->source_port &&
           a->destination_port == b->destination_port;
}

static void check_fronts(struct span bytes, const struct outcome *whole)
{
    size_t most = bytes.len < PROXY_MAX_BYTES ? bytes.len : PROXY_MAX_BYTES;
    for (size_t i = 0; i < most; i++) {
        struct outcome front = parse(span_make(bytes.ptr, i));
        if (whole->rc == 0)
            FUZZ_CHECK(front.rc == (i < whole->consumed));
        else
            FUZZ_CHECK(front.rc == 1 || (front.rc == whole->rc && front.why == whole->why));
    }
}

static void check_again(struct buf *bytes, const struct proxy_header *want)
{
    size_t written = bytes->len;
    buf_str(bytes, "GET");
    struct outcome again = parse(buf_view(bytes));
    FUZZ_CHECK(again.rc == 0 && again.consumed == written && same(&again.header, want));
    buf_reset(bytes);
}

/* In a line of TCP6, IPv4 is written as mapped. */
static void put_v6(struct buf *out, const struct net_address *address)
{
    buf_byte(out, ' ');
    if (net_address_is_v4(address))
        buf_str(out, "::ffff:");
    net_address_print(out, address);
}

static void write_again(const struct proxy_header *header)
{
    struct buf out = {0};
    buf_str(&out, "PROXY TCP6");
    put_v6(&out, &header->source);
    put_v6(&out, &header->destination);
    buf_printf(&out, " %u %u\r\n", header->source_port, header->destination_port);
    check_again(&out, header);
    const char ports[] = {(char)(header->source_port >> 8), (char)header->source_port,
                          (char)(header->destination_port >> 8), (char)header->destination_port};
    buf_append(&out, signature, sizeof(signature) - 1);
    buf_append(&out, "\x21\x21\x00\x24", 4);
    buf_append(&out, header->source.bytes, 16);
    buf_append(&out, header->destination.bytes, 16);
    buf_append(&out, ports, sizeof(ports));
    check_again(&out, header);
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = span_make((const char *)data, size);
    struct outcome whole = parse(bytes);
    if (whole.rc != 1)
        check_fronts(bytes, &whole);
    if (whole.rc == 0 && whole.header.has_client)
        write_again(&whole.header);
    return 0;
}
