#include "proto/forwarded.h"

#include "proto/http1_text.h"

#include <string.h>

/* More than any node that is an address has: "[v6]:65535". */
enum { NODE_BYTES = 64 };

/* What is left of a header, read from its right end: fields[0..count-1] and, of the last of them,
 * `rest`. */
struct walk {
    const struct span *fields; /* borrowed */
    size_t count;
    struct span rest;
    bool quoted; /* a comma between quotes is none */
};

static bool is_blank(struct span s)
{
    return http1_trim(s).len == 0;
}

static bool any_field(const struct span *fields, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!is_blank(fields[i]))
            return true;
    return false;
}

static bool is_escaped(struct span s, size_t at)
{
    size_t slashes = 0;
    while (slashes < at && s.ptr[at - slashes - 1] == '\\')
        slashes++;
    return slashes % 2 == 1;
}

/* Where the quoted string begins whose closing quote is at `at`; 0 when it never does. Within one
 * every quote is escaped, so the first that is not, from the right, opens it. */
static size_t find_opening(struct span s, size_t at)
{
    while (at > 0)
        if (s.ptr[--at] == '"' && !is_escaped(s, at))
            return at;
    return 0;
}

/* Where the last element begins: behind the last comma, or at 0. */
static size_t find_last(struct span s, bool quoted)
{
    size_t at = s.len;
    while (at > 0 && s.ptr[at - 1] != ',') {
        at--;
        if (quoted && s.ptr[at] == '"')
            at = find_opening(s, at);
    }
    return at;
}

/* Takes the last element off the header; false when there is none left. */
static bool walk_back(struct walk *w, struct span *element)
{
    if (!w->rest.ptr) {
        if (w->count == 0)
            return false;
        w->rest = w->fields[--w->count];
        if (!w->rest.ptr)
            w->rest.ptr = "";
    }
    size_t at = find_last(w->rest, w->quoted);
    *element = http1_trim(span_make(w->rest.ptr + at, w->rest.len - at));
    /* Behind a comma there is one more element, if only an empty one. */
    w->rest = at > 0 ? span_make(w->rest.ptr, at - 1) : span_make(NULL, 0);
    return true;
}

/* Digits of a port, which are only checked. */
static bool is_port(struct span s)
{
    unsigned port = 0;
    if (s.len == 0 || s.len > 5)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (!http1_is(s.ptr[i], HTTP1_DIGIT))
            return false;
        port = port * 10 + (unsigned)(s.ptr[i] - '0');
    }
    return port <= UINT16_MAX;
}

/* "_" and letters, digits, dots, underscores, dashes: what RFC 7239 lets stand for a port too. */
static bool is_obfuscated_port(struct span s)
{
    if (s.len < 2 || s.ptr[0] != '_')
        return false;
    for (size_t i = 1; i < s.len; i++)
        if (!http1_is(s.ptr[i], HTTP1_TOKEN) || strchr("!#$%&'*+^`|~", s.ptr[i]))
            return false;
    return true;
}

/* "192.0.2.1", "192.0.2.1:80", "[2001:db8::1]", "[2001:db8::1]:80". */
static bool parse_node(struct span node, struct net_address *out)
{
    bool v6 = node.len && node.ptr[0] == '[';
    const char *end = node.len ? memchr(node.ptr, v6 ? ']' : ':', node.len) : NULL;
    if (v6 && !end)
        return false;
    struct span host = span_make(node.ptr, end ? (size_t)(end - node.ptr) : node.len);
    struct span port = span_make(node.ptr + host.len, node.len - host.len);
    if (v6) {
        host = span_make(host.ptr + 1, host.len - 1);
        port = span_make(port.ptr + 1, port.len - 1);
        if (!memchr(host.ptr, ':', host.len))
            return false;
    }
    if (port.len > 0) {
        struct span digits = span_make(port.ptr + 1, port.len - 1);
        if (port.ptr[0] != ':' || (!is_port(digits) && !is_obfuscated_port(digits)))
            return false;
    }
    return net_address_parse(host, out) == 0;
}

static bool parse_x_element(struct span element, struct net_address *out)
{
    return net_address_parse(element, out) == 0 || parse_node(element, out);
}

/* Takes a token off the front; empty when none is there. */
static struct span take_token(struct span *rest)
{
    size_t len = 0;
    while (len < rest->len && http1_is(rest->ptr[len], HTTP1_TOKEN))
        len++;
    struct span token = span_make(rest->ptr, len);
    *rest = span_make(rest->ptr + len, rest->len - len);
    return token;
}

static bool take_byte(struct span *rest, char c)
{
    if (rest->len == 0 || rest->ptr[0] != c)
        return false;
    *rest = span_make(rest->ptr + 1, rest->len - 1);
    return true;
}

/* A value without its quotes. What does not fit is no address, and only its length is kept. */
struct value {
    char bytes[NODE_BYTES];
    size_t len;
};

static void put_byte(struct value *v, char c)
{
    if (v->len < sizeof(v->bytes))
        v->bytes[v->len] = c;
    v->len++;
}

/* What stands behind the opening quote, with the closing one. */
static bool take_quoted(struct span *rest, struct value *out)
{
    for (size_t i = 0; i < rest->len; i++) {
        if (rest->ptr[i] == '"') {
            *rest = span_make(rest->ptr + i + 1, rest->len - i - 1);
            return true;
        }
        if (rest->ptr[i] == '\\' && ++i == rest->len)
            return false;
        if (!http1_is(rest->ptr[i], HTTP1_VALUE))
            return false;
        put_byte(out, rest->ptr[i]);
    }
    return false;
}

static bool take_value(struct span *rest, struct value *out)
{
    out->len = 0;
    if (take_byte(rest, '"'))
        return take_quoted(rest, out);
    struct span token = take_token(rest);
    for (size_t i = 0; i < token.len; i++)
        put_byte(out, token.ptr[i]);
    return token.len > 0;
}

/* One name=value; of a `for` the address. *found counts them. */
static bool take_pair(struct span *rest, unsigned *found, struct net_address *out)
{
    struct value value;
    struct span name = take_token(rest);
    if (name.len == 0 || !take_byte(rest, '=') || !take_value(rest, &value))
        return false;
    if (!http1_is_word(name, "for"))
        return true;
    return ++*found == 1 && value.len <= sizeof(value.bytes) &&
           parse_node(span_make(value.bytes, value.len), out);
}

/* The grammar lets a pair be empty; the whole element must be good, or none of it is believed. */
static bool parse_element(struct span element, struct net_address *out)
{
    unsigned found = 0;
    do {
        element = http1_trim(element);
        if (element.len > 0 && element.ptr[0] != ';' && !take_pair(&element, &found, out))
            return false;
        element = http1_trim(element);
    } while (take_byte(&element, ';'));
    return element.len == 0 && found == 1;
}

/* The walk over one header. */
static enum forwarded_end walk_header(struct walk *w, const struct cidr *trusted,
                                      size_t trusted_count, const struct net_address *peer,
                                      struct net_address *out)
{
    struct net_address hop = *peer, next;
    struct span element;
    unsigned hops = 0;
    enum forwarded_end end = FORWARDED_PEER;
    while (end != FORWARDED_STOPPED && cidrs_contain(trusted, trusted_count, &hop) &&
           walk_back(w, &element)) {
        bool good = hops++ < FORWARDED_MAX_HOPS &&
                    (w->quoted ? parse_element(element, &next) : parse_x_element(element, &next));
        if (good)
            hop = next;
        end = good ? FORWARDED_CLIENT : FORWARDED_STOPPED;
    }
    *out = hop;
    return end;
}

enum forwarded_end forwarded_client(const struct forwarded_fields *fields,
                                    const struct cidr *trusted, size_t trusted_count,
                                    const struct net_address *peer, struct net_address *out)
{
    struct walk standard = {
        .fields = fields->forwarded, .count = fields->forwarded_count, .quoted = true};
    struct walk common = {.fields = fields->x_forwarded_for,
                          .count = fields->x_forwarded_for_count};
    bool has_standard = any_field(standard.fields, standard.count);
    bool has_common = any_field(common.fields, common.count);
    if (!has_standard || !has_common) {
        standard.count = has_standard ? standard.count : 0;
        common.count = has_common ? common.count : 0;
        return walk_header(has_standard ? &standard : &common, trusted, trusted_count, peer, out);
    }
    struct net_address said, also;
    enum forwarded_end end = walk_header(&standard, trusted, trusted_count, peer, &said);
    enum forwarded_end other = walk_header(&common, trusted, trusted_count, peer, &also);
    bool agree = end == other && net_address_eq(&said, &also);
    *out = agree ? said : *peer;
    return agree ? end : FORWARDED_STOPPED;
}
