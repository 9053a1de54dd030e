#include "base/err.h"
#include "broker/broker_redis.h"
#include "broker/broker_redis/redis_url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void good_urls_are_taken_apart(void **state)
{
    static const struct {
        const char *text;
        struct redis_url want;
        const char *shown;
    } cases[] = {
        {"redis://localhost",
         {.transport = REDIS_TCP, .host = "localhost", .port = 6379},
         "redis://localhost:6379/0"},
        {"redis://10.0.0.1:7000/3",
         {.transport = REDIS_TCP, .host = "10.0.0.1", .port = 7000, .db = 3},
         "redis://10.0.0.1:7000/3"},
        {"REDIS://host/",
         {.transport = REDIS_TCP, .host = "host", .port = 6379},
         "redis://host:6379/0"},
        {"redis://host:?db=12",
         {.transport = REDIS_TCP, .host = "host", .port = 6379, .db = 12},
         "redis://host:6379/12"},
        {"redis://:p%40ss%3A%2f@h_1.x-y:1",
         {.transport = REDIS_TCP, .host = "h_1.x-y", .port = 1, .password = "p@ss:/"},
         "redis://h_1.x-y:1/0"},
        {"redis://us%65r:a:b@c@host",
         {.transport = REDIS_TCP,
          .host = "host",
          .port = 6379,
          .user = "user",
          .password = "a:b@c"},
         "redis://host:6379/0"},
        {"redis://user@host:65535",
         {.transport = REDIS_TCP, .host = "host", .port = 65535, .user = "user"},
         "redis://host:65535/0"},
        {"redis://user:@host",
         {.transport = REDIS_TCP, .host = "host", .port = 6379, .user = "user", .password = ""},
         "redis://host:6379/0"},
        {"redis://[::1]:7001/2",
         {.transport = REDIS_TCP, .host = "::1", .port = 7001, .db = 2},
         "redis://[::1]:7001/2"},
        {"redis://u:p@[fe80::1%eth0]",
         {.transport = REDIS_TCP,
          .host = "fe80::1%eth0",
          .port = 6379,
          .user = "u",
          .password = "p"},
         "redis://[fe80::1%eth0]:6379/0"},
        {"rediss://host?cacert=/etc/ca%20s.pem&db=4",
         {.transport = REDIS_TLS, .host = "host", .port = 6379, .db = 4, .cacert = "/etc/ca s.pem"},
         "rediss://host:6379/4"},
        {"unix:///run/redis.sock",
         {.transport = REDIS_UNIX, .path = "/run/redis.sock"},
         "unix:///run/redis.sock?db=0"},
        {"unix:/run/a%23b?db=5",
         {.transport = REDIS_UNIX, .path = "/run/a#b", .db = 5},
         "unix:///run/a#b?db=5"},
        {"redis+unix://u:pw@/s",
         {.transport = REDIS_UNIX, .path = "/s", .user = "u", .password = "pw"},
         "unix:///s?db=0"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct redis_url url;
        char why[256] = "", shown[256];
        const struct redis_url *want = &cases[i].want;
        if (redis_url_parse(span_of(cases[i].text), &url, why, sizeof(why)))
            fail_msg("%s: %s", cases[i].text, why);
        const char *pairs[][2] = {{url.host, want->host},
                                  {url.path, want->path},
                                  {url.user, want->user},
                                  {url.password, want->password},
                                  {url.cacert, want->cacert}};
        for (size_t k = 0; k < 5; k++) {
            assert_int_equal(pairs[k][0] == NULL, pairs[k][1] == NULL);
            if (pairs[k][0])
                assert_string_equal(pairs[k][0], pairs[k][1]);
        }
        assert_int_equal(url.transport, want->transport);
        assert_int_equal(url.port, want->port);
        assert_int_equal(url.db, want->db);
        assert_string_equal(redis_url_describe(&url, shown, sizeof(shown)), cases[i].shown);
        redis_url_free(&url);
        assert_null(url.password);
    }
}

static void bad_urls_are_refused_with_what_would_be_valid(void **state)
{
    static const char *const cases[][2] = {
        {"", "is empty"},
        {"localhost:6379", "begins with none of redis://"},
        {"http://host", "begins with none of redis://"},
        {"redis", "begins with none of redis://"},
        {"redis:host", "redis://host:port"},
        {"redis://", "names no host"},
        {"redis://:6379", "names no host"},
        {"redis:///0", "names no host"},
        {"redis://host:0", "port"},
        {"redis://host:65536", "port"},
        {"redis://host:99999999999", "port"},
        {"redis://host:6a", "port"},
        {"redis://host/x", "database"},
        {"redis://host/0/1", "database"},
        {"redis://host/4294967296", "database"},
        {"redis://host?db=", "database"},
        {"redis://host?timeout=3", "other than db and cacert"},
        {"redis://host?cacert=/x", "rediss:// alone"},
        {"rediss://host?cacert=", "empty cacert"},
        {"redis://::1:6379", "redis://[::1]:6379"},
        {"redis://[::1", "IPv6"},
        {"redis://[::1]x", "IPv6"},
        {"redis://[host]:1", "IPv6"},
        {"redis://[]:1", "IPv6"},
        {"redis://ho st", "space"},
        {"redis://host\n", "control character"},
        {"redis://host#x", "%23"},
        {"redis://a%zz@host", "two hex digits"},
        {"redis://:a%2@host", "two hex digits"},
        {"redis://:a%00@host", "NUL"},
        {"redis://h\xc3\xb6st", "no host name"},
        {"unix://", "names no socket"},
        {"unix:relative", "unix:///path"},
        {"unix://host/path", "unix:///path"},
        {"redis://a:1,b:2", "one Redis primary"},
        {"redis://u:p@a:1,u:p@b:2", "one Redis primary"},
        {"redis://a:1,redis://b:2", "one Redis primary"},
        {"redis-sentinel://host:26379", "Sentinel is not supported"},
        {"sentinel://host", "Sentinel is not supported"},
        {"redis+sentinel://host", "Sentinel is not supported"},
        {"redis-cluster://host", "Cluster is not supported"},
        {"Cluster://host", "Cluster is not supported"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char why[256] = "";
        struct redis_url url = {.port = 77};
        if (redis_url_parse(span_of(cases[i][0]), &url, why, sizeof(why)) != ERR_INVALID)
            fail_msg("taken: %s", cases[i][0]);
        if (!strstr(why, cases[i][1]))
            fail_msg("%s: \"%s\" lacks \"%s\"", cases[i][0], why, cases[i][1]);
        assert_int_equal(url.port, 77);
    }
}

static void a_path_too_long_for_a_socket_is_refused(void **state)
{
    char text[5000] = "unix:///", why[256];
    struct redis_url url;
    memset(text + 8, 'a', 107);
    assert_int_equal(redis_url_parse(span_make(text, 8 + 107), &url, why, sizeof(why)),
                     ERR_INVALID);
    assert_non_null(strstr(why, "107 bytes"));
    assert_int_equal(redis_url_parse(span_make(text, 8 + 106), &url, why, sizeof(why)), 0);
    redis_url_free(&url);
    memset(text + 8, 'a', sizeof(text) - 8);
    assert_int_equal(redis_url_parse(span_make(text, sizeof(text)), &url, why, sizeof(why)),
                     ERR_INVALID);
    assert_non_null(strstr(why, "4096"));
}

static void no_message_and_no_description_repeats_a_password(void **state)
{
    static const char *const texts[] = {
        "redis://u:geheim@host:x",   "redis://u:ge/geheim@host", "redis://u:ge?geheim@host",
        "redis://u:ge#geheim@host",  "redis://:geheim%@host",    "geheim://host",
        "redis://u:geheim@host?x=1", "redis://u:geheim@a,b",     "redis://u:geheim@host",
        "redis://u:geheim@[::x]",    "unix://u:geheim@host/x",   "redis://host?password=geheim",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char why[256] = "", shown[256];
        broker_redis_check_url(texts[i], why, sizeof(why));
        assert_null(strstr(why, "geheim"));
        assert_null(strstr(broker_redis_describe_url(texts[i], shown, sizeof(shown)), "geheim"));
    }
}

static void tls_is_taken_or_refused_with_the_reason(void **state)
{
    char why[256] = "";
    if (broker_redis_check_url("rediss://host", why, sizeof(why)) == 0)
        return;
    assert_non_null(strstr(why, "Debian 12"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_urls_are_taken_apart),
        cmocka_unit_test(bad_urls_are_refused_with_what_would_be_valid),
        cmocka_unit_test(a_path_too_long_for_a_socket_is_refused),
        cmocka_unit_test(no_message_and_no_description_repeats_a_password),
        cmocka_unit_test(tls_is_taken_or_refused_with_the_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
