#include "cli/cli.h"

#include "base/err.h"
#include "ops/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What one call said and how it ended. */
struct outcome {
    int status;
    char out[32768], err[4096];
};

static struct outcome outcome;

/* A stream put aside while a file in memory takes its place. */
struct aside {
    FILE *stream; /* borrowed */
    int saved, file;
};

static struct aside put_aside(FILE *stream)
{
    fflush(stream);
    struct aside a = {.stream = stream, .saved = dup(fileno(stream)), .file = memfd_create("t", 0)};
    assert_true(a.saved >= 0 && a.file >= 0);
    dup2(a.file, fileno(stream));
    return a;
}

static void put_back(const struct aside *a, char *text, size_t size)
{
    fflush(a->stream);
    dup2(a->saved, fileno(a->stream));
    close(a->saved);
    ssize_t got = pread(a->file, text, size - 1, 0);
    text[got > 0 ? got : 0] = '\0';
    close(a->file);
}

/* The other rooms' say, played by a function that knows one bad URL. */
static int refuse_sentinel(const struct config *config, struct buf *why)
{
    if (config->broker != CONFIG_BROKER_REDIS || strcmp(config->redis, "sentinel://h") != 0)
        return 0;
    buf_str(why, "redis: sentinel:// is not supported");
    return ERR_INVALID;
}

static void run_check(char **argv)
{
    int argc = 0;
    while (argv[argc])
        argc++;
    struct aside out = put_aside(stdout), err = put_aside(stderr);
    outcome.status = cli_check(argc, argv, refuse_sentinel);
    put_back(&out, outcome.out, sizeof(outcome.out));
    put_back(&err, outcome.err, sizeof(outcome.err));
}

static void a_good_configuration_is_printed_and_ends_with_0(void **state)
{
    run_check((char *[]){"check", "--workers=3", NULL});
    assert_int_equal(outcome.status, 0);
    assert_string_equal(outcome.err, "");
    assert_non_null(strstr(outcome.out, "\nworkers                         3 "));
    assert_non_null(strstr(outcome.out, "flag --workers\n"));
}

static void a_bad_configuration_is_one_line_on_standard_error_and_2(void **state)
{
    run_check((char *[]){"check", "--workers=x", NULL});
    assert_int_equal(outcome.status, 2);
    assert_string_equal(outcome.out, "");
    assert_string_equal(outcome.err,
                        "sluice check: workers: \"x\" is not a whole number; valid: 0 to "
                        "256 (flag --workers)\n");
}

static void the_environment_is_checked_too(void **state)
{
    setenv("SLUICE_DRAIN_SECONDS", "long", 1);
    run_check((char *[]){"check", NULL});
    unsetenv("SLUICE_DRAIN_SECONDS");
    assert_int_equal(outcome.status, 2);
    assert_string_equal(outcome.err,
                        "sluice check: drain_seconds: \"long\" is not a whole number; valid: "
                        "0 to 3600 (env SLUICE_DRAIN_SECONDS)\n");
}

static void what_the_broker_says_about_the_url_counts(void **state)
{
    run_check((char *[]){"check", "--redis=sentinel://h", NULL});
    assert_int_equal(outcome.status, 2);
    assert_string_equal(outcome.out, "");
    assert_string_equal(outcome.err, "sluice check: redis: sentinel:// is not supported\n");
}

static void the_memory_broker_needs_no_good_url(void **state)
{
    run_check((char *[]){"check", "--redis=sentinel://h", "--broker=memory", NULL});
    assert_int_equal(outcome.status, 0);
    assert_string_equal(outcome.err, "");
}

static void help_goes_to_standard_output_and_ends_with_0(void **state)
{
    run_check((char *[]){"check", "--help", NULL});
    assert_int_equal(outcome.status, 0);
    assert_string_equal(outcome.err, "");
    assert_non_null(strstr(outcome.out, "Usage: sluice check [--config PATH] [settings]\n"));
    assert_non_null(strstr(outcome.out, "\n  --listen A,B,…\n"));
}

static void run_reference(int argc, char **argv)
{
    struct aside out = put_aside(stdout), err = put_aside(stderr);
    outcome.status = cli_reference(argc, argv);
    put_back(&out, outcome.out, sizeof(outcome.out));
    put_back(&err, outcome.err, sizeof(outcome.err));
}

static void the_reference_is_the_page_of_the_table(void **state)
{
    struct buf page = {0};
    config_reference(&page);
    run_reference(1, (char *[]){"reference", NULL});
    assert_int_equal(outcome.status, 0);
    assert_string_equal(outcome.out, buf_cstr(&page));
    buf_free(&page);
}

static void the_reference_takes_no_words(void **state)
{
    run_reference(2, (char *[]){"reference", "redis", NULL});
    assert_int_equal(outcome.status, 2);
    assert_string_equal(outcome.out, "");
    assert_string_equal(outcome.err,
                        "sluice reference: unexpected argument \"redis\"; it takes none\n");
}

int main(void)
{
    static char *nothing[] = {NULL};
    environ = nothing; /* the settings of whoever runs the test are not the test's */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_configuration_is_printed_and_ends_with_0),
        cmocka_unit_test(a_bad_configuration_is_one_line_on_standard_error_and_2),
        cmocka_unit_test(the_environment_is_checked_too),
        cmocka_unit_test(what_the_broker_says_about_the_url_counts),
        cmocka_unit_test(the_memory_broker_needs_no_good_url),
        cmocka_unit_test(help_goes_to_standard_output_and_ends_with_0),
        cmocka_unit_test(the_reference_is_the_page_of_the_table),
        cmocka_unit_test(the_reference_takes_no_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
