#include "proto/json_path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_found(const char *json, const char *path, enum json_kind kind, const char *want)
{
    struct buf value = {0};
    buf_str(&value, "before");
    assert_int_equal(json_path_find(span_of(json), span_of(path), &value), kind);
    assert_string_equal(buf_cstr(&value), want);
    buf_free(&value);
}

static void a_value_is_found_through_members_and_indexes(void **state)
{
    static const char json[] = "{\"type\":\"up\",\"data\":{\"items\":[{\"sku\":\"a\"},{\"sku\":"
                               "\"b\"}],\"id\":7}}";
    assert_found(json, "type", JSON_STRING, "up");
    assert_found(json, "data.id", JSON_NUMBER, "7");
    assert_found(json, "data.items.1.sku", JSON_STRING, "b");
    assert_found("[[1,2],[3]]", "0.1", JSON_NUMBER, "2");
}

static void every_kind_of_value_is_found_as_it_was_written(void **state)
{
    static const char json[] = "{\"s\":\"\\u00fc\\n\",\"n\":-1.50e3,\"t\":true,\"z\":null,"
                               "\"o\":{ \"a\" : 1 },\"l\":[ ],\"e\":\"\"}";
    assert_found(json, "s", JSON_STRING, "ü\n");
    assert_found(json, "n", JSON_NUMBER, "-1.50e3");
    assert_found(json, "t", JSON_LITERAL, "true");
    assert_found(json, "z", JSON_NULL, "null");
    assert_found(json, "o", JSON_OBJECT, "{\"a\":1}");
    assert_found(json, "l", JSON_ARRAY, "[]");
    assert_found(json, "e", JSON_STRING, "");
}

static void what_is_not_there_is_not_found(void **state)
{
    static const char json[] = "{\"a\":{\"b\":[1]},\"s\":\"x\"}";
    assert_found(json, "c", JSON_BAD, "");
    assert_found(json, "a.c", JSON_BAD, "");
    assert_found(json, "a.b.1", JSON_BAD, "");
    assert_found(json, "a.b.x", JSON_BAD, "");
    assert_found(json, "s.length", JSON_BAD, "");
    assert_found("7", "a", JSON_BAD, "");
}

static void an_index_is_written_in_one_way(void **state)
{
    assert_found("[1,2]", "01", JSON_BAD, "");
    assert_found("[1,2]", "-1", JSON_BAD, "");
    assert_found("[1,2]", "18446744073709551616", JSON_BAD, "");
    assert_found("{\"0\":1}", "0", JSON_NUMBER, "1");
    assert_found("{\"01\":1}", "01", JSON_NUMBER, "1");
}

static void of_two_members_of_one_name_the_last_counts(void **state)
{
    assert_found("{\"a\":1,\"a\":2}", "a", JSON_NUMBER, "2");
    assert_found("{\"a\":{\"b\":1},\"a\":{\"c\":2}}", "a.b", JSON_BAD, "");
    assert_found("{\"a\":{\"b\":1,\"b\":\"x\"}}", "a.b", JSON_STRING, "x");
}

static void nothing_is_found_in_what_is_no_json(void **state)
{
    assert_found("", "a", JSON_BAD, "");
    assert_found("{\"a\":1", "a", JSON_BAD, "");
    assert_found("{\"a\":1,}", "a", JSON_BAD, "");
    assert_found("[1,", "0", JSON_BAD, "");
}

static void assert_wrong(const char *path, const char *want)
{
    assert_string_equal(json_path_error(span_of(path)), want);
}

static void a_path_is_names_with_dots_between_them(void **state)
{
    char deep[65], wide[202];
    assert_null(json_path_error(span_of("a")));
    assert_null(json_path_error(span_of("a.0.b-c d.ü")));
    assert_wrong("", "is empty");
    assert_wrong(".", "has a dot with no name beside it");
    assert_wrong("a.", "has a dot with no name beside it");
    assert_wrong(".a", "has a dot with no name beside it");
    assert_wrong("a..b", "has a dot with no name beside it");
    assert_wrong("\xff", "is not valid UTF-8");
    for (size_t i = 0; i < sizeof deep; i++)
        deep[i] = i % 2 ? '.' : 'a';
    assert_null(json_path_error(span_make(deep, 63)));
    assert_string_equal(json_path_error(span_make(deep, 65)), "is deeper than 32 names");
    memset(wide, 'a', sizeof wide);
    assert_null(json_path_error(span_make(wide, 200)));
    assert_string_equal(json_path_error(span_make(wide, 201)), "is longer than 200 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_is_found_through_members_and_indexes),
        cmocka_unit_test(every_kind_of_value_is_found_as_it_was_written),
        cmocka_unit_test(what_is_not_there_is_not_found),
        cmocka_unit_test(an_index_is_written_in_one_way),
        cmocka_unit_test(of_two_members_of_one_name_the_last_counts),
        cmocka_unit_test(nothing_is_found_in_what_is_no_json),
        cmocka_unit_test(a_path_is_names_with_dots_between_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
