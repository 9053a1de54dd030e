/*
 * Input: fields, separated by 0xff; one that begins with F is a Forwarded, one with X an
 * X-Forwarded-For. 10.0.0.0/8 and fd00::/8 are trusted. Whatever the fields say, a peer that is not
 * trusted is the client, and so is whoever a trusted peer names behind all of it.
 */
#include "base/buf.h"
#include "fuzz.h"
#include "proto/forwarded.h"

enum { MAX_FIELDS = 6, MAX_BYTES = 2000 };

struct lists {
    struct span forwarded[MAX_FIELDS + 1], x[MAX_FIELDS + 1];
    struct forwarded_fields fields;
};

static struct cidr trusted[2];

static struct net_address address_of(const char *text)
{
    struct net_address address;
    FUZZ_CHECK(net_address_parse(span_of(text), &address) == 0);
    return address;
}

static void split(struct span input, struct lists *out)
{
    struct forwarded_fields *f = &out->fields;
    f->forwarded = out->forwarded;
    f->x_forwarded_for = out->x;
    while (input.len > 0) {
        struct span field = fuzz_field(&input, MAX_BYTES);
        bool standard = field.len > 0 && field.ptr[0] == 'F';
        size_t *count = standard ? &f->forwarded_count : &f->x_forwarded_for_count;
        if (*count == MAX_FIELDS || (!standard && !(field.len > 0 && field.ptr[0] == 'X')))
            continue;
        struct span *list = standard ? out->forwarded : out->x;
        list[(*count)++] = span_make(field.ptr + 1, field.len - 1);
    }
}

static enum forwarded_end ask(const struct lists *l, const char *peer, struct net_address *out)
{
    struct net_address from = address_of(peer);
    return forwarded_client(&l->fields, trusted, 2, &from, out);
}

static void check_end(const struct lists *l)
{
    struct net_address client, peer = address_of("10.0.0.1"), stranger = address_of("192.0.2.9");
    enum forwarded_end end = ask(l, "10.0.0.1", &client);
    FUZZ_CHECK(end != FORWARDED_PEER || net_address_eq(&client, &peer));
    FUZZ_CHECK(end != FORWARDED_STOPPED || cidrs_contain(trusted, 2, &client));
    FUZZ_CHECK(ask(l, "192.0.2.9", &client) == FORWARDED_PEER);
    FUZZ_CHECK(net_address_eq(&client, &stranger));
}

/* The peer names a client in the last field, or in one of its own. */
static void check_named(struct lists *l, struct span *list, size_t *count, const char *element)
{
    struct net_address client, named = address_of("2001:db8::7");
    struct buf longer = {0};
    list[(*count)++] = span_of(element);
    FUZZ_CHECK(ask(l, "10.0.0.1", &client) == FORWARDED_CLIENT);
    FUZZ_CHECK(net_address_eq(&client, &named));
    if (--*count == 0)
        return;
    struct span last = list[*count - 1];
    buf_span(&longer, last);
    buf_printf(&longer, ", %s", element);
    list[*count - 1] = buf_view(&longer);
    FUZZ_CHECK(ask(l, "10.0.0.1", &client) == FORWARDED_CLIENT);
    FUZZ_CHECK(net_address_eq(&client, &named));
    list[*count - 1] = last;
    buf_free(&longer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char why[CIDR_WHY_BYTES];
    struct lists l = {0};
    FUZZ_CHECK(cidr_parse(span_of("10.0.0.0/8"), &trusted[0], why) == 0);
    FUZZ_CHECK(cidr_parse(span_of("fd00::/8"), &trusted[1], why) == 0);
    split(span_make((const char *)data, size), &l);
    check_end(&l);
    /* One header alone is believed; two that disagree are not. */
    size_t others = l.fields.x_forwarded_for_count;
    l.fields.x_forwarded_for_count = 0;
    check_end(&l);
    check_named(&l, l.forwarded, &l.fields.forwarded_count,
                "proto=https;for=\"[2001:db8::7]:443\";host=\"a,\\\"b\"");
    l.fields.forwarded_count = 0;
    l.fields.x_forwarded_for_count = others;
    check_end(&l);
    check_named(&l, l.x, &l.fields.x_forwarded_for_count, "2001:db8::7");
    return 0;
}
