#include "access/foreign.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

struct host_port {
    struct span host; /* borrowed; of IPv6 with its brackets */
    int port;         /* -1: none is written */
};

static bool same_text(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp(a.ptr, b.ptr, a.len) == 0);
}

static bool ends_with(struct span s, const char *end)
{
    size_t len = strlen(end);
    return s.len > len && same_text(span_make(s.ptr + s.len - len, len), span_of(end));
}

static bool parse_port(struct span digits, int *port)
{
    int number = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (i == 5 || digits.ptr[i] < '0' || digits.ptr[i] > '9')
            return false;
        number = number * 10 + (digits.ptr[i] - '0');
    }
    *port = number;
    return digits.len > 0 && number <= 65535;
}

/* "host", "host:port", "[v6]", "[v6]:port"; false for anything else. */
static bool split(struct span text, struct host_port *out)
{
    size_t host = 0;
    if (text.len > 0 && text.ptr[0] == '[') {
        const char *close = memchr(text.ptr, ']', text.len);
        host = close ? (size_t)(close - text.ptr) + 1 : 0;
    } else if (text.len > 0) {
        const char *colon = memchr(text.ptr, ':', text.len);
        host = colon ? (size_t)(colon - text.ptr) : text.len;
    }
    *out = (struct host_port){.host = span_make(text.ptr, host), .port = -1};
    if (host == 0 || host == text.len)
        return host > 0;
    return text.ptr[host] == ':' &&
           parse_port(span_make(text.ptr + host + 1, text.len - host - 1), &out->port);
}

static bool is_loopback_address(struct span host)
{
    char text[INET6_ADDRSTRLEN + 1];
    struct in_addr v4;
    struct in6_addr v6;
    bool brackets = host.ptr[0] == '[';
    size_t skip = brackets ? 1 : 0, len = host.len - 2 * skip;
    if (len >= sizeof(text) || memchr(host.ptr, 0, host.len))
        return false;
    memcpy(text, host.ptr + skip, len);
    text[len] = '\0';
    if (brackets)
        return inet_pton(AF_INET6, text, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
    return inet_pton(AF_INET, text, &v4) == 1 && (ntohl(v4.s_addr) >> 24) == 127;
}

static bool is_loopback_name(struct span host)
{
    return same_text(host, span_of("localhost")) || ends_with(host, ".localhost");
}

bool host_is_loopback(struct span host)
{
    struct host_port parts;
    return split(host, &parts) && (is_loopback_name(parts.host) || is_loopback_address(parts.host));
}

/* A browser leaves the scheme's own port out of the origin, and of Host likewise. */
static int default_port(struct span origin, size_t *scheme)
{
    if (span_starts(origin, "http://")) {
        *scheme = 7;
        return 80;
    }
    if (span_starts(origin, "https://")) {
        *scheme = 8;
        return 443;
    }
    return -1;
}

bool origin_is_host(struct span origin, struct span host)
{
    struct host_port page, here;
    size_t scheme = 0;
    int port = default_port(origin, &scheme);
    if (port < 0 || !host_is_loopback(host) || !split(host, &here))
        return false;
    if (!split(span_make(origin.ptr + scheme, origin.len - scheme), &page))
        return false;
    return same_text(page.host, here.host) &&
           (page.port < 0 ? port : page.port) == (here.port < 0 ? port : here.port);
}
