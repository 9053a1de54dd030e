#include "config_case.h"

#include <string.h>

static void assert_distinct(void (*write_name)(struct buf *out, const struct setting *s),
                            const struct setting *(*find)(struct span name))
{
    for (size_t i = 0; i < config_table_size; i++) {
        struct buf name = {0};
        if (!setting_top(&config_table[i]))
            continue;
        write_name(&name, &config_table[i]);
        assert_ptr_equal(find(buf_view(&name)), &config_table[i]);
        buf_free(&name);
    }
}

static void every_path_flag_and_variable_leads_back_to_its_own_setting(void **state)
{
    for (size_t i = 0; i < config_table_size; i++)
        assert_ptr_equal(setting_find(span_of(config_table[i].path)), &config_table[i]);
    assert_distinct(setting_flag_name, setting_of_flag);
    assert_distinct(setting_variable_name, setting_of_variable);
}

static void a_setting_is_named_the_same_way_everywhere(void **state)
{
    struct buf out = {0};
    const struct setting *s = setting_find(span_of("limits.per_address"));
    setting_flag_name(&out, s);
    buf_byte(&out, ' ');
    setting_variable_name(&out, s);
    assert_string_equal(buf_cstr(&out), "--limits-per-address SLUICE_LIMITS_PER_ADDRESS");
    buf_free(&out);
}

static void unknown_names_lead_nowhere(void **state)
{
    assert_null(setting_find(span_of("limits")));
    assert_null(setting_find(span_of("")));
    assert_null(setting_of_flag(span_of("--keys-name")));
    assert_null(setting_of_flag(span_of("workers")));
    assert_null(setting_of_variable(span_of("SLUICE_workers")));
}

static void every_default_is_a_valid_value(void **state)
{
    struct config *config = load(NULL, WORDS(NULL), WORDS(NULL));
    for (size_t i = 0; i < config_table_size; i++) {
        const struct setting *s = &config_table[i];
        struct buf why = {0};
        if (!setting_top(s) || !s->fallback)
            continue;
        struct assignment a = {.setting = s,
                               .base = config,
                               .path = s->path,
                               .source = "default",
                               .where = "",
                               .config = config,
                               .why = &why};
        assert_int_equal(assign_text(&a, span_of(s->fallback)), 0);
        buf_free(&why);
    }
    config_destroy(&config);
}

static void every_setting_has_help_that_is_one_sentence_or_more(void **state)
{
    for (size_t i = 0; i < config_table_size; i++) {
        const char *help = config_table[i].help;
        assert_non_null(help);
        assert_true(strlen(help) > 10 && help[strlen(help) - 1] == '.');
        assert_null(strchr(help, '\n'));
    }
}

static void a_setting_inside_an_array_does_not_belong_to_the_top(void **state)
{
    assert_true(setting_top(setting_find(span_of("keys"))));
    assert_true(setting_top(setting_find(span_of("log.level"))));
    assert_false(setting_top(setting_find(span_of("keys[].name"))));
}

static void the_next_word_of_a_path_is_what_an_object_may_have_as_a_member(void **state)
{
    const struct setting *s = setting_find(span_of("namespaces[].history.seconds"));
    assert_true(span_is(setting_child(s, span_of("")), "namespaces"));
    assert_true(span_is(setting_child(s, span_of("namespaces[].")), "history"));
    assert_true(span_is(setting_child(s, span_of("namespaces[].history.")), "seconds"));
    assert_int_equal(setting_child(s, span_of("keys[].")).len, 0);
    assert_int_equal(setting_child(s, span_of("namespaces[].history.seconds")).len, 0);
    assert_true(setting_has_below(span_of("limits.")));
    assert_false(setting_has_below(span_of("limits.channels.")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_path_flag_and_variable_leads_back_to_its_own_setting),
        cmocka_unit_test(a_setting_is_named_the_same_way_everywhere),
        cmocka_unit_test(unknown_names_lead_nowhere),
        cmocka_unit_test(every_default_is_a_valid_value),
        cmocka_unit_test(every_setting_has_help_that_is_one_sentence_or_more),
        cmocka_unit_test(a_setting_inside_an_array_does_not_belong_to_the_top),
        cmocka_unit_test(the_next_word_of_a_path_is_what_an_object_may_have_as_a_member),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
