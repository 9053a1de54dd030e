#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/functions.h"

#include <stdio.h>

static void the_library_names_itself_in_the_line_that_scripts_go_without(void **state)
{
    static const char first[] = "#!lua name=sluice\n";
    assert_memory_equal(sluice_functions, first, sizeof(first) - 1);
    assert_ptr_equal(sluice_script(), sluice_functions + sizeof(first) - 1);
    assert_memory_equal(sluice_script(), "--[[\n", 5);
}

static void the_version_is_that_of_the_text(void **state)
{
    char line[64];
    (void)snprintf(line, sizeof(line), "\nlocal VERSION = %d\n", SLUICE_FUNCTIONS_VERSION);
    assert_non_null(strstr(sluice_functions, line));
}

static void the_text_is_whole(void **state)
{
    static const char last[] = "must name a function, such as sluice_publish'}\nend\n";
    size_t len = strlen(sluice_functions);
    assert_true(len > sizeof(last));
    assert_string_equal(sluice_functions + len - (sizeof(last) - 1), last);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_library_names_itself_in_the_line_that_scripts_go_without),
        cmocka_unit_test(the_version_is_that_of_the_text),
        cmocka_unit_test(the_text_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
