#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"

static void spans_are_equal_when_their_bytes_are(void **state)
{
    assert_true(span_eq(span_make(NULL, 0), span_of("")));
    assert_true(span_eq(span_make("a\0b", 3), span_make("a\0b", 3)));
    assert_false(span_eq(span_make("a\0b", 3), span_make("a\0c", 3)));
    assert_false(span_is(span_of("ab"), "a"));
    assert_false(span_is(span_of("a"), "ab"));
    assert_true(span_is(span_of(NULL), ""));
}

static void a_span_starts_with_a_prefix_that_is_no_longer_than_it(void **state)
{
    assert_true(span_starts(span_of("sluice:x"), "sluice:"));
    assert_false(span_starts(span_of("slu"), "sluice:"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_are_equal_when_their_bytes_are),
        cmocka_unit_test(a_span_starts_with_a_prefix_that_is_no_longer_than_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
