#include "access/access.h"

#include "base/err.h"

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#define NEEDED  "a key is needed: Authorization: Bearer <key>"
#define BAD     "this gateway does not know the key"
#define FOREIGN "in open mode the Host must be loopback, and an Origin the same or in cors.origins"
#define NO_GLOB "the key has no scope publish:<glob> that matches this channel"

/* Two keys: "shop" publishes orders.* and news, "watch" reads the statistics. */
static const char *const shop_scopes[] = {"publish:orders.*", "publish:news"};
static const char *const watch_scopes[] = {"stats", "invalidate", "peer", "later:scope"};
static const char *const origins[] = {"*", "https://shop.example"};

static struct access_key key_of(const char *name, const char *key, const char *const *scopes,
                                size_t count)
{
    struct access_key k = {.name = name, .scopes = scopes, .scope_count = count};
    unsigned len = 0;
    assert_int_equal(EVP_Digest(key, strlen(key), k.sha256, &len, EVP_sha256(), NULL), 1);
    assert_int_equal(len, 32);
    return k;
}

static struct access *create(bool open, bool with_keys)
{
    const struct access_key keys[] = {key_of("shop", "shop-key", shop_scopes, 2),
                                      key_of("watch", "watch-key", watch_scopes, 4)};
    const struct access_options options = {.open = open,
                                           .keys = with_keys ? keys : NULL,
                                           .key_count = with_keys ? 2 : 0,
                                           .cors_origins = origins,
                                           .cors_origin_count = 2};
    return access_create(&options);
}

static struct access_request request_of(const char *authorization, const char *origin,
                                        const char *host)
{
    return (struct access_request){
        .authorization = span_of(authorization), .origin = span_of(origin), .host = span_of(host)};
}

static void assert_decision(struct access *a, struct access_request request,
                            enum access_action action, const char *channel, int want,
                            const char *sentence)
{
    static const char untouched[] = "";
    const char *why = untouched;
    struct identity who = access_identify(a, &request);
    assert_int_equal(access_decide(a, &who, action, span_of(channel), &why), want);
    assert_string_equal(why, sentence);
}

/* Publishing to orders.1 by somebody who shows just this. */
static void assert_publish(struct access *a, const char *authorization, int want,
                           const char *sentence)
{
    assert_decision(a, request_of(authorization, NULL, "localhost"), ACCESS_PUBLISH, "orders.1",
                    want, sentence);
}

/* What open mode says to a request with this Origin and Host: 0 or ERR_DENIED, to all actions
 * alike. */
static void assert_open(const char *origin, const char *host, bool let_in)
{
    static const enum access_action actions[] = {ACCESS_READ, ACCESS_PUBLISH, ACCESS_INVALIDATE,
                                                 ACCESS_PEER, ACCESS_STATS};
    struct access *a = create(true, false);
    for (size_t i = 0; i < 5; i++)
        assert_decision(a, request_of(NULL, origin, host), actions[i], "c", let_in ? 0 : ERR_DENIED,
                        let_in ? "" : FOREIGN);
    access_destroy(&a);
}

static void a_key_may_do_what_its_scopes_say(void **state)
{
    struct access *a = create(false, true);
    struct access_request shop = request_of("Bearer shop-key", NULL, "gateway.example");
    struct access_request watch = request_of("Bearer watch-key", NULL, "gateway.example");
    assert_decision(a, shop, ACCESS_PUBLISH, "orders.1", 0, "");
    assert_decision(a, shop, ACCESS_PUBLISH, "news", 0, "");
    assert_decision(a, watch, ACCESS_STATS, "", 0, "");
    assert_decision(a, watch, ACCESS_INVALIDATE, "", 0, "");
    assert_decision(a, watch, ACCESS_PEER, "", 0, "");
    access_destroy(&a);
    assert_null(a);
}

static void a_key_may_not_do_what_no_scope_of_it_says(void **state)
{
    struct access *a = create(false, true);
    struct access_request shop = request_of("Bearer shop-key", NULL, NULL);
    struct access_request watch = request_of("Bearer watch-key", NULL, NULL);
    assert_decision(a, shop, ACCESS_PUBLISH, "news.1", ERR_DENIED, NO_GLOB);
    assert_decision(a, shop, ACCESS_PUBLISH, "order", ERR_DENIED, NO_GLOB);
    assert_decision(a, watch, ACCESS_PUBLISH, "news", ERR_DENIED, NO_GLOB);
    assert_decision(a, shop, ACCESS_STATS, "", ERR_DENIED, "the key has not the scope stats");
    assert_decision(a, shop, ACCESS_INVALIDATE, "", ERR_DENIED,
                    "the key has not the scope invalidate");
    assert_decision(a, shop, ACCESS_PEER, "", ERR_DENIED, "the key has not the scope peer");
    access_destroy(&a);
}

static void without_a_key_everybody_may_read_and_nothing_else(void **state)
{
    struct access *a = create(false, true);
    struct access_request nobody = request_of(NULL, "https://evil.example", "anything");
    assert_decision(a, nobody, ACCESS_READ, "c", 0, "");
    assert_decision(a, nobody, ACCESS_PUBLISH, "orders.1", ERR_UNKNOWN_ID, NEEDED);
    assert_decision(a, nobody, ACCESS_STATS, "", ERR_UNKNOWN_ID, NEEDED);
    access_destroy(&a);
}

static void a_wrong_key_is_nobodys(void **state)
{
    struct access *a = create(false, true);
    assert_publish(a, "Bearer shop-kez", ERR_UNKNOWN_ID, BAD);
    assert_publish(a, "Bearer shop-key1", ERR_UNKNOWN_ID, BAD);
    assert_publish(a, "Bearer SHOP-KEY", ERR_UNKNOWN_ID, BAD);
    assert_decision(a, request_of("Bearer x", NULL, NULL), ACCESS_READ, "c", 0, "");
    access_destroy(&a);
}

static void a_key_is_nobodys_where_none_is_configured(void **state)
{
    struct access *a = create(false, false);
    assert_publish(a, "Bearer shop-key", ERR_UNKNOWN_ID, BAD);
    access_destroy(&a);
}

static void the_scheme_is_read_in_any_case_and_with_any_blanks(void **state)
{
    struct access *a = create(false, true);
    assert_publish(a, "bearer shop-key", 0, "");
    assert_publish(a, "BEARER   shop-key  ", 0, "");
    assert_publish(a, "Bearer\tshop-key\t", 0, "");
    access_destroy(&a);
}

static void a_bearer_that_is_not_one_key_is_a_bad_key(void **state)
{
    struct access *a = create(false, true);
    assert_publish(a, "Bearer", ERR_UNKNOWN_ID, BAD);
    assert_publish(a, "Bearer  ", ERR_UNKNOWN_ID, BAD);
    assert_publish(a, "Bearer shop-key shop-key", ERR_UNKNOWN_ID, BAD);
    assert_publish(a, "Bearer shop-key, Bearer x", ERR_UNKNOWN_ID, BAD);
    assert_publish(a, "Bearer shop-key\x7f", ERR_UNKNOWN_ID, BAD);
    assert_publish(a, "Bearer \xc3\xa4", ERR_UNKNOWN_ID, BAD);
    access_destroy(&a);
}

static void another_scheme_shows_no_key(void **state)
{
    struct access *a = create(false, true);
    assert_publish(a, "Basic c2hvcDprZXk=", ERR_UNKNOWN_ID, NEEDED);
    assert_publish(a, "Bearershop-key", ERR_UNKNOWN_ID, NEEDED);
    assert_publish(a, "Bear", ERR_UNKNOWN_ID, NEEDED);
    assert_publish(a, "", ERR_UNKNOWN_ID, NEEDED);
    access_destroy(&a);
}

static void a_key_of_512_bytes_is_known_and_one_byte_more_is_not_read(void **state)
{
    char bearer[7 + 513 + 1] = "Bearer ";
    memset(bearer + 7, 'k', 513);
    bearer[7 + 513] = '\0';
    const struct access_key keys[] = {key_of("longer", bearer + 7, shop_scopes, 2),
                                      key_of("long", bearer + 8, shop_scopes, 2)};
    const struct access_options options = {.keys = keys, .key_count = 2};
    struct access *a = access_create(&options);
    assert_publish(a, bearer, ERR_UNKNOWN_ID, BAD);
    bearer[7 + 512] = '\0';
    assert_publish(a, bearer, 0, "");
    access_destroy(&a);
}

static void every_key_of_many_is_found(void **state)
{
    char text[64][16], bearer[32];
    struct access_key keys[64];
    for (int i = 0; i < 64; i++) {
        snprintf(text[i], sizeof(text[i]), "key-%d", i);
        keys[i] = key_of(text[i], text[i], shop_scopes, 2);
    }
    const struct access_options options = {.keys = keys, .key_count = 64};
    struct access *a = access_create(&options);
    for (uint32_t i = 0; i < 64; i++) {
        snprintf(bearer, sizeof(bearer), "Bearer key-%u", i);
        struct access_request request = request_of(bearer, NULL, NULL);
        struct identity who = access_identify(a, &request);
        assert_int_equal(who.key, i + 1);
        assert_string_equal(access_name(a, &who), text[i]);
    }
    access_destroy(&a);
}

static void open_mode_lets_in_what_comes_from_this_host(void **state)
{
    assert_open(NULL, "localhost:8080", true);
    assert_open(NULL, "127.0.0.1", true);
    assert_open("http://localhost:8080", "localhost:8080", true);
}

static void open_mode_refuses_a_foreign_origin(void **state)
{
    assert_open("http://evil.example", "localhost:8080", false);
    assert_open("http://localhost:3000", "localhost:8080", false);
    assert_open("null", "localhost:8080", false);
    assert_open("", "localhost:8080", false);
}

static void open_mode_refuses_a_foreign_or_missing_host(void **state)
{
    assert_open(NULL, "rebound.example:8080", false);
    assert_open("http://rebound.example:8080", "rebound.example:8080", false);
    assert_open(NULL, NULL, false);
}

static void an_origin_named_for_cors_is_not_foreign_and_a_star_names_none(void **state)
{
    assert_open("https://shop.example", "localhost:8080", true);
    assert_open("https://shop.example:444", "localhost:8080", false);
    assert_open("https://shop.example", "shop.example", false);
    assert_open("*", "localhost:8080", false);
}

static void a_unix_socket_needs_no_host_but_its_origin_counts(void **state)
{
    struct access *a = create(true, false);
    struct access_request request = {.unix_socket = true};
    assert_decision(a, request, ACCESS_PUBLISH, "c", 0, "");
    request.host = span_of("whatever");
    assert_decision(a, request, ACCESS_PUBLISH, "c", 0, "");
    request.origin = span_of("http://whatever");
    assert_decision(a, request, ACCESS_PUBLISH, "c", ERR_DENIED, FOREIGN);
    access_destroy(&a);
}

static void in_open_mode_a_key_that_is_shown_decides(void **state)
{
    struct access *a = create(true, true);
    assert_publish(a, "Bearer shop-key", 0, "");
    assert_publish(a, "Bearer wrong", ERR_UNKNOWN_ID, BAD);
    assert_publish(a, NULL, 0, "");
    assert_publish(a, "Basic eA==", 0, "");
    assert_decision(a, request_of("Bearer shop-key", NULL, "localhost"), ACCESS_STATS, "",
                    ERR_DENIED, "the key has not the scope stats");
    assert_decision(a, request_of("Bearer shop-key", NULL, "gateway.example"), ACCESS_PUBLISH,
                    "news", 0, "");
    assert_decision(a, request_of("Bearer wrong", NULL, "gateway.example"), ACCESS_READ, "c",
                    ERR_DENIED, FOREIGN);
    access_destroy(&a);
}

static void in_open_mode_without_keys_a_bearer_is_ignored(void **state)
{
    struct access *a = create(true, false);
    assert_publish(a, "Bearer anything", 0, "");
    access_destroy(&a);
}

static void a_log_names_the_key_or_open_or_anonymous(void **state)
{
    struct access *open = create(true, true), *closed = create(false, true);
    struct access_request shop = request_of("Bearer shop-key", NULL, "localhost");
    struct access_request plain = request_of(NULL, NULL, "localhost");
    struct access_request wrong = request_of("Bearer wrong", NULL, "localhost");
    struct identity who = access_identify(open, &shop);
    assert_string_equal(access_name(open, &who), "shop");
    who = access_identify(open, &plain);
    assert_string_equal(access_name(open, &who), "open");
    who = access_identify(open, &wrong);
    assert_string_equal(access_name(open, &who), "anonymous");
    who = access_identify(closed, &plain);
    assert_string_equal(access_name(closed, &who), "anonymous");
    access_destroy(&open);
    access_destroy(&closed);
}

static void what_is_given_at_creation_may_go_away_afterwards(void **state)
{
    char name[] = "gone", scope[] = "publish:*", origin[] = "https://gone.example";
    const char *const scopes[] = {scope}, *const names[] = {origin};
    const struct access_key key = key_of(name, "k", scopes, 1);
    const struct access_options options = {
        .open = true, .keys = &key, .key_count = 1, .cors_origins = names, .cors_origin_count = 1};
    struct access *a = access_create(&options);
    memset(name, 'x', 4);
    memset(scope, 'x', 9);
    memset(origin, 'x', 20);
    struct access_request request = request_of("Bearer k", NULL, NULL);
    struct identity who = access_identify(a, &request);
    assert_string_equal(access_name(a, &who), "gone");
    assert_publish(a, "Bearer k", 0, "");
    assert_decision(a, request_of(NULL, "https://gone.example", "localhost"), ACCESS_PUBLISH, "c",
                    0, "");
    access_destroy(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_may_do_what_its_scopes_say),
        cmocka_unit_test(a_key_may_not_do_what_no_scope_of_it_says),
        cmocka_unit_test(without_a_key_everybody_may_read_and_nothing_else),
        cmocka_unit_test(a_wrong_key_is_nobodys),
        cmocka_unit_test(a_key_is_nobodys_where_none_is_configured),
        cmocka_unit_test(the_scheme_is_read_in_any_case_and_with_any_blanks),
        cmocka_unit_test(a_bearer_that_is_not_one_key_is_a_bad_key),
        cmocka_unit_test(another_scheme_shows_no_key),
        cmocka_unit_test(a_key_of_512_bytes_is_known_and_one_byte_more_is_not_read),
        cmocka_unit_test(every_key_of_many_is_found),
        cmocka_unit_test(open_mode_lets_in_what_comes_from_this_host),
        cmocka_unit_test(open_mode_refuses_a_foreign_origin),
        cmocka_unit_test(open_mode_refuses_a_foreign_or_missing_host),
        cmocka_unit_test(an_origin_named_for_cors_is_not_foreign_and_a_star_names_none),
        cmocka_unit_test(a_unix_socket_needs_no_host_but_its_origin_counts),
        cmocka_unit_test(in_open_mode_a_key_that_is_shown_decides),
        cmocka_unit_test(in_open_mode_without_keys_a_bearer_is_ignored),
        cmocka_unit_test(a_log_names_the_key_or_open_or_anonymous),
        cmocka_unit_test(what_is_given_at_creation_may_go_away_afterwards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
