#include "config_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder of the test's own, and a file in it. */
struct place {
    char folder[64], file[96];
};

static struct place place;

static int make_folder(void **state)
{
    snprintf(place.folder, sizeof(place.folder), "/tmp/sluice-unit-config.XXXXXX");
    if (!mkdtemp(place.folder))
        return -1;
    snprintf(place.file, sizeof(place.file), "%s/c.json", place.folder);
    return 0;
}

static int remove_folder(void **state)
{
    unlink(place.file);
    return rmdir(place.folder);
}

static void write_file(const char *head, size_t blanks)
{
    FILE *f = fopen(place.file, "w");
    assert_non_null(f);
    fputs(head, f);
    for (size_t i = 0; i < blanks; i++)
        fputc(' ', f);
    assert_int_equal(fclose(f), 0);
}

static struct config *load_from(char *const *flags, char *const *env)
{
    struct config *config = NULL;
    struct buf why = {0};
    if (config_load(count_words(flags), flags, env, &config, &why) != 0)
        fail_msg("refused: %s", buf_cstr(&why));
    buf_free(&why);
    return config;
}

/* want has %s where the file's path stands. */
static void assert_load_refused(char *const *flags, char *const *env, const char *want)
{
    struct config *config = NULL;
    struct buf why = {0}, line = {0};
    const char *hole = strstr(want, "%s");
    buf_append(&line, want, hole ? (size_t)(hole - want) : strlen(want));
    if (hole)
        buf_printf(&line, "%s%s", place.file, hole + 2);
    int err = config_load(count_words(flags), flags, env, &config, &why);
    assert_string_equal(buf_cstr(&why), buf_cstr(&line));
    assert_int_equal(err, ERR_INVALID);
    assert_null(config);
    buf_free(&why);
    buf_free(&line);
}

static char *config_variable(void)
{
    static char variable[128];
    snprintf(variable, sizeof(variable), "SLUICE_CONFIG=%s", place.file);
    return variable;
}

static void without_a_file_the_defaults_are_in_force(void **state)
{
    struct config *c = load_from(WORDS(NULL), WORDS(NULL));
    assert_int_equal(c->listen_count, 1);
    assert_string_equal(c->listen[0], "127.0.0.1:8080");
    assert_false(c->open);
    assert_string_equal(c->redis, "redis://127.0.0.1:6379/0");
    assert_int_equal(c->stream.retry_ms, 2000);
    assert_int_equal(c->stream.heartbeat_seconds, 15);
    assert_int_equal(c->limits.queue_bytes, 262144);
    assert_int_equal(c->key_count, 0);
    assert_int_equal(c->namespace_count, 1);
    assert_string_equal(c->namespaces[0].match, "*");
    config_destroy(&c);
}

static void the_file_is_named_by_flag_or_variable_and_the_flag_wins(void **state)
{
    write_file("{\"workers\":7}", 0);
    struct config *c = load_from(WORDS("--config", place.file, NULL), WORDS(NULL));
    assert_int_equal(c->workers, 7);
    config_destroy(&c);
    c = load_from(WORDS(NULL), WORDS(config_variable(), NULL));
    assert_int_equal(c->workers, 7);
    config_destroy(&c);
    c = load_from(WORDS("--config", place.file, NULL),
                  WORDS("SLUICE_CONFIG=/does/not/exist", NULL));
    assert_int_equal(c->workers, 7);
    config_destroy(&c);
}

static void an_error_in_the_file_names_the_file_line_and_column(void **state)
{
    write_file("{\n  \"workers\": 900\n}", 0);
    assert_load_refused(
        WORDS(NULL), WORDS(config_variable(), NULL),
        "workers: \"900\" is out of range; valid: 0 to 256 (file %s, line 2, column 3)");
}

static void a_file_that_cannot_be_read_is_named_with_the_reason(void **state)
{
    assert_load_refused(WORDS("--config=/does/not/exist", NULL), WORDS(NULL),
                        "config: cannot read \"/does/not/exist\": No such file or directory (flag "
                        "--config)");
    assert_load_refused(WORDS(NULL), WORDS("SLUICE_CONFIG=/", NULL),
                        "config: cannot read \"/\": Is a directory (env SLUICE_CONFIG)");
    assert_load_refused(WORDS(NULL), WORDS("SLUICE_CONFIG=", NULL),
                        "config: cannot read \"\": No such file or directory (env SLUICE_CONFIG)");
}

static void a_file_has_a_largest_size(void **state)
{
    write_file("{}", (1 << 20) - 2);
    struct config *c = load_from(WORDS("--config", place.file, NULL), WORDS(NULL));
    config_destroy(&c);
    write_file("{}", (1 << 20) - 1);
    assert_load_refused(WORDS("--config", place.file, NULL), WORDS(NULL),
                        "config: cannot read \"%s\": more than 1048576 bytes (flag --config)");
}

static void open_mode_needs_every_listener_private(void **state)
{
    struct config *c =
        load(NULL, WORDS("--open", "--listen=127.0.0.1:0,[::1]:0,unix:/s", NULL), WORDS(NULL));
    config_destroy(&c);
    assert_flags_refused(
        WORDS("--open", "--listen=127.0.0.1:0,:8080", NULL),
        "open: lifts the keys, so every listener must be a loopback address or a unix "
        "socket; \":8080\" is neither (flag --open, listen from flag --listen)");
    assert_refused(
        "{\"listen\":[\"[::]:80\"]}", WORDS(NULL), WORDS("SLUICE_OPEN=true", NULL),
        "open: lifts the keys, so every listener must be a loopback address or a unix socket; "
        "\"[::]:80\" is neither (env SLUICE_OPEN, listen from file t.json)");
}

static void a_public_listener_is_fine_without_open_mode(void **state)
{
    struct config *c = load(NULL, WORDS("--listen=:8080", NULL), WORDS(NULL));
    assert_string_equal(c->listen[0], ":8080");
    config_destroy(&c);
}

static void a_certificate_and_its_key_come_together(void **state)
{
    struct config *c =
        load("{\"tls\":{\"cert\":\"/c\"}}", WORDS(NULL), WORDS("SLUICE_TLS_KEY=/k", NULL));
    assert_string_equal(c->tls.cert, "/c");
    assert_string_equal(c->tls.key, "/k");
    config_destroy(&c);
    assert_file_refused("{\"tls\":{\"cert\":\"/c\"}}",
                        "tls.cert: needs tls.key beside it (file t.json)");
    assert_flags_refused(WORDS("--tls-key=/k", NULL),
                         "tls.key: needs tls.cert beside it (flag --tls-key)");
    c = load("{\"tls\":{\"cert\":\"/c\",\"key\":\"/k\"}}", WORDS("--tls-cert=", "--tls-key=", NULL),
             WORDS(NULL));
    assert_string_equal(c->tls.cert, "");
    config_destroy(&c);
}

static void a_listener_that_must_speak_tls_needs_a_certificate(void **state)
{
    assert_flags_refused(WORDS("--listen=:80,https://:443", NULL),
                         "listen[1]: \"https://:443\" needs tls.cert and tls.key (flag --listen)");
    struct config *c =
        load(NULL, WORDS("--listen=http://:80,https://:443", "--tls-cert=c", "--tls-key=k", NULL),
             WORDS(NULL));
    assert_string_equal(c->listen[1], "https://:443");
    config_destroy(&c);
    c = load(NULL, WORDS("--listen=http://:80", NULL), WORDS(NULL));
    assert_string_equal(c->listen[0], "http://:80");
    config_destroy(&c);
}

static void nobody_is_a_trusted_proxy_unless_named(void **state)
{
    struct config *c = load(NULL, WORDS(NULL), WORDS(NULL));
    assert_int_equal(c->trusted_proxy_count, 0);
    assert_false(c->proxy_protocol);
    config_destroy(&c);
    c = load(NULL, WORDS("--proxy-protocol", NULL),
             WORDS("SLUICE_TRUSTED_PROXIES=10.0.0.0/8,fd00::/8,192.0.2.1", NULL));
    assert_int_equal(c->trusted_proxy_count, 3);
    assert_string_equal(c->trusted_proxies[1], "fd00::/8");
    assert_true(c->proxy_protocol);
    config_destroy(&c);
}

static void a_bad_network_names_the_right_one(void **state)
{
    assert_refused(NULL, WORDS(NULL), WORDS("SLUICE_TRUSTED_PROXIES=::1,fd00::1/8", NULL),
                   "trusted_proxies[1]: \"fd00::1/8\" has bits set behind its prefix; the network "
                   "is fd00::/8; valid: networks such as 10.0.0.0/8 or fd00::/8, or addresses (env "
                   "SLUICE_TRUSTED_PROXIES)");
}

static void the_proxy_protocol_needs_somebody_to_trust(void **state)
{
    assert_flags_refused(WORDS("--proxy-protocol", NULL),
                         "proxy_protocol: takes the header from trusted proxies only, and "
                         "trusted_proxies is empty (flag --proxy-protocol)");
}

static void no_workers_given_is_at_least_one_and_at_most_256(void **state)
{
    struct config *c = load(NULL, WORDS("--workers=0", NULL), WORDS(NULL));
    assert_in_range(c->workers, 1, 256);
    config_destroy(&c);
}

static void destroying_nothing_is_allowed(void **state)
{
    struct config *none = NULL;
    config_destroy(&none);
    assert_null(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_file_the_defaults_are_in_force),
        cmocka_unit_test(the_file_is_named_by_flag_or_variable_and_the_flag_wins),
        cmocka_unit_test(an_error_in_the_file_names_the_file_line_and_column),
        cmocka_unit_test(a_file_that_cannot_be_read_is_named_with_the_reason),
        cmocka_unit_test(a_file_has_a_largest_size),
        cmocka_unit_test(open_mode_needs_every_listener_private),
        cmocka_unit_test(a_public_listener_is_fine_without_open_mode),
        cmocka_unit_test(a_certificate_and_its_key_come_together),
        cmocka_unit_test(a_listener_that_must_speak_tls_needs_a_certificate),
        cmocka_unit_test(nobody_is_a_trusted_proxy_unless_named),
        cmocka_unit_test(a_bad_network_names_the_right_one),
        cmocka_unit_test(the_proxy_protocol_needs_somebody_to_trust),
        cmocka_unit_test(no_workers_given_is_at_least_one_and_at_most_256),
        cmocka_unit_test(destroying_nothing_is_allowed),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
