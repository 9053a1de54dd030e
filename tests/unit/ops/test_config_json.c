#include "config_case.h"

#include "base/mem.h"
#include "ops/config_json.h"

#include <string.h>

static struct json_node *read_good(struct span text)
{
    struct json_node *root = NULL;
    struct buf why = {0};
    int err = json_tree_read(text, &root, &why);
    if (err != 0)
        fail_msg("refused: %s", buf_cstr(&why));
    buf_free(&why);
    return root;
}

static void assert_bad_bytes(struct span text, const char *want)
{
    struct json_node *root = NULL;
    struct buf why = {0};
    int err = json_tree_read(text, &root, &why);
    json_tree_destroy(&root);
    assert_string_equal(buf_cstr(&why), want);
    assert_int_equal(err, ERR_INVALID);
    buf_free(&why);
}

static void assert_bad(const char *text, const char *want)
{
    assert_bad_bytes(span_of(text), want);
}

static void a_tree_keeps_order_names_texts_and_places(void **state)
{
    struct json_node *root = read_good(span_of(" {\"a\": [1, \"x\\n\", true],\n \"b\":{}}"));
    const struct json_node *a = root->child, *b = a->next;
    assert_int_equal(root->kind, JSON_OBJECT);
    assert_int_equal(root->at, 1);
    assert_string_equal(a->name, "a");
    assert_int_equal(a->at, 2);
    assert_int_equal(a->child->kind, JSON_NUMBER);
    assert_string_equal(a->child->text, "1");
    assert_int_equal(a->child->next->at, 11);
    assert_string_equal(a->child->next->text, "x\n");
    assert_string_equal(a->child->next->next->text, "true");
    assert_null(a->child->next->next->next);
    assert_int_equal(b->kind, JSON_OBJECT);
    assert_int_equal(b->at, 26);
    assert_null(b->child);
    json_tree_destroy(&root);
    assert_null(root);
}

static void empty_strings_are_empty_and_not_absent(void **state)
{
    struct json_node *root = read_good(span_of("{\"\":\"\"}"));
    assert_string_equal(root->child->name, "");
    assert_string_equal(root->child->text, "");
    json_tree_destroy(&root);
}

static void a_second_member_of_one_name_is_an_error(void **state)
{
    assert_bad("{\"a\":1,\n\"b\":2, \"a\":3}",
               "line 2, column 8: the object has a member \"a\" already");
    assert_bad("{\"a\":1,\"\\u0061\":3}",
               "line 1, column 8: the object has a member \"a\" already");
}

static void a_comma_at_the_end_is_named(void **state)
{
    assert_bad("{\"a\":1,}", "line 1, column 7: a comma with nothing behind it");
    assert_bad("[1,\n 2 ,\n]", "line 2, column 4: a comma with nothing behind it");
}

static void bytes_behind_the_end_are_an_error(void **state)
{
    assert_bad("{}\n{}", "line 2, column 1: unexpected character \"{\"");
    assert_bad("1 x", "line 1, column 3: unexpected character \"x\"");
}

static void what_is_no_json_is_an_error_at_its_place(void **state)
{
    assert_bad("", "line 1, column 1: unexpected end");
    assert_bad_bytes(span_make(NULL, 0), "line 1, column 1: unexpected end");
    assert_bad("{\"a\"", "line 1, column 5: unexpected end");
    assert_bad("{a:1}", "line 1, column 2: unexpected character \"a\"");
    assert_bad("{\"a\":1 \"b\":2}", "line 1, column 8: unexpected character \"\"\"");
    assert_bad("[tru]", "line 1, column 2: unexpected character \"t\"");
    assert_bad("[\"\\x\"]", "line 1, column 3: bad escape in a string");
    assert_bad("[\"a\nb\"]", "line 1, column 4: control character in a string");
    assert_bad("\xef\xbb\xbf{}", "line 1, column 1: unexpected character \"\\xef\"");
    assert_bad("[\"\xff\"]", "line 1, column 2: ill-formed UTF-8 in the string");
    assert_bad("]", "line 1, column 1: unexpected character \"]\"");
    assert_bad(",]", "line 1, column 1: unexpected character \",\"");
}

static void a_nul_in_a_string_is_an_error(void **state)
{
    assert_bad("[\"a\\u0000b\"]", "line 1, column 2: a NUL in a string");
    assert_bad("{\"a\\u0000\":1}", "line 1, column 2: a NUL in a string");
    assert_bad_bytes(span_make("[\0]", 3), "line 1, column 2: unexpected character \"\\x00\"");
}

static void a_column_counts_characters_and_not_bytes(void **state)
{
    assert_bad("[\"\xc3\xa4\xe2\x82\xac\", x]", "line 1, column 8: unexpected character \"x\"");
}

static struct span repeated(struct buf *out, const char *unit, size_t times)
{
    buf_reset(out);
    for (size_t i = 0; i < times; i++)
        buf_str(out, unit);
    return buf_view(out);
}

static void nesting_is_bounded(void **state)
{
    struct buf text = {0};
    assert_bad_bytes(repeated(&text, "[", 100000), "line 1, column 33: nested too deeply");
    buf_free(&text);
}

static void entries_are_bounded(void **state)
{
    struct buf text = {0}, inner = {0};
    buf_byte(&text, '[');
    buf_span(&text, repeated(&inner, "1,", 999));
    buf_str(&text, "1]");
    struct json_node *root = read_good(buf_view(&text));
    json_tree_destroy(&root);
    text.len--;
    buf_str(&text, ",1]");
    assert_bad_bytes(buf_view(&text), "line 1, column 2002: more than 1000 entries");
    buf_free(&text);
    buf_free(&inner);
}

static void members_are_bounded_like_elements(void **state)
{
    struct buf text = {0};
    buf_byte(&text, '{');
    for (int i = 1000; i < 2001; i++)
        buf_printf(&text, "\"%d\":1,", i);
    assert_bad_bytes(buf_view(&text), "line 1, column 9002: more than 1000 entries");
    buf_free(&text);
}

static void every_kind_has_a_name_for_people(void **state)
{
    assert_string_equal(json_kind_name(JSON_OBJECT), "an object");
    assert_string_equal(json_kind_name(JSON_NULL), "null");
    assert_string_equal(json_kind_name(JSON_LITERAL), "true or false");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tree_keeps_order_names_texts_and_places),
        cmocka_unit_test(empty_strings_are_empty_and_not_absent),
        cmocka_unit_test(a_second_member_of_one_name_is_an_error),
        cmocka_unit_test(a_comma_at_the_end_is_named),
        cmocka_unit_test(bytes_behind_the_end_are_an_error),
        cmocka_unit_test(what_is_no_json_is_an_error_at_its_place),
        cmocka_unit_test(a_nul_in_a_string_is_an_error),
        cmocka_unit_test(a_column_counts_characters_and_not_bytes),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(entries_are_bounded),
        cmocka_unit_test(members_are_bounded_like_elements),
        cmocka_unit_test(every_kind_has_a_name_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
