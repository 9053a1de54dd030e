#include "config_case.h"

#include <string.h>

#define FLAGS                                                                                      \
    "--listen, --open, --base-path, --workers, --broker, --redis, --channel-prefix, "              \
    "--redis-linger-ms, --replay-bytes, --unix-mode, --unix-owner, --tls-cert, --tls-key, "        \
    "--trusted-proxies, "                                                                          \
    "--proxy-protocol, "                                                                           \
    "--log-level, --log-format, --drain-seconds, "                                                 \
    "--stream-retry-ms, --stream-heartbeat-seconds, --cors-origins, --limits-connections, "        \
    "--limits-per-address, --limits-channels, --limits-name-bytes, --limits-body-bytes, "          \
    "--limits-message-bytes, --limits-queue-bytes, --limits-request-seconds, "                     \
    "--invalidation-secret, --invalidation-secret-file, --invalidation-secret-env, "               \
    "--invalidation-tag-prefix, --invalidation-tracking-prefixes, --config"

static void a_flag_takes_its_value_from_the_next_word_or_behind_the_equals_sign(void **state)
{
    struct config *c = load(NULL,
                            WORDS("--workers", "4", "--limits-channels=7",
                                  "--base-path=", "--redis", "redis://h/0?a=b", NULL),
                            WORDS(NULL));
    assert_int_equal(c->workers, 4);
    assert_int_equal(c->limits.channels, 7);
    assert_string_equal(c->base_path, "");
    assert_string_equal(c->redis, "redis://h/0?a=b");
    config_destroy(&c);
}

static void a_flag_goes_before_the_environment_and_the_file(void **state)
{
    struct config *c =
        load("{\"workers\":3,\"drain_seconds\":3,\"redis_linger_ms\":3}",
             WORDS("--workers=5", NULL), WORDS("SLUICE_WORKERS=4", "SLUICE_DRAIN_SECONDS=4", NULL));
    assert_int_equal(c->workers, 5);
    assert_int_equal(c->drain_seconds, 4);
    assert_int_equal(c->redis_linger_ms, 3);
    config_destroy(&c);
}

static void a_bare_boolean_is_true_and_may_be_set_false(void **state)
{
    struct config *c = load(NULL, WORDS("--open", "--workers", "1", NULL), WORDS(NULL));
    assert_true(c->open);
    config_destroy(&c);
    c = load(NULL, WORDS("--open=false", NULL), WORDS("SLUICE_OPEN=true", NULL));
    assert_false(c->open);
    config_destroy(&c);
    assert_flags_refused(
        WORDS("--open=yes", NULL),
        "open: \"yes\" is neither true nor false; valid: true, false (flag --open)");
}

static void a_list_is_given_by_comma(void **state)
{
    struct config *c =
        load(NULL, WORDS("--listen", "127.0.0.1:0,[::1]:0,unix:/s", NULL), WORDS(NULL));
    assert_int_equal(c->listen_count, 3);
    assert_string_equal(c->listen[1], "[::1]:0");
    config_destroy(&c);
}

static void a_bad_value_names_the_flag(void **state)
{
    assert_flags_refused(WORDS("--limits-channels", "-3", NULL),
                         "limits.channels: \"-3\" is not a whole number; valid: 1 to 10000 (flag "
                         "--limits-channels)");
    assert_flags_refused(
        WORDS("--redis=", NULL),
        "redis: is empty; valid: a URL such as redis://user:password@host:6379/0 (flag "
        "--redis)");
    assert_flags_refused(WORDS("--keys=x", NULL),
                         "keys: can be set in the file only (flag --keys)");
}

static void a_flag_without_its_value_is_refused(void **state)
{
    assert_flags_refused(WORDS("--workers", NULL), "--workers: needs a value");
    assert_flags_refused(WORDS("--redis", "--open", NULL), "--redis: needs a value");
    assert_flags_refused(WORDS("--config", NULL), "--config: needs a value");
    assert_flags_refused(WORDS("--config=", NULL), "--config: needs the path of a file");
}

static void a_flag_may_be_given_once(void **state)
{
    assert_flags_refused(WORDS("--workers=1", "--workers=1", NULL), "--workers: given twice");
    assert_flags_refused(WORDS("--listen", ":1", "--listen", ":2", NULL),
                         "--listen: given twice; a list is written A,B");
    assert_flags_refused(WORDS("--config=a", "--config=b", NULL), "--config: given twice");
}

static void an_unknown_flag_is_named_without_its_value(void **state)
{
    assert_flags_refused(WORDS("--wrkers=secret", NULL),
                         "--wrkers: unknown flag; did you mean --workers? Valid here: " FLAGS);
    assert_flags_refused(WORDS("-v", NULL), "-v: unknown flag; valid here: " FLAGS);
    assert_flags_refused(WORDS("--", NULL), "--: unknown flag; valid here: " FLAGS);
    assert_flags_refused(WORDS("--log.level=info", NULL),
                         "--log.level: unknown flag; did you mean --log-level? Valid here: " FLAGS);
}

static void a_stray_word_is_refused_and_shows_no_password(void **state)
{
    assert_flags_refused(WORDS("--open", "true", NULL),
                         "\"true\": unexpected argument; settings are given as --name VALUE or "
                         "--name=VALUE");
    assert_flags_refused(
        WORDS("redis://u:secret@h", NULL),
        "\"redis://***@h\": unexpected argument; settings are given as --name VALUE or "
        "--name=VALUE");
    assert_flags_refused(WORDS("", NULL),
                         "\"\": unexpected argument; settings are given as --name VALUE "
                         "or --name=VALUE");
}

static void assert_help(char *const *flags)
{
    struct config *config = NULL;
    struct buf why = {0};
    int err =
        config_load(count_words(flags), flags, WORDS("SLUICE_NONSENSE=1", NULL), &config, &why);
    assert_int_equal(err, ERR_NOT_FOUND);
    assert_int_equal(why.len, 0);
    assert_null(config);
    buf_free(&why);
}

static void asking_for_help_is_neither_success_nor_an_error(void **state)
{
    assert_help(WORDS("--help", NULL));
    assert_help(WORDS("--workers", "3", "-h", "--nonsense", NULL));
    assert_help(WORDS("--config=/does/not/exist", "--help", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flag_takes_its_value_from_the_next_word_or_behind_the_equals_sign),
        cmocka_unit_test(a_flag_goes_before_the_environment_and_the_file),
        cmocka_unit_test(a_bare_boolean_is_true_and_may_be_set_false),
        cmocka_unit_test(a_list_is_given_by_comma),
        cmocka_unit_test(a_bad_value_names_the_flag),
        cmocka_unit_test(a_flag_without_its_value_is_refused),
        cmocka_unit_test(a_flag_may_be_given_once),
        cmocka_unit_test(an_unknown_flag_is_named_without_its_value),
        cmocka_unit_test(a_stray_word_is_refused_and_shows_no_password),
        cmocka_unit_test(asking_for_help_is_neither_success_nor_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
