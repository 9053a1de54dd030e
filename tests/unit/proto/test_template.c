#include "proto/template.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The parts, each behind a bar, fields with a $. */
static void assert_parts(const char *text, const char *want)
{
    struct buf out = {0};
    struct template_part part;
    struct span rest = span_of(text);
    assert_null(template_error(rest));
    while (template_next(&rest, &part)) {
        buf_str(&out, part.field ? "|$" : "|");
        buf_span(&out, part.text);
    }
    assert_string_equal(buf_cstr(&out), want);
    buf_free(&out);
}

static void assert_wrong(const char *text, const char *want)
{
    assert_string_equal(template_error(span_of(text)), want);
}

static void a_template_is_text_with_fields_in_braces(void **state)
{
    assert_parts("products", "|products");
    assert_parts("product:{data.id}", "|product:|$data.id");
    assert_parts("{a}{b}:{c.0}!", "|$a|$b|:|$c.0|!");
}

static void braces_that_are_doubled_stand_for_themselves(void **state)
{
    assert_parts("{{user}}:x", "|{|user|}|:x");
    assert_parts("{{{id}}}", "|{|$id|}");
}

static void a_brace_without_its_other_is_refused(void **state)
{
    assert_wrong("a{b", "has a { that is not closed; {{ is the brace itself");
    assert_wrong("a}b", "has a } that closes nothing; }} is the brace itself");
    assert_wrong("{a{b}", "has a { within a field");
    assert_wrong("{", "has a { that is not closed; {{ is the brace itself");
}

static void a_field_is_a_path(void **state)
{
    assert_wrong("a:{}", "has a field that is no path such as data.id");
    assert_wrong("a:{b..c}", "has a field that is no path such as data.id");
}

static void a_template_is_as_short_and_clean_as_a_name(void **state)
{
    char text[1026];
    memset(text, 'x', sizeof text);
    assert_wrong("", "is empty");
    assert_wrong("a\nb", "has a control character");
    assert_null(template_error(span_make(text, 1024)));
    assert_string_equal(template_error(span_make(text, 1025)), "is longer than 1024 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_template_is_text_with_fields_in_braces),
        cmocka_unit_test(braces_that_are_doubled_stand_for_themselves),
        cmocka_unit_test(a_brace_without_its_other_is_refused),
        cmocka_unit_test(a_field_is_a_path),
        cmocka_unit_test(a_template_is_as_short_and_clean_as_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
