#include "config_case.h"

#include <string.h>

#define VARIABLES                                                                                  \
    "SLUICE_LISTEN, SLUICE_OPEN, SLUICE_BASE_PATH, SLUICE_WORKERS, SLUICE_BROKER, SLUICE_REDIS, "  \
    "SLUICE_CHANNEL_PREFIX, SLUICE_REDIS_LINGER_MS, SLUICE_REPLAY_BYTES, SLUICE_UNIX_MODE, "       \
    "SLUICE_UNIX_OWNER, SLUICE_TLS_CERT, "                                                         \
    "SLUICE_TLS_KEY, SLUICE_TRUSTED_PROXIES, SLUICE_PROXY_PROTOCOL, SLUICE_LOG_LEVEL, "            \
    "SLUICE_LOG_FORMAT, SLUICE_DRAIN_SECONDS, SLUICE_STREAM_RETRY_MS, "                            \
    "SLUICE_STREAM_HEARTBEAT_SECONDS, SLUICE_CORS_ORIGINS, SLUICE_LIMITS_CONNECTIONS, "            \
    "SLUICE_LIMITS_PER_ADDRESS, SLUICE_LIMITS_CHANNELS, SLUICE_LIMITS_NAME_BYTES, "                \
    "SLUICE_LIMITS_BODY_BYTES, SLUICE_LIMITS_MESSAGE_BYTES, SLUICE_LIMITS_QUEUE_BYTES, "           \
    "SLUICE_LIMITS_REQUEST_SECONDS, SLUICE_INVALIDATION_SECRET, SLUICE_INVALIDATION_SECRET_FILE, " \
    "SLUICE_INVALIDATION_SECRET_ENV, SLUICE_INVALIDATION_TAG_PREFIX, "                             \
    "SLUICE_INVALIDATION_TRACKING_PREFIXES, SLUICE_CONFIG"

static void assert_redis(char *const *env, const char *want)
{
    struct config *c = load(NULL, WORDS(NULL), env);
    assert_string_equal(c->redis, want);
    config_destroy(&c);
}

static void assert_broker(const char *text, char *const *env, enum config_broker want)
{
    struct config *c = load(text, WORDS(NULL), env);
    assert_int_equal(c->broker, want);
    config_destroy(&c);
}

static void a_variable_goes_before_the_file(void **state)
{
    struct config *c = load(
        "{\"workers\":3,\"limits\":{\"channels\":5},\"cors\":{\"origins\":[\"*\"]}}", WORDS(NULL),
        WORDS("SLUICE_WORKERS=4", "SLUICE_CORS_ORIGINS=https://a,https://b", "PATH=/bin",
              "SLUICE_OPEN=true", NULL));
    assert_int_equal(c->workers, 4);
    assert_int_equal(c->limits.channels, 5);
    assert_int_equal(c->cors_origin_count, 2);
    assert_string_equal(c->cors_origins[1], "https://b");
    assert_true(c->open);
    config_destroy(&c);
}

static void an_empty_list_is_the_empty_text(void **state)
{
    struct config *c =
        load("{\"cors\":{\"origins\":[\"*\"]}}", WORDS(NULL), WORDS("SLUICE_CORS_ORIGINS=", NULL));
    assert_int_equal(c->cors_origin_count, 0);
    config_destroy(&c);
}

static void a_bad_value_names_the_setting_and_the_variable(void **state)
{
    assert_env_refused(
        WORDS("SLUICE_WORKERS=many", NULL),
        "workers: \"many\" is not a whole number; valid: 0 to 256 (env SLUICE_WORKERS)");
    assert_env_refused(WORDS("SLUICE_WORKERS=", NULL),
                       "workers: \"\" is not a whole number; valid: 0 to 256 (env SLUICE_WORKERS)");
    assert_env_refused(
        WORDS("SLUICE_OPEN=1", NULL),
        "open: \"1\" is neither true nor false; valid: true, false (env SLUICE_OPEN)");
    assert_env_refused(WORDS("SLUICE_LOG_LEVEL=\x1b[1m", NULL),
                       "log.level: \"\\x1b[1m\" is unknown; valid: error, warn, info, debug (env "
                       "SLUICE_LOG_LEVEL)");
    assert_env_refused(
        WORDS("SLUICE_CHANNEL_PREFIX=\xff", NULL),
        "channel_prefix: \"\\xff\" is not valid UTF-8; valid: empty, or what a channel's "
        "name may begin with: no control characters, none of * ? [ ] { } \\, not "
        "sluice: sluice. or __ (env SLUICE_CHANNEL_PREFIX)");
    assert_env_refused(
        WORDS("SLUICE_CORS_ORIGINS=https://a,,https://b", NULL),
        "cors.origins[1]: \"\" is empty; valid: origins such as https://shop.example or "
        "http://localhost:3000, or * alone (env SLUICE_CORS_ORIGINS)");
    assert_env_refused(
        WORDS("SLUICE_REDIS=", NULL),
        "redis: is empty; valid: a URL such as redis://user:password@host:6379/0 (env "
        "SLUICE_REDIS)");
}

static void an_unknown_sluice_variable_ends_the_start(void **state)
{
    assert_env_refused(
        WORDS("SLUICE_WORKRES=1", NULL),
        "SLUICE_WORKRES: unknown variable; did you mean SLUICE_WORKERS? Valid here: " VARIABLES);
    assert_env_refused(WORDS("SLUICE_=1", NULL),
                       "SLUICE_: unknown variable; valid here: " VARIABLES);
    assert_env_refused(WORDS("SLUICE_SECRET_PORT=4711", NULL),
                       "SLUICE_SECRET_PORT: unknown variable; valid here: " VARIABLES);
}

static void keys_and_namespaces_are_in_the_file_only(void **state)
{
    assert_env_refused(WORDS("SLUICE_KEYS=[]", NULL),
                       "keys: can be set in the file only (env SLUICE_KEYS)");
    assert_env_refused(WORDS("SLUICE_NAMESPACES=*", NULL),
                       "namespaces: can be set in the file only (env SLUICE_NAMESPACES)");
}

static void variables_of_clients_and_tests_are_left_alone(void **state)
{
    struct config *c = load(NULL, WORDS(NULL),
                            WORDS("SLUICE_URL=http://h", "SLUICE_KEY=k", "SLUICE_BIN=/b",
                                  "SLUICE_CONFIG=/c", "SLUICE_TEST_SEED=1", "SLUICE", NULL));
    config_destroy(&c);
}

static void what_kubernetes_sets_for_a_service_named_sluice_is_left_alone(void **state)
{
    struct config *c = load(NULL, WORDS(NULL),
                            WORDS("SLUICE_SERVICE_HOST=10.0.0.1", "SLUICE_SERVICE_PORT=80",
                                  "SLUICE_SERVICE_PORT_HTTP=80", "SLUICE_PORT=tcp://10.0.0.1:80",
                                  "SLUICE_PORT_80_TCP_ADDR=10.0.0.1",
                                  "SLUICE_REDIS_PORT=tcp://10.0.0.2:6379", NULL));
    assert_string_equal(c->redis, "redis://127.0.0.1:6379/0");
    config_destroy(&c);
    assert_env_refused(WORDS("SLUICE_PORT=80", NULL),
                       "SLUICE_PORT: unknown variable; valid here: " VARIABLES);
}

static void redis_url_is_understood_and_sluice_redis_goes_before_it(void **state)
{
    assert_redis(WORDS("REDIS_URL=redis://a", NULL), "redis://a");
    assert_redis(WORDS("REDIS_URL=redis://a", "REDIS_HOST=b", NULL), "redis://a");
    assert_redis(WORDS("REDIS_URL=redis://a", "SLUICE_REDIS=redis://c", NULL), "redis://c");
    assert_redis(WORDS("SLUICE_REDIS=redis://c", "REDIS_HOST=!", NULL), "redis://c");
}

static void redis_host_and_its_companions_make_a_url(void **state)
{
    assert_redis(WORDS("REDIS_HOST=h", NULL), "redis://h:6379/0");
    assert_redis(WORDS("REDIS_HOST=h", "REDIS_PORT=7000", "REDIS_DB=3", NULL), "redis://h:7000/3");
    assert_redis(WORDS("REDIS_HOST=::1", "REDIS_PASSWORD=p", NULL), "redis://:p@[::1]:6379/0");
    assert_redis(WORDS("REDIS_HOST=h", "REDIS_USERNAME=u:@", "REDIS_PASSWORD=a/b%\xc3\xa4 c", NULL),
                 "redis://u%3A%40:a%2Fb%25%C3%A4%20c@h:6379/0");
}

static void companions_of_redis_host_mean_nothing_alone(void **state)
{
    assert_redis(WORDS("REDIS_PORT=tcp://10.0.0.1:6379", "REDIS_PASSWORD=p", NULL),
                 "redis://127.0.0.1:6379/0");
}

static void empty_redis_variables_count_as_absent(void **state)
{
    assert_redis(WORDS("REDIS_URL=", "REDIS_HOST=h", "REDIS_PORT=", "REDIS_PASSWORD=", NULL),
                 "redis://h:6379/0");
    assert_redis(WORDS("REDIS_HOST=", NULL), "redis://127.0.0.1:6379/0");
    assert_broker(NULL, WORDS("REDIS_ENABLED=", NULL), CONFIG_BROKER_REDIS);
}

static void bad_redis_variables_are_named(void **state)
{
    assert_env_refused(
        WORDS("REDIS_HOST=redis://u:secret@h", NULL),
        "redis: is not a host name or address; a URL goes into REDIS_URL (env REDIS_HOST)");
    assert_env_refused(WORDS("REDIS_HOST=h", "REDIS_PORT=x", NULL),
                       "redis: \"x\" is not a number in range; valid: 1 to 65535 (env REDIS_PORT)");
    assert_env_refused(WORDS("REDIS_HOST=h", "REDIS_PORT=0", NULL),
                       "redis: \"0\" is not a number in range; valid: 1 to 65535 (env REDIS_PORT)");
    assert_env_refused(
        WORDS("REDIS_HOST=h", "REDIS_PORT=65536", NULL),
        "redis: \"65536\" is not a number in range; valid: 1 to 65535 (env REDIS_PORT)");
    assert_env_refused(
        WORDS("REDIS_HOST=h", "REDIS_DB=99999999999999999999", NULL),
        "redis: \"99999999999999999999\" is not a number in range; valid: 0 to 1000000 "
        "(env REDIS_DB)");
    assert_env_refused(WORDS("REDIS_HOST=h", "REDIS_USERNAME=u", NULL),
                       "redis: needs REDIS_PASSWORD beside it (env REDIS_USERNAME)");
    assert_env_refused(WORDS("REDIS_URL=redis://:secret@h x", NULL),
                       "redis: has a blank or control character; valid: a URL such as "
                       "redis://user:password@host:6379/0 (env REDIS_URL)");
}

static void redis_enabled_chooses_the_broker_unless_sluice_broker_does(void **state)
{
    assert_broker(NULL, WORDS("REDIS_ENABLED=false", NULL), CONFIG_BROKER_MEMORY);
    assert_broker("{\"broker\":\"memory\"}", WORDS("REDIS_ENABLED=true", NULL),
                  CONFIG_BROKER_REDIS);
    assert_broker(NULL, WORDS("REDIS_ENABLED=false", "SLUICE_BROKER=redis", NULL),
                  CONFIG_BROKER_REDIS);
    assert_env_refused(
        WORDS("REDIS_ENABLED=no", NULL),
        "broker: \"no\" is neither true nor false; valid: true, false (env REDIS_ENABLED)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_variable_goes_before_the_file),
        cmocka_unit_test(an_empty_list_is_the_empty_text),
        cmocka_unit_test(a_bad_value_names_the_setting_and_the_variable),
        cmocka_unit_test(an_unknown_sluice_variable_ends_the_start),
        cmocka_unit_test(keys_and_namespaces_are_in_the_file_only),
        cmocka_unit_test(variables_of_clients_and_tests_are_left_alone),
        cmocka_unit_test(what_kubernetes_sets_for_a_service_named_sluice_is_left_alone),
        cmocka_unit_test(redis_url_is_understood_and_sluice_redis_goes_before_it),
        cmocka_unit_test(redis_host_and_its_companions_make_a_url),
        cmocka_unit_test(companions_of_redis_host_mean_nothing_alone),
        cmocka_unit_test(empty_redis_variables_count_as_absent),
        cmocka_unit_test(bad_redis_variables_are_named),
        cmocka_unit_test(redis_enabled_chooses_the_broker_unless_sluice_broker_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
