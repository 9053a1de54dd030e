#include "base/rising.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const uint64_t ids[] = {3, 5, 5, 9, UINT64_MAX};

static uint64_t id_at(const void *of, size_t i)
{
    return ((const uint64_t *)of)[i];
}

/* As one would count them. */
static size_t counted(size_t count, uint64_t most)
{
    size_t n = 0;
    while (n < count && ids[n] <= most)
        n++;
    return n;
}

static void it_counts_what_stands_up_to_a_number(void **state)
{
    for (size_t count = 0; count <= sizeof(ids) / sizeof(ids[0]); count++)
        for (uint64_t most = 0; most < 12; most++)
            assert_int_equal(rising_up_to(count, id_at, ids, most), counted(count, most));
    assert_int_equal(rising_up_to(5, id_at, ids, UINT64_MAX), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_counts_what_stands_up_to_a_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
