#include "config_case.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

#define DIGEST_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define DIGEST_B "00112233445566778899aAbBcCdDeEfF00112233445566778899aAbBcCdDeEfF"
#define LISTEN_VALID                                                                               \
    "ADDRESS:PORT such as 127.0.0.1:8080, [IPV6]:PORT, :PORT for every address, each with "        \
    "http:// "                                                                                     \
    "or https:// before it or without; unix:/PATH"
#define KEY(name, digest, scopes)                                                                  \
    "{\"name\":\"" name "\",\"sha256\":\"" digest "\",\"scopes\":[" scopes "]}"

static void every_setting_of_the_file_reaches_its_field(void **state)
{
    struct config *c = load(
        "{\"listen\":[\"127.0.0.1:0\",\"unix:/run/s\"],\"open\":true,\"base_path\":\"/live\","
        "\"workers\":3,\"broker\":\"memory\",\"redis\":\"redis://h:1/2\",\"channel_prefix\":\"p:\","
        "\"redis_linger_ms\":0,\"replay_bytes\":1048576,\"tls\":{\"cert\":\"/"
        "c\",\"key\":\"k.pem\"},"
        "\"trusted_proxies\":[\"10.0.0.0/"
        "8\",\"::1\"],\"proxy_protocol\":true,\"log\":{\"level\":\"debug\",\"format\":"
        "\"json\"},\"drain_seconds\":1,\"stream\":{\"retry_ms\":5,\"heartbeat_seconds\":6},"
        "\"cors\":{\"origins\":[\"https://a\",\"https://b\"]},\"limits\":{\"connections\":1,"
        "\"per_address\":2,\"channels\":3,\"name_bytes\":4,\"body_bytes\":5,\"message_bytes\":6,"
        "\"queue_bytes\":7,\"request_seconds\":8}}",
        WORDS(NULL), WORDS(NULL));
    assert_int_equal(c->listen_count, 2);
    assert_string_equal(c->listen[1], "unix:/run/s");
    assert_true(c->open && c->log_json);
    assert_string_equal(c->base_path, "/live");
    assert_int_equal(c->workers, 3);
    assert_int_equal(c->broker, CONFIG_BROKER_MEMORY);
    assert_string_equal(c->redis, "redis://h:1/2");
    assert_string_equal(c->channel_prefix, "p:");
    assert_int_equal(c->redis_linger_ms, 0);
    assert_int_equal(c->replay_bytes, 1048576);
    assert_string_equal(c->tls.cert, "/c");
    assert_string_equal(c->tls.key, "k.pem");
    assert_int_equal(c->trusted_proxy_count, 2);
    assert_string_equal(c->trusted_proxies[1], "::1");
    assert_true(c->proxy_protocol);
    assert_int_equal(c->log_level, LOG_DEBUG);
    assert_int_equal(c->drain_seconds, 1);
    assert_int_equal(c->stream.retry_ms, 5);
    assert_int_equal(c->stream.heartbeat_seconds, 6);
    assert_int_equal(c->cors_origin_count, 2);
    assert_string_equal(c->cors_origins[0], "https://a");
    const uint64_t limits[] = {c->limits.connections, c->limits.per_address,
                               c->limits.channels,    c->limits.name_bytes,
                               c->limits.body_bytes,  c->limits.message_bytes,
                               c->limits.queue_bytes, c->limits.request_seconds};
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(limits[i], i + 1);
    config_destroy(&c);
    assert_null(c);
}

static void keys_are_read_with_digest_and_scopes(void **state)
{
    struct config *c = load("{\"keys\":[" KEY("a", DIGEST_A, "\"stats\"") "," KEY(
                                "b", DIGEST_B, "\"publish:x.*\",\"peer\"") "]}",
                            WORDS(NULL), WORDS(NULL));
    static const uint8_t head[] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                   0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
    assert_int_equal(c->key_count, 2);
    assert_string_equal(c->keys[1].name, "b");
    assert_memory_equal(c->keys[1].sha256, head, 16);
    assert_memory_equal(c->keys[1].sha256 + 16, head, 16);
    assert_int_equal(c->keys[1].scope_count, 2);
    assert_string_equal(c->keys[1].scopes[0], "publish:x.*");
    config_destroy(&c);
}

static void an_unknown_member_is_named_with_its_path_and_what_is_valid(void **state)
{
    assert_file_refused(
        "{\"namespaces\":[{\"match\":\"a\"},\n"
        " {\"match\":\"b\",\"history\":{\"secnods\":3}}]}",
        "namespaces[1].history.secnods: unknown setting; did you mean seconds? Valid "
        "here: messages, seconds (file t.json, line 2, column 26)");
    assert_file_refused(
        "{\"log\":{\"colour\":1}}",
        "log.colour: unknown setting; valid here: level, format (file t.json, line 1, "
        "column 9)");
    assert_file_refused(
        "{\"keys\":[{\"nmae\":\"a\"}]}",
        "keys[0].nmae: unknown setting; did you mean name? Valid here: name, sha256, "
        "scopes (file t.json, line 1, column 11)");
    assert_file_refused(
        "{\"zebra\":{}}",
        "zebra: unknown setting; valid here: listen, open, base_path, workers, broker, "
        "redis, channel_prefix, redis_linger_ms, replay_bytes, unix, tls, trusted_proxies, "
        "proxy_protocol, log, drain_seconds, "
        "stream, cors, limits, keys, namespaces, invalidation (file t.json, line 1, column 2)");
}

static void a_path_is_no_members_name(void **state)
{
    assert_file_refused(
        "{\"stream\":{\"a.b\":1}}",
        "stream.a.b: unknown setting; valid here: retry_ms, heartbeat_seconds (file "
        "t.json, line 1, column 12)");
    assert_file_refused(
        "{\"log\":{\"keys[\":1}}",
        "log.keys[: unknown setting; valid here: level, format (file t.json, line 1, "
        "column 9)");
    assert_file_refused("{\"keys\":[{\"a\\nb\":1}]}",
                        "keys[0].a\\x0ab: unknown setting; valid here: name, sha256, scopes (file "
                        "t.json, line 1, column 11)");
}

static void a_value_of_the_wrong_type_is_told_which_is_right(void **state)
{
    assert_file_refused("{\"workers\":\"8\"}",
                        "workers: expected a number, found the string \"8\"; valid: 0 to 256 (file "
                        "t.json, line 1, column 2)");
    assert_file_refused("{\"open\":1}",
                        "open: expected true or false, found the number 1; valid: true, "
                        "false (file t.json, line 1, column 2)");
    assert_file_refused("{\"open\":null}",
                        "open: expected true or false, found null; valid: true, false "
                        "(file t.json, line 1, column 2)");
    assert_file_refused("{\"broker\":true}", "broker: expected a string, found true; valid: redis, "
                                             "memory (file t.json, line 1, column 2)");
    assert_file_refused("{\"limits\":3}",
                        "limits: expected an object, found the number 3 (file t.json, "
                        "line 1, column 2)");
    assert_file_refused("{\"keys\":{}}",
                        "keys: expected an array, found an object (file t.json, line "
                        "1, column 2)");
    assert_file_refused("{\"keys\":[\"a\"]}",
                        "keys[0]: expected an object, found the string \"a\" (file "
                        "t.json, line 1, column 10)");
    assert_file_refused(
        "{\"namespaces\":[{\"history\":true}]}",
        "namespaces[0].history: expected an object, found true (file t.json, line 1, "
        "column 17)");
    assert_file_refused(
        "{\"cors\":{\"origins\":[\"*\",\n7]}}",
        "cors.origins[1]: expected a string, found the number 7; valid: origins such as "
        "https://shop.example or http://localhost:3000, or * alone (file t.json, line "
        "2, column 1)");
}

static void a_number_must_be_whole_and_in_range(void **state)
{
    assert_file_refused(
        "{\"workers\":257}",
        "workers: \"257\" is out of range; valid: 0 to 256 (file t.json, line 1, column 2)");
    assert_file_refused(
        "{\"limits\":{\"channels\":0}}",
        "limits.channels: \"0\" is out of range; valid: 1 to 10000 (file t.json, line 1, "
        "column 12)");
    assert_file_refused(
        "{\"workers\":99999999999999999999999}",
        "workers: \"99999999999999999999999\" is out of range; valid: 0 to 256 (file "
        "t.json, line 1, column 2)");
    static const char *const no_whole[] = {"1.5", "1e2", "-1"};
    for (size_t i = 0; i < 3; i++) {
        char text[64], want[160];
        snprintf(text, sizeof(text), "{\"workers\":%s}", no_whole[i]);
        snprintf(want, sizeof(want),
                 "workers: \"%s\" is not a whole number; valid: 0 to 256 (file t.json, line 1, "
                 "column 2)",
                 no_whole[i]);
        assert_file_refused(text, want);
    }
}

static void the_ends_of_a_range_are_valid(void **state)
{
    assert_file_accepted("{\"workers\":256,\"redis_linger_ms\":3600000}");
    assert_file_accepted("{\"workers\":0,\"redis_linger_ms\":0,\"limits\":{\"channels\":1}}");
}

static void a_word_must_be_one_of_those_there_are(void **state)
{
    assert_file_refused(
        "{\"log\":{\"level\":\"loud\"}}",
        "log.level: \"loud\" is unknown; valid: error, warn, info, debug (file t.json, "
        "line 1, column 9)");
    assert_file_refused(
        "{\"namespaces\":[{\"match\":\"a\",\"payload\":\"json\"}]}",
        "namespaces[0].payload: \"json\" is unknown; valid: raw, envelope (file t.json, "
        "line 1, column 29)");
}

static void a_text_is_checked_and_its_error_says_what_would_be_valid(void **state)
{
    assert_file_refused(
        "{\"base_path\":\"/live/\"}",
        "base_path: \"/live/\" ends with a slash; valid: empty, or a path such as /live: "
        "a slash before each segment and none at the end; segments of A-Z a-z 0-9 . _ "
        "~ - (file t.json, line 1, column 2)");
    assert_file_refused(
        "{\"listen\":[\"127.0.0.1:1\",\"[::1\"]}",
        "listen[1]: \"[::1\" has an IPv6 address without brackets; valid: " LISTEN_VALID
        " (file t.json, line 1, column 2)");
    assert_file_refused("{\"listen\":[\"\"]}", "listen[0]: \"\" is empty; valid: " LISTEN_VALID
                                               " (file t.json, line 1, column 2)");
}

static void a_text_has_a_longest_length(void **state)
{
    char name[66], text[256], want[256];
    memset(name, 'n', 65);
    name[65] = '\0';
    snprintf(text, sizeof(text), "{\"keys\":[{\"name\":\"%s\"}]}", name);
    snprintf(
        want, sizeof(want),
        "keys[0].name: \"%s\" is too long; valid: 1 to 64 of a-z A-Z 0-9 _ - . (file t.json, line "
        "1, column 11)",
        name);
    assert_file_refused(text, want);
}

static void a_list_has_a_least_length_and_nothing_twice(void **state)
{
    assert_file_refused("{\"listen\":[]}", "listen: has 0 entries; valid: 1 to 64 of " LISTEN_VALID
                                           " (file t.json, line 1, column 2)");
    assert_file_refused("{\"listen\":[\":1\",\":1\"]}",
                        "listen[1]: \":1\" is there twice; valid: " LISTEN_VALID
                        " (file t.json, line 1, column 2)");
}

static void a_secret_is_not_in_the_error_about_it(void **state)
{
    assert_file_refused("{\"redis\":\"redis://:secret@h \"}",
                        "redis: has a blank or control character; valid: a URL such as "
                        "redis://user:password@host:6379/0 (file t.json, line 1, column 2)");
    assert_file_refused("{\"redis\":4711}",
                        "redis: expected a string, found a number; valid: a URL such as "
                        "redis://user:password@host:6379/0 (file t.json, line 1, column 2)");
    assert_file_refused("{\"redis\":\"\"}",
                        "redis: is empty; valid: a URL such as "
                        "redis://user:password@host:6379/0 (file t.json, line 1, "
                        "column 2)");
    assert_file_refused("{\"keys\":[{\"name\":\"a\",\"sha256\":\"secret\",\"scopes\":[\"peer\"]}]}",
                        "keys[0].sha256: is not as long as a SHA-256; valid: 64 hex digits (file "
                        "t.json, line 1, column 22)");
    assert_file_refused(
        "{\"keys\":[{\"sha256\":[\"secret\"]}]}",
        "keys[0].sha256: expected a string, found an array; valid: 64 hex digits (file "
        "t.json, line 1, column 11)");
    assert_file_refused(
        "{\"keys\":[{\"sha256\":\"secretxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
        "xxxxxxxxxx\"}]}",
        "keys[0].sha256: has something else than hex digits; valid: 64 hex digits (file "
        "t.json, line 1, column 11)");
}

static void what_an_array_needs_must_be_given(void **state)
{
    assert_file_refused("{\"keys\":[{}]}",
                        "keys[0].name: missing; valid: 1 to 64 of a-z A-Z 0-9 _ - . "
                        "(file t.json, line 1, column 10)");
    assert_file_refused(
        "{\"keys\":[{\"name\":\"a\"}]}",
        "keys[0].sha256: missing; valid: 64 hex digits (file t.json, line 1, column 10)");
    assert_file_refused("{\"keys\":[{\"name\":\"a\",\"sha256\":\"" DIGEST_A "\"}]}",
                        "keys[0].scopes: missing; valid: publish:GLOB such as publish:orders.*, "
                        "invalidate, peer, stats (file t.json, line 1, column 10)");
    assert_file_refused(
        "{\"namespaces\":[{\"match\":\"*\"},{}]}",
        "namespaces[1].match: missing; valid: a glob such as orders.*; {word} stands for "
        "one segment without a dot (file t.json, line 1, column 30)");
}

static void a_keys_scopes_are_checked(void **state)
{
    assert_file_refused(
        "{\"keys\":[" KEY("a", DIGEST_A, "\"peer\",\"publish:\"") "]}",
        "keys[0].scopes[1]: \"publish:\" has no glob behind publish:; valid: "
        "publish:GLOB such as publish:orders.*, invalidate, peer, stats (file t.json, "
        "line 1, column 98)");
    assert_file_refused(
        "{\"keys\":[" KEY("a", DIGEST_A, "") "]}",
        "keys[0].scopes: has 0 entries; valid: 1 to 100 of publish:GLOB such as "
        "publish:orders.*, invalidate, peer, stats (file t.json, line 1, column 98)");
}

static void a_name_or_digest_belongs_to_one_key(void **state)
{
    assert_file_refused(
        "{\"keys\":[" KEY("a", DIGEST_A, "\"peer\"") "," KEY("a", DIGEST_B, "\"peer\"") "]}",
        "keys[1].name: is the name of keys[0] too (file t.json)");
    assert_file_refused(
        "{\"keys\":[" KEY("a", DIGEST_A, "\"peer\"") "," KEY("b", DIGEST_A, "\"peer\"") "]}",
        "keys[1].sha256: is that of keys[0] too (file t.json)");
}

static void history_makes_a_namespace_durable_with_sizes_of_its_own(void **state)
{
    struct config *c = load("{\"namespaces\":[{\"match\":\"a\",\"history\":{\"messages\":5}},"
                            "{\"match\":\"b\",\"history\":{}},{\"match\":\"c\"}]}",
                            WORDS(NULL), WORDS(NULL));
    assert_true(c->namespaces[0].durable);
    assert_int_equal(c->namespaces[0].history_messages, 5);
    assert_int_equal(c->namespaces[0].history_seconds, 3600);
    assert_true(c->namespaces[1].durable);
    assert_int_equal(c->namespaces[1].history_messages, 1000);
    assert_false(c->namespaces[2].durable);
    config_destroy(&c);
}

static void the_range_of_history_is_checked_all_the_same(void **state)
{
    assert_file_refused("{\"namespaces\":[{\"match\":\"a\",\"history\":{\"messages\":1000001}}]}",
                        "namespaces[0].history.messages: \"1000001\" is out of range; valid: 1 to "
                        "1000000 (file t.json, line 1, column 40)");
    assert_file_refused(
        "{\"namespaces\":[{\"match\":\"a\",\"history\":{\"seconds\":0}}]}",
        "namespaces[0].history.seconds: \"0\" is out of range; valid: 1 to 31536000 "
        "(file t.json, line 1, column 40)");
}

static void a_slow_client_is_disconnected_or_gets_the_latest(void **state)
{
    struct config *c = load("{\"namespaces\":[{\"match\":\"a\",\"slow\":\"latest\"},"
                            "{\"match\":\"b\",\"slow\":\"disconnect\"}]}",
                            WORDS(NULL), WORDS(NULL));
    assert_int_equal(c->namespaces[0].slow, CONFIG_SLOW_LATEST);
    assert_int_equal(c->namespaces[1].slow, CONFIG_SLOW_DISCONNECT);
    config_destroy(&c);
}

static void a_namespace_for_everything_else_comes_last(void **state)
{
    struct config *c = load("{\"namespaces\":[{\"match\":\"a.*\",\"payload\":\"envelope\"}]}",
                            WORDS(NULL), WORDS(NULL));
    assert_int_equal(c->namespace_count, 2);
    assert_string_equal(c->namespaces[0].match, "a.*");
    assert_int_equal(c->namespaces[0].payload, CONFIG_PAYLOAD_ENVELOPE);
    assert_int_equal(c->namespaces[0].history_messages, 1000);
    assert_string_equal(c->namespaces[1].match, "*");
    assert_int_equal(c->namespaces[1].payload, CONFIG_PAYLOAD_RAW);
    assert_int_equal(c->namespaces[1].slow, CONFIG_SLOW_DISCONNECT);
    assert_false(c->namespaces[1].durable);
    config_destroy(&c);
}

static void no_namespace_is_added_where_one_matches_everything(void **state)
{
    struct config *c =
        load("{\"namespaces\":[{\"match\":\"*\",\"payload\":\"envelope\"},{\"match\":\"b\"}]}",
             WORDS(NULL), WORDS(NULL));
    assert_int_equal(c->namespace_count, 2);
    config_destroy(&c);
    c = load("{\"namespaces\":[{\"match\":\"**\"}]}", WORDS(NULL), WORDS(NULL));
    assert_int_equal(c->namespace_count, 1);
    config_destroy(&c);
}

static void a_star_among_cors_origins_stands_alone(void **state)
{
    assert_file_accepted("{\"cors\":{\"origins\":[\"*\"]}}");
    assert_file_refused(
        "{\"cors\":{\"origins\":[\"https://a\",\"*\"]}}",
        "cors.origins: \"*\" stands beside other origins; valid: exact origins, or * "
        "alone (file t.json)");
}

static void a_file_that_is_no_object_or_no_json_is_refused(void **state)
{
    assert_file_refused("[]",
                        "the settings: expected an object, found an array (file t.json, line 1, "
                        "column 1)");
    assert_file_refused("", "file t.json, line 1, column 1: unexpected end");
    assert_file_refused("{\"workers\":1,\n}",
                        "file t.json, line 1, column 13: a comma with nothing behind it");
    assert_file_refused(
        "{\"workers\":1,\"workers\":2}",
        "file t.json, line 1, column 14: the object has a member \"workers\" already");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_setting_of_the_file_reaches_its_field),
        cmocka_unit_test(keys_are_read_with_digest_and_scopes),
        cmocka_unit_test(an_unknown_member_is_named_with_its_path_and_what_is_valid),
        cmocka_unit_test(a_path_is_no_members_name),
        cmocka_unit_test(a_value_of_the_wrong_type_is_told_which_is_right),
        cmocka_unit_test(a_number_must_be_whole_and_in_range),
        cmocka_unit_test(the_ends_of_a_range_are_valid),
        cmocka_unit_test(a_word_must_be_one_of_those_there_are),
        cmocka_unit_test(a_text_is_checked_and_its_error_says_what_would_be_valid),
        cmocka_unit_test(a_text_has_a_longest_length),
        cmocka_unit_test(a_list_has_a_least_length_and_nothing_twice),
        cmocka_unit_test(a_secret_is_not_in_the_error_about_it),
        cmocka_unit_test(what_an_array_needs_must_be_given),
        cmocka_unit_test(a_keys_scopes_are_checked),
        cmocka_unit_test(a_name_or_digest_belongs_to_one_key),
        cmocka_unit_test(history_makes_a_namespace_durable_with_sizes_of_its_own),
        cmocka_unit_test(the_range_of_history_is_checked_all_the_same),
        cmocka_unit_test(a_slow_client_is_disconnected_or_gets_the_latest),
        cmocka_unit_test(a_namespace_for_everything_else_comes_last),
        cmocka_unit_test(no_namespace_is_added_where_one_matches_everything),
        cmocka_unit_test(a_star_among_cors_origins_stands_alone),
        cmocka_unit_test(a_file_that_is_no_object_or_no_json_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
