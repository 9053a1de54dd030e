#include "ops/config_check.h"

#include "ops/config.h"
#include "proto/channel.h"
#include "proto/cidr.h"
#include "proto/invalidation.h"
#include "proto/json_path.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

static bool all_of(struct span s, bool (*fits)(char c))
{
    for (size_t i = 0; i < s.len; i++)
        if (!fits(s.ptr[i]))
            return false;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_name_byte(char c)
{
    return is_digit(c) || is_lower(c) || (c >= 'A' && c <= 'Z') || c == '_' || c == '-' || c == '.';
}

static bool is_path_byte(char c)
{
    return is_name_byte(c) || c == '~';
}

static bool is_host_byte(char c)
{
    return is_digit(c) || is_lower(c) || c == '-' || c == '.';
}

static bool is_scheme_byte(char c)
{
    return is_digit(c) || is_lower(c) || c == '+' || c == '-' || c == '.';
}

/* The number, or -1 when it is no port. */
static long parse_port(struct span s)
{
    if (s.len == 0 || s.len > 5 || !all_of(s, is_digit))
        return -1;
    long port = 0;
    for (size_t i = 0; i < s.len; i++)
        port = port * 10 + (s.ptr[i] - '0');
    return port <= 65535 ? port : -1;
}

/* Splits "host:port" at its last colon; false when there is none. */
static bool split_port(struct span s, struct span *host, struct span *port)
{
    const char *colon = s.len > 0 ? memrchr(s.ptr, ':', s.len) : NULL;
    if (!colon)
        return false;
    *host = span_make(s.ptr, (size_t)(colon - s.ptr));
    *port = span_make(colon + 1, s.len - host->len - 1);
    return true;
}

static bool parse_address(int family, struct span text, void *out)
{
    char z[INET6_ADDRSTRLEN + 1];
    if (text.len == 0 || text.len >= sizeof(z) || memchr(text.ptr, 0, text.len))
        return false;
    memcpy(z, text.ptr, text.len);
    z[text.len] = '\0';
    return inet_pton(family, z, out) == 1;
}

static bool bracketed(struct span host)
{
    return host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
}

static const char *check_unix(struct span path)
{
    struct sockaddr_un address;
    if (path.len < 2 || path.ptr[0] != '/')
        return "has no absolute path behind unix:";
    if (path.len >= sizeof(address.sun_path))
        return "is longer than a unix socket's path can be";
    if (memchr(path.ptr, 0, path.len))
        return "has a NUL";
    return NULL;
}

enum config_listen config_listen_split(struct span entry, struct span *address)
{
    static const char *const schemes[] = {[CONFIG_LISTEN_TCP] = "",
                                          [CONFIG_LISTEN_CLEAR] = "http://",
                                          [CONFIG_LISTEN_TLS] = "https://",
                                          [CONFIG_LISTEN_UNIX] = "unix:"};
    enum config_listen kind = CONFIG_LISTEN_UNIX;
    while (!span_starts(entry, schemes[kind]))
        kind--; /* each begins with the empty one */
    size_t used = strlen(schemes[kind]);
    *address = span_make(entry.ptr + used, entry.len - used);
    return kind;
}

static const char *check_tcp(struct span entry)
{
    struct span host, port;
    struct in_addr v4;
    struct in6_addr v6;
    if (entry.len > 0 && memchr(entry.ptr, '/', entry.len))
        return "has a slash that is not part of http:// or https://";
    if (!split_port(entry, &host, &port))
        return "has no port";
    if (parse_port(port) < 0)
        return "has a port that is not 0 to 65535";
    if (host.len == 0 || parse_address(AF_INET, host, &v4))
        return NULL;
    if (bracketed(host))
        return parse_address(AF_INET6, span_make(host.ptr + 1, host.len - 2), &v6)
                   ? NULL
                   : "has no IPv6 address between the brackets";
    if (memchr(host.ptr, ':', host.len))
        return "has an IPv6 address without brackets";
    return "has a host that is not an IP address";
}

const char *check_listen(struct span entry)
{
    struct span address;
    enum config_listen kind = config_listen_split(entry, &address);
    if (kind == CONFIG_LISTEN_UNIX)
        return check_unix(address);
    if (kind != CONFIG_LISTEN_TCP && span_starts(address, "unix:"))
        return "has a scheme before unix:, which has none";
    return check_tcp(address);
}

bool listen_is_private(struct span entry)
{
    struct span address, host, port;
    struct in_addr v4;
    struct in6_addr v6;
    if (config_listen_split(entry, &address) == CONFIG_LISTEN_UNIX)
        return true;
    if (!split_port(address, &host, &port))
        return false;
    if (parse_address(AF_INET, host, &v4))
        return (ntohl(v4.s_addr) >> 24) == 127;
    if (!bracketed(host) || !parse_address(AF_INET6, span_make(host.ptr + 1, host.len - 2), &v6))
        return false;
    return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
}

const char *check_mode(struct span mode)
{
    bool good = mode.len == 3 || (mode.len == 4 && mode.ptr[0] == '0');
    for (size_t i = 0; good && i < mode.len; i++)
        good = mode.ptr[i] >= '0' && mode.ptr[i] <= '7';
    return good ? NULL : "is not an octal file mode";
}

/* The phrase names a network, so it is made anew each time. */
const char *check_network(struct span network)
{
    static _Thread_local char why[CIDR_WHY_BYTES];
    struct cidr parsed;
    return cidr_parse(network, &parsed, why) == 0 ? NULL : why;
}

/* One segment of a path, and no "." or "..", which a client would resolve before it asks. */
static const char *check_segment(struct span segment)
{
    if (segment.len == 0)
        return "has an empty segment";
    if (span_is(segment, ".") || span_is(segment, ".."))
        return "has a segment . or ..";
    return all_of(segment, is_path_byte) ? NULL : "has a character that is not allowed in it";
}

const char *check_base_path(struct span path)
{
    if (path.len == 0)
        return NULL;
    if (path.ptr[0] != '/')
        return "does not begin with a slash";
    if (path.ptr[path.len - 1] == '/')
        return "ends with a slash";
    const char *wrong = NULL;
    for (size_t at = 1; at <= path.len && !wrong;) {
        const char *slash = memchr(path.ptr + at, '/', path.len - at);
        size_t end = slash ? (size_t)(slash - path.ptr) : path.len;
        wrong = check_segment(span_make(path.ptr + at, end - at));
        at = end + 1;
    }
    return wrong;
}

const char *check_url_given(struct span url)
{
    for (size_t i = 0; i < url.len; i++)
        if ((unsigned char)url.ptr[i] <= ' ' || url.ptr[i] == 0x7f)
            return "has a blank or control character";
    return NULL;
}

const char *check_channel_prefix(struct span prefix)
{
    return prefix.len == 0 ? NULL : channel_name_error(prefix, 100);
}

static const char *check_origin_host(struct span host)
{
    struct in6_addr v6;
    if (bracketed(host))
        return parse_address(AF_INET6, span_make(host.ptr + 1, host.len - 2), &v6)
                   ? NULL
                   : "has no IPv6 address between the brackets";
    if (host.len == 0)
        return "has no host";
    return all_of(host, is_host_byte) ? NULL : "has a host with a character that no origin has";
}

/* A browser leaves the scheme's own port out, so an origin that has it would never be met. */
static const char *check_origin_port(struct span scheme, struct span port)
{
    long number = parse_port(port);
    if (number < 1)
        return "has a port that is not 1 to 65535";
    if (port.ptr[0] == '0')
        return "has a port with a leading zero";
    if ((span_is(scheme, "http") && number == 80) || (span_is(scheme, "https") && number == 443))
        return "has the scheme's default port, which browsers leave out";
    return NULL;
}

/* No userinfo, path or query: an origin is compared byte for byte with what the browser sends. */
static const char *check_authority(struct span scheme, struct span authority)
{
    struct span host = authority, port;
    const char *wrong = NULL;
    if (authority.len == 0)
        return "has no host";
    if (memchr(authority.ptr, '/', authority.len))
        return "has a path";
    if (!bracketed(authority) && split_port(authority, &host, &port))
        wrong = check_origin_port(scheme, port);
    return wrong ? wrong : check_origin_host(host);
}

const char *check_origin(struct span origin)
{
    if (span_is(origin, "*"))
        return NULL;
    for (size_t i = 0; i < origin.len; i++)
        if (isupper((unsigned char)origin.ptr[i]))
            return "has capital letters, which browsers do not send";
    const char *mark = origin.len > 0 ? memmem(origin.ptr, origin.len, "://", 3) : NULL;
    if (!mark)
        return "has no scheme://";
    struct span scheme = span_make(origin.ptr, (size_t)(mark - origin.ptr));
    if (scheme.len == 0 || !is_lower(scheme.ptr[0]) || !all_of(scheme, is_scheme_byte))
        return "has a scheme that is none";
    return check_authority(scheme, span_make(mark + 3, origin.len - scheme.len - 3));
}

const char *check_key_name(struct span name)
{
    return all_of(name, is_name_byte) ? NULL : "has a character that is not allowed in it";
}

/* The longest glob is the longest name that limits.name_bytes can allow. */
#define MAX_GLOB_BYTES 1000

const char *check_scope(struct span scope)
{
    static const char *const plain[] = {"invalidate", "peer", "stats"};
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
        if (span_is(scope, plain[i]))
            return NULL;
    if (span_is(scope, "publish"))
        return "does not say which channels";
    if (!span_starts(scope, "publish:"))
        return "is not a scope";
    struct span glob = span_make(scope.ptr + 8, scope.len - 8);
    if (glob.len == 0)
        return "has no glob behind publish:";
    return channel_pattern_error(glob, MAX_GLOB_BYTES);
}

const char *check_secret(struct span secret)
{
    for (size_t i = 0; i < secret.len; i++)
        if ((unsigned char)secret.ptr[i] < 0x20 || secret.ptr[i] == 0x7f)
            return "has a control character";
    return NULL;
}

const char *check_webhook_name(struct span name)
{
    return name.len > 64 ? "is longer than 64 bytes" : check_key_name(name);
}

static bool is_variable_byte(char c)
{
    return is_digit(c) || is_lower(c) || (c >= 'A' && c <= 'Z') || c == '_';
}

const char *check_variable(struct span name)
{
    return all_of(name, is_variable_byte) ? NULL : "has a character that is not allowed in it";
}

/* A token of RFC 9110, 5.6.2. */
static bool is_header_byte(char c)
{
    return c && (is_name_byte(c) || strchr("!#$%&'*+^`|~", c));
}

const char *check_header_name(struct span name)
{
    return all_of(name, is_header_byte) ? NULL : "has a character that no header's name has";
}

const char *check_field(struct span path)
{
    return path.len ? json_path_error(path) : NULL;
}

const char *check_redis_prefix(struct span prefix)
{
    return prefix.len ? invalidation_name_error(INVALIDATION_KEYS, prefix) : NULL;
}
