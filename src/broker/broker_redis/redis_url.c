#include "broker/broker_redis/redis_url.h"

#include "base/err.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

enum { URL_BYTES = 4096, DEFAULT_PORT = 6379, HOST_BYTES = 253 };

#define ONE_PRIMARY "sluice works with one Redis primary: give its address as redis://host:port"

static const struct scheme {
    const char *name;
    enum redis_transport transport;
    const char *refusal; /* static; NULL: this one is known */
} schemes[] = {
    {"redis", REDIS_TCP, NULL},
    {"rediss", REDIS_TLS, NULL},
    {"unix", REDIS_UNIX, NULL},
    {"redis+unix", REDIS_UNIX, NULL},
    {"redis-sentinel", REDIS_TCP, "Redis Sentinel is not supported; " ONE_PRIMARY},
    {"rediss-sentinel", REDIS_TCP, "Redis Sentinel is not supported; " ONE_PRIMARY},
    {"redis+sentinel", REDIS_TCP, "Redis Sentinel is not supported; " ONE_PRIMARY},
    {"sentinel", REDIS_TCP, "Redis Sentinel is not supported; " ONE_PRIMARY},
    {"redis-cluster", REDIS_TCP, "Redis Cluster is not supported; " ONE_PRIMARY},
    {"rediss-cluster", REDIS_TCP, "Redis Cluster is not supported; " ONE_PRIMARY},
    {"redis+cluster", REDIS_TCP, "Redis Cluster is not supported; " ONE_PRIMARY},
    {"cluster", REDIS_TCP, "Redis Cluster is not supported; " ONE_PRIMARY},
};

/* A step of the parser answers NULL, or a static sentence that says what is wrong. */
typedef const char *verdict;

static bool all_digits(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!isdigit((unsigned char)s.ptr[i]))
            return false;
    return s.len > 0;
}

/* A decimal number of at most `most`; false when it is not one. */
static bool parse_number(struct span s, uint32_t most, uint32_t *out)
{
    uint64_t n = 0;
    if (!all_digits(s) || s.len > 10)
        return false;
    for (size_t i = 0; i < s.len; i++)
        n = n * 10 + (uint64_t)(s.ptr[i] - '0');
    if (n > most)
        return false;
    *out = (uint32_t)n;
    return true;
}

/* The bytes before the first of `stops`; *rest begins with that one (or is empty). */
static struct span cut(struct span s, const char *stops, struct span *rest)
{
    size_t n = 0;
    while (n < s.len && !strchr(stops, s.ptr[n]))
        n++;
    *rest = span_make(s.ptr + n, s.len - n);
    return span_make(s.ptr, n);
}

static struct span skip(struct span s, size_t n)
{
    return span_make(s.ptr + n, s.len - n);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* *out becomes owned text; replaces what it was. */
static verdict decode(struct span s, char **out)
{
    char *text = mem_alloc(s.len + 1);
    size_t len = 0;
    verdict wrong = NULL;
    for (size_t i = 0; i < s.len && !wrong; i++) {
        int c = (unsigned char)s.ptr[i];
        if (c == '%') {
            int high = i + 2 < s.len ? hex_value(s.ptr[i + 1]) : -1;
            int low = high >= 0 ? hex_value(s.ptr[i + 2]) : -1;
            c = low < 0 ? -1 : high * 16 + low;
            i += 2;
        }
        if (c <= 0)
            wrong = c < 0 ? "has a % that is not followed by two hex digits (write % as %25)"
                          : "has a NUL";
        text[len++] = (char)c;
    }
    if (wrong) {
        explicit_bzero(text, len);
        mem_free(text);
        return wrong;
    }
    text[len] = '\0';
    mem_free(*out);
    *out = text;
    return NULL;
}

static verdict parse_userinfo(struct span s, struct redis_url *url)
{
    struct span rest;
    struct span user = cut(s, ":", &rest);
    verdict wrong = NULL;
    if (user.len > 0)
        wrong = decode(user, &url->user);
    if (!wrong && rest.len > 0)
        wrong = decode(skip(rest, 1), &url->password);
    return wrong;
}

static bool host_name_is_good(struct span host)
{
    for (size_t i = 0; i < host.len; i++)
        if (!isalnum((unsigned char)host.ptr[i]) && !strchr("._-", host.ptr[i]))
            return false;
    return host.len > 0 && host.len <= HOST_BYTES;
}

/* An address in brackets, maybe with a zone (fe80::1%eth0). */
static bool ipv6_is_good(struct span host)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    struct span zone;
    struct span number = cut(host, "%", &zone);
    if (number.len >= sizeof(text) || (zone.len > 0 && !host_name_is_good(skip(zone, 1))))
        return false;
    memcpy(text, number.ptr, number.len);
    text[number.len] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1;
}

static verdict parse_port(struct span s, struct redis_url *url)
{
    uint32_t port = DEFAULT_PORT;
    if (s.len > 1 && (!parse_number(skip(s, 1), UINT16_MAX, &port) || port == 0))
        return "has a port that is no number from 1 to 65535 (in a password / and ? are written "
               "%2F and %3F)";
    url->port = (uint16_t)port;
    return NULL;
}

static verdict parse_bracketed(struct span s, struct redis_url *url)
{
    struct span rest;
    struct span host = cut(skip(s, 1), "]", &rest);
    if (rest.len == 0 || !ipv6_is_good(host) || (rest.len > 1 && rest.ptr[1] != ':'))
        return "has no IPv6 address in its brackets; it is written redis://[::1]:6379";
    url->host = mem_dup(host.ptr, host.len);
    return parse_port(skip(rest, 1), url);
}

static verdict parse_host(struct span s, struct redis_url *url)
{
    if (s.len > 0 && s.ptr[0] == '[')
        return parse_bracketed(s, url);
    struct span rest;
    struct span host = cut(s, ":", &rest);
    if (rest.len > 1 && memchr(rest.ptr + 1, ':', rest.len - 1))
        return "has more than one : in its host; an IPv6 address is written redis://[::1]:6379";
    if (host.len == 0)
        return "names no host; it is written redis://host:port";
    if (!host_name_is_good(host))
        return "has a host with characters that no host name has";
    url->host = mem_dup(host.ptr, host.len);
    return parse_port(rest, url);
}

/*
 * A raw '@' in a password is let through, so the last one ends it. But "u:p@one,u:p@two" is a list
 * of hosts and not a password with a comma.
 */
static bool names_several_hosts(struct span userinfo, struct span host)
{
    const char *at = userinfo.len ? memchr(userinfo.ptr, '@', userinfo.len) : NULL;
    if (at && memchr(at, ',', userinfo.len - (size_t)(at - userinfo.ptr)))
        return true;
    return host.len && memchr(host.ptr, ',', host.len);
}

static verdict parse_authority(struct span s, struct redis_url *url)
{
    const char *at = s.len ? memrchr(s.ptr, '@', s.len) : NULL;
    size_t user_len = at ? (size_t)(at - s.ptr) : 0;
    struct span userinfo = span_make(s.ptr, user_len);
    struct span host = at ? skip(s, user_len + 1) : s;
    if (names_several_hosts(userinfo, host))
        return "names several hosts; " ONE_PRIMARY;
    verdict wrong = at ? parse_userinfo(userinfo, url) : NULL;
    if (wrong)
        return wrong;
    if (url->transport != REDIS_UNIX)
        return parse_host(host, url);
    return host.len > 0 ? "has a host; a unix socket is written unix:///path" : NULL;
}

static verdict parse_db(struct span s, struct redis_url *url)
{
    return parse_number(s, INT_MAX, &url->db) ? NULL : "has a database that is no number";
}

static verdict parse_path(struct span s, struct redis_url *url)
{
    if (url->transport != REDIS_UNIX)
        return s.len > 1 ? parse_db(skip(s, 1), url) : NULL;
    if (s.len < 2)
        return "names no socket; a unix socket is written unix:///path";
    verdict wrong = decode(s, &url->path);
    if (!wrong && strlen(url->path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
        return "has a path that is too long for a unix socket (107 bytes at most)";
    return wrong;
}

static verdict parse_param(struct span name, struct span value, struct redis_url *url)
{
    if (span_is(name, "db"))
        return parse_db(value, url);
    if (!span_is(name, "cacert"))
        return "has a parameter other than db and cacert";
    if (url->transport != REDIS_TLS)
        return "has cacert, which is for rediss:// alone";
    return value.len > 0 ? decode(value, &url->cacert) : "has an empty cacert";
}

static verdict parse_query(struct span s, struct redis_url *url)
{
    verdict wrong = NULL;
    while (s.len > 1 && !wrong) {
        struct span value, name = cut(cut(skip(s, 1), "&", &s), "=", &value);
        wrong = parse_param(name, value.len ? skip(value, 1) : value, url);
    }
    return wrong;
}

static verdict parse_after_scheme(struct span s, struct redis_url *url)
{
    struct span authority = {.ptr = s.ptr}, rest = s, query;
    bool has_authority = span_starts(s, "//");
    if (!has_authority && (url->transport != REDIS_UNIX || !span_starts(s, "/")))
        return "is written redis://host:port or unix:///path";
    if (has_authority)
        authority = cut(skip(s, 2), "/?", &rest);
    struct span path = cut(rest, "?", &query);
    verdict wrong = parse_authority(authority, url);
    if (!wrong)
        wrong = parse_path(path, url);
    return wrong ? wrong : parse_query(query, url);
}

static const struct scheme *find_scheme(struct span name)
{
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (strlen(schemes[i].name) == name.len &&
            strncasecmp(schemes[i].name, name.ptr, name.len) == 0)
            return &schemes[i];
    return NULL;
}

static verdict check_characters(struct span text)
{
    if (text.len == 0 || text.len > URL_BYTES)
        return text.len ? "is longer than 4096 bytes" : "is empty";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c <= ' ' || c == 0x7f)
            return "has a space or a control character (write it as % and two hex digits)";
        if (c == '#')
            return "has a # (in a password it is written %23)";
    }
    return NULL;
}

static verdict parse(struct span text, struct redis_url *url)
{
    verdict wrong = check_characters(text);
    if (wrong)
        return wrong;
    struct span rest;
    const struct scheme *scheme = find_scheme(cut(text, ":", &rest));
    if (!scheme || rest.len == 0)
        return "begins with none of redis:// rediss:// unix://";
    if (scheme->refusal)
        return scheme->refusal;
    url->transport = scheme->transport;
    return parse_after_scheme(skip(rest, 1), url);
}

int redis_url_parse(struct span text, struct redis_url *out, char *why, size_t why_size)
{
    struct redis_url url = {0};
    verdict wrong = parse(text, &url);
    if (wrong) {
        redis_url_free(&url);
        snprintf(why, why_size, "%s%s", strncmp(wrong, "Redis ", 6) ? "the URL " : "", wrong);
        return ERR_INVALID;
    }
    *out = url;
    return 0;
}

void redis_url_free(struct redis_url *url)
{
    if (url->password)
        explicit_bzero(url->password, strlen(url->password));
    mem_free(url->host);
    mem_free(url->path);
    mem_free(url->user);
    mem_free(url->password);
    mem_free(url->cacert);
    *url = (struct redis_url){0};
}

const char *redis_url_describe(const struct redis_url *url, char *out, size_t out_size)
{
    if (url->transport == REDIS_UNIX) {
        snprintf(out, out_size, "unix://%s?db=%" PRIu32, url->path, url->db);
        return out;
    }
    bool ipv6 = strchr(url->host, ':') != NULL;
    snprintf(out, out_size, "%s://%s%s%s:%u/%" PRIu32,
             url->transport == REDIS_TLS ? "rediss" : "redis", ipv6 ? "[" : "", url->host,
             ipv6 ? "]" : "", (unsigned)url->port, url->db);
    return out;
}

const char *redis_url_discreet(const struct redis_url *url, const char *why)
{
    if (url->password && strlen(url->password) > 3 && strstr(why, url->password))
        return "Redis refused (its words are left out: they hold the password)";
    return why;
}
