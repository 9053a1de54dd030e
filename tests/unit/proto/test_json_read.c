#include "proto/json_read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Reads a whole text as one value; the reader is returned for its error. */
static struct json_reader read_all(struct span text, struct buf *out)
{
    struct json_reader r;
    json_read_begin(&r, text);
    json_read_value(&r, out);
    json_read_end(&r);
    return r;
}

static void assert_compact(const char *text, const char *want)
{
    struct buf out = {0};
    struct json_reader r = read_all(span_of(text), &out);
    assert_null(r.error);
    assert_int_equal(r.depth, 0);
    assert_string_equal(buf_cstr(&out), want);
    buf_free(&out);
}

static void assert_refused(const char *text, const char *error, size_t at)
{
    struct json_reader r = read_all(span_of(text), NULL);
    assert_non_null(r.error);
    assert_string_equal(r.error, error);
    assert_int_equal(r.error_at, at);
}

static void assert_string(struct span text, struct span want)
{
    struct json_reader r;
    struct buf out = {0};
    json_read_begin(&r, text);
    json_read_string(&r, &out);
    assert_null(r.error);
    assert_true(span_eq(buf_view(&out), want));
    buf_free(&out);
}

static void white_space_between_tokens_goes_and_that_in_strings_stays(void **state)
{
    assert_compact(" { \"a b\" :\t[ 1 ,\r\n{ } , [ ] ] , \"c\" : \" \" } \n",
                   "{\"a b\":[1,{},[]],\"c\":\" \"}");
}

static void numbers_keep_their_digits(void **state)
{
    assert_compact(
        "[1.0,1e3,12345678901234567890,-0,-0.0,0.10,1E+05,123456789012345678901234567890,1e400]",
        "[1.0,1e3,12345678901234567890,-0,-0.0,0.10,1E+05,123456789012345678901234567890,1e400]");
}

static void members_keep_their_order_and_their_duplicates(void **state)
{
    assert_compact("{\"b\":1,\"a\":2,\"b\":3}", "{\"b\":1,\"a\":2,\"b\":3}");
}

static void strings_keep_their_escapes_when_copied(void **state)
{
    assert_compact("[\"\\u0041\\/\\ud800\\n\xc3\xa9\"]", "[\"\\u0041\\/\\ud800\\n\xc3\xa9\"]");
}

static void any_value_may_stand_alone(void **state)
{
    assert_compact(" null ", "null");
    assert_compact("true", "true");
    assert_compact("false", "false");
    assert_compact("-12.5e-3", "-12.5e-3");
    assert_compact("\"\"", "\"\"");
}

static void a_decoded_string_has_its_escapes_resolved(void **state)
{
    assert_string(span_of("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), span_of("\"\\/\b\f\n\r\t"));
    assert_string(span_of("\"a\\u0041\\u00e9\\u20AC\\ud83d\\ude00z\""),
                  span_of("aA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z"));
    assert_string(span_of("\"a\\u0000b\""), span_make("a\0b", 3));
}

static void an_unpaired_surrogate_becomes_the_replacement_character(void **state)
{
    assert_string(span_of("\"\\ud800\""), span_of("\xef\xbf\xbd"));
    assert_string(span_of("\"\\ud800x\""), span_of("\xef\xbf\xbdx"));
    assert_string(span_of("\"\\udc00\\ud800\""), span_of("\xef\xbf\xbd\xef\xbf\xbd"));
    assert_string(span_of("\"\\ud800\\u0041\""), span_of("\xef\xbf\xbd"
                                                         "A"));
    assert_string(span_of("\"\\ud83d\\ud83d\\ude00\""), span_of("\xef\xbf\xbd\xf0\x9f\x98\x80"));
}

static void members_and_elements_are_stepped_through(void **state)
{
    struct json_reader r;
    struct buf name = {0}, value = {0};
    json_read_begin(&r, span_of("{\"a\":[1,2],\"\\u0062\":{}}"));
    json_read_enter(&r);
    assert_true(json_read_member(&r, &name));
    assert_string_equal(buf_cstr(&name), "a");
    json_read_enter(&r);
    for (int i = 1; i <= 2; i++) {
        assert_true(json_read_element(&r));
        json_read_value(&r, &value);
    }
    assert_false(json_read_element(&r));
    assert_string_equal(buf_cstr(&value), "12");
    assert_true(json_read_member(&r, &name));
    assert_string_equal(buf_cstr(&name), "b");
    json_read_enter(&r);
    assert_false(json_read_member(&r, &name)); /* out of {} */
    assert_false(json_read_member(&r, &name)); /* out of the outer object */
    json_read_end(&r);
    assert_null(r.error);
    buf_free(&name);
    buf_free(&value);
}

static void peek_tells_the_kind(void **state)
{
    static const struct {
        const char *text;
        enum json_kind kind;
    } cases[] = {
        {" {}", JSON_OBJECT}, {"[", JSON_ARRAY},      {"\"", JSON_STRING},     {"-1", JSON_NUMBER},
        {"9", JSON_NUMBER},   {"true", JSON_LITERAL}, {"false", JSON_LITERAL}, {"null", JSON_NULL},
        {"", JSON_BAD},       {"+1", JSON_BAD},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json_reader r;
        json_read_begin(&r, span_of(cases[i].text));
        assert_int_equal(json_read_peek(&r), cases[i].kind);
        assert_null(r.error);
    }
}

static void what_is_no_json_is_refused_with_the_place(void **state)
{
    static const char unexpected[] = "unexpected character", end[] = "unexpected end";
    assert_refused("", end, 0);
    assert_refused("  ", end, 2);
    assert_refused("{'a':1}", unexpected, 1);
    assert_refused("{a:1}", unexpected, 1);
    assert_refused("{\"a\" 1}", unexpected, 5);
    assert_refused("{\"a\":}", unexpected, 5);
    assert_refused("{\"a\":1,}", unexpected, 7);
    assert_refused("[1,]", unexpected, 3);
    assert_refused("[,1]", unexpected, 1);
    assert_refused("[1 2]", unexpected, 3);
    assert_refused("[1", end, 2);
    assert_refused("[1}", unexpected, 2);
    assert_refused("{]", unexpected, 1);
    assert_refused("{} x", unexpected, 3);
    assert_refused("{}{}", unexpected, 2);
    assert_refused("[NaN]", unexpected, 1);
    assert_refused("[Infinity]", unexpected, 1);
    assert_refused("[-Infinity]", unexpected, 2);
    assert_refused("TRUE", unexpected, 0);
    assert_refused("tru", unexpected, 0);
    assert_refused("nulll", unexpected, 4);
    assert_refused("/*c*/1", unexpected, 0);
    assert_refused("\xef\xbb\xbf{}", unexpected, 0);
}

static void numbers_are_refused_as_the_grammar_has_it(void **state)
{
    assert_refused("01", "unexpected character", 1);
    assert_refused("00", "unexpected character", 1);
    assert_refused("-01", "unexpected character", 2);
    assert_refused("1.", "unexpected end", 2);
    assert_refused("[1.]", "unexpected character", 3);
    assert_refused(".5", "unexpected character", 0);
    assert_refused("+1", "unexpected character", 0);
    assert_refused("-", "unexpected end", 1);
    assert_refused("1e", "unexpected end", 2);
    assert_refused("1e+", "unexpected end", 3);
    assert_refused("1.0.0", "unexpected character", 3);
    assert_refused("0x10", "unexpected character", 1);
}

static void strings_are_refused_as_the_grammar_has_it(void **state)
{
    assert_refused("\"a", "unexpected end", 2);
    assert_refused("\"a\nb\"", "control character in a string", 2);
    assert_refused("\"\\x\"", "bad escape in a string", 1);
    assert_refused("\"\\", "bad escape in a string", 1);
    assert_refused("\"\\u12", "bad escape in a string", 1);
    assert_refused("\"\\u12G4\"", "bad escape in a string", 1);
    assert_refused("[\"\xff\"]", "ill-formed UTF-8 in the string", 1);
    assert_refused("[\"\xc0\x80\"]", "ill-formed UTF-8 in the string", 1);
    assert_refused("[\"\xed\xa0\x80\"]", "ill-formed UTF-8 in the string", 1);
    struct json_reader r = read_all(span_make("\"a\0b\"", 5), NULL);
    assert_string_equal(r.error, "control character in a string");
}

static void a_nul_behind_the_value_is_not_overlooked(void **state)
{
    struct json_reader r = read_all(span_make("{}\0", 3), NULL);
    assert_string_equal(r.error, "unexpected character");
    assert_int_equal(r.error_at, 2);
}

static void nesting_ends_at_the_limit(void **state)
{
    struct buf text = {0};
    for (int i = 0; i < JSON_READ_DEPTH; i++)
        buf_str(&text, i % 2 ? "{\"a\":" : "[");
    buf_byte(&text, '1');
    for (int i = JSON_READ_DEPTH; i-- > 0;)
        buf_byte(&text, i % 2 ? '}' : ']');
    assert_compact(buf_cstr(&text), buf_cstr(&text));
    buf_reset(&text);
    for (int i = 0; i <= JSON_READ_DEPTH; i++)
        buf_byte(&text, '[');
    assert_refused(buf_cstr(&text), "nested too deeply", JSON_READ_DEPTH);
    buf_free(&text);
}

static void the_first_error_stays(void **state)
{
    struct json_reader r;
    struct buf out = {0};
    json_read_begin(&r, span_of("[x]"));
    json_read_value(&r, NULL);
    assert_int_equal(r.error_at, 1);
    json_read_string(&r, &out);
    json_read_enter(&r);
    json_read_end(&r);
    assert_false(json_read_element(&r));
    assert_false(json_read_member(&r, &out));
    assert_int_equal(json_read_peek(&r), JSON_BAD);
    assert_int_equal(r.error_at, 1);
    assert_int_equal(out.len, 0);
    buf_free(&out);
}

static void another_kind_than_the_one_asked_for_is_an_error(void **state)
{
    struct json_reader r;
    struct buf out = {0};
    json_read_begin(&r, span_of("1"));
    json_read_string(&r, &out);
    assert_string_equal(r.error, "unexpected character");
    json_read_begin(&r, span_of("1"));
    json_read_enter(&r);
    assert_string_equal(r.error, "unexpected character");
    json_read_begin(&r, (struct span){0});
    json_read_enter(&r);
    assert_string_equal(r.error, "unexpected end");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(white_space_between_tokens_goes_and_that_in_strings_stays),
        cmocka_unit_test(numbers_keep_their_digits),
        cmocka_unit_test(members_keep_their_order_and_their_duplicates),
        cmocka_unit_test(strings_keep_their_escapes_when_copied),
        cmocka_unit_test(any_value_may_stand_alone),
        cmocka_unit_test(a_decoded_string_has_its_escapes_resolved),
        cmocka_unit_test(an_unpaired_surrogate_becomes_the_replacement_character),
        cmocka_unit_test(members_and_elements_are_stepped_through),
        cmocka_unit_test(peek_tells_the_kind),
        cmocka_unit_test(what_is_no_json_is_refused_with_the_place),
        cmocka_unit_test(numbers_are_refused_as_the_grammar_has_it),
        cmocka_unit_test(strings_are_refused_as_the_grammar_has_it),
        cmocka_unit_test(a_nul_behind_the_value_is_not_overlooked),
        cmocka_unit_test(nesting_ends_at_the_limit),
        cmocka_unit_test(the_first_error_stays),
        cmocka_unit_test(another_kind_than_the_one_asked_for_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
