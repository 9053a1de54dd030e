#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"

#include <string.h>

static void every_error_has_a_name_of_its_own(void **state)
{
    for (int a = ERR_SYS; a <= ERR_OK; a++) {
        assert_string_not_equal(err_name(a), "unknown error");
        assert_true(strlen(err_name(a)) > 0);
        for (int b = ERR_SYS; b < a; b++)
            assert_string_not_equal(err_name(a), err_name(b));
    }
}

static void a_number_that_is_no_error_has_a_name_too(void **state)
{
    assert_string_equal(err_name(1), "unknown error");
    assert_string_equal(err_name(ERR_SYS - 1), "unknown error");
    assert_string_equal(err_name(INT32_MAX), "unknown error");
    assert_string_equal(err_name(INT32_MIN), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_a_name_of_its_own),
        cmocka_unit_test(a_number_that_is_no_error_has_a_name_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
