#include "cli/args.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct command {
    bool json;
    const char *url;
    struct arg_list patterns, words;
    uint64_t count;
    struct buf why;
};

static int parse(struct command *c, int argc, char **argv)
{
    const struct arg table[] = {
        {"json", NULL, "one object a line", ARG_SWITCH, &c->json},
        {"url", "U", "the gateway", ARG_TEXT, &c->url},
        {"pattern", "P", "a glob", ARG_LIST, &c->patterns},
        {"count", "N", "how many", ARG_COUNT, &c->count},
    };
    *c = (struct command){.url = "default"};
    return args_parse(table, 4, argc, argv, &c->words, &c->why);
}

static void done(struct command *c)
{
    args_list_free(&c->words);
    args_list_free(&c->patterns);
    buf_free(&c->why);
}

#define PARSE(c, ...)                                                                              \
    parse(c, (int)(sizeof((char *[]){"tail", __VA_ARGS__}) / sizeof(char *)),                      \
          (char *[]){"tail", __VA_ARGS__})

static void assert_refused(struct command *c, int err, const char *why)
{
    assert_int_equal(err, ERR_INVALID);
    assert_string_equal(buf_cstr(&c->why), why);
    done(c);
}

static void a_value_stands_behind_the_flag_or_its_equals_sign(void **state)
{
    struct command c;
    assert_int_equal(PARSE(&c, "--url", "http://a", "--count=7"), 0);
    assert_string_equal(c.url, "http://a");
    assert_int_equal(c.count, 7);
    done(&c);
    assert_int_equal(PARSE(&c, "--url="), 0);
    assert_string_equal(c.url, "");
    done(&c);
}

static void what_is_not_given_keeps_its_default(void **state)
{
    struct command c;
    assert_int_equal(PARSE(&c, "orders"), 0);
    assert_string_equal(c.url, "default");
    assert_false(c.json);
    assert_int_equal(c.count, 0);
    done(&c);
}

static void words_and_flags_may_be_mixed_and_lists_repeat(void **state)
{
    struct command c;
    assert_int_equal(PARSE(&c, "a", "--pattern", "x.*", "b", "--json", "--pattern=y", "-"), 0);
    assert_int_equal(c.words.count, 3);
    assert_string_equal(c.words.items[1], "b");
    assert_string_equal(c.words.items[2], "-");
    assert_int_equal(c.patterns.count, 2);
    assert_string_equal(c.patterns.items[1], "y");
    assert_true(c.json);
    done(&c);
}

static void behind_two_dashes_everything_is_a_word(void **state)
{
    struct command c;
    assert_int_equal(PARSE(&c, "--", "--json", "--", "--help"), 0);
    assert_int_equal(c.words.count, 3);
    assert_string_equal(c.words.items[0], "--json");
    assert_false(c.json);
    done(&c);
}

static void a_value_may_look_like_a_flag(void **state)
{
    struct command c;
    assert_int_equal(PARSE(&c, "--url", "--json"), 0);
    assert_string_equal(c.url, "--json");
    assert_false(c.json);
    done(&c);
}

static void help_is_told_apart_from_errors(void **state)
{
    struct command c;
    assert_int_equal(PARSE(&c, "--json", "--help"), ERR_NOT_FOUND);
    done(&c);
    assert_int_equal(PARSE(&c, "-h"), ERR_NOT_FOUND);
    done(&c);
}

static void what_is_wrong_is_told_with_the_flag(void **state)
{
    struct command c;
    assert_refused(&c, PARSE(&c, "--colour=red"), "--colour: no such flag");
    assert_refused(&c, PARSE(&c, "-x"), "-x: no such flag");
    assert_refused(&c, PARSE(&c, "--url"), "--url: expected a value");
    assert_refused(&c, PARSE(&c, "--json=1"), "--json: takes no value");
}

static void a_count_is_a_whole_number_from_one(void **state)
{
    static char *const wrong[] = {"0", "-1", "", "x", "1x", " 1", "99999999999999999999"};
    struct command c;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(PARSE(&c, "--count", wrong[i]), ERR_INVALID);
        assert_non_null(strstr(buf_cstr(&c.why), "expected a whole number from 1"));
        done(&c);
    }
}

static void help_has_a_line_for_each_flag(void **state)
{
    const struct arg table[] = {{"json", NULL, "one object a line", ARG_SWITCH, NULL},
                                {"url", "U", "the gateway", ARG_TEXT, NULL}};
    struct buf out = {0};
    args_help(table, 2, &out);
    assert_string_equal(buf_cstr(&out), "  --json           one object a line\n"
                                        "  --url U          the gateway\n"
                                        "  --help           print this\n");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_stands_behind_the_flag_or_its_equals_sign),
        cmocka_unit_test(what_is_not_given_keeps_its_default),
        cmocka_unit_test(words_and_flags_may_be_mixed_and_lists_repeat),
        cmocka_unit_test(behind_two_dashes_everything_is_a_word),
        cmocka_unit_test(a_value_may_look_like_a_flag),
        cmocka_unit_test(help_is_told_apart_from_errors),
        cmocka_unit_test(what_is_wrong_is_told_with_the_flag),
        cmocka_unit_test(a_count_is_a_whole_number_from_one),
        cmocka_unit_test(help_has_a_line_for_each_flag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
