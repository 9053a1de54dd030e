#include "stderr_capture.h"

#include "base/cast.h"

enum { THING = 0x7417d00d, OTHER = 0x07e3 };

struct thing {
    uint32_t magic;
    int value;
};

static int value_behind(void *ctx)
{
    struct thing *thing = CAST_CHECKED(struct thing, ctx, THING);
    return thing->value;
}

static void a_pointer_of_the_right_kind_comes_back_as_its_type(void **state)
{
    struct thing thing = {.magic = THING, .value = 5};
    assert_int_equal(value_behind(&thing), 5);
}

static void cast_another(void)
{
    struct thing other = {.magic = OTHER};
    value_behind(&other);
}

static void cast_null(void)
{
    value_behind(NULL);
}

static void another_kind_or_null_ends_the_program_and_says_where(void **state)
{
    char text[4096];
    assert_true(aborts(cast_another, text, sizeof(text)));
    assert_non_null(strstr(text, "struct thing"));
    assert_non_null(strstr(text, "test_cast.c:"));
    assert_true(aborts(cast_null, text, sizeof(text)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pointer_of_the_right_kind_comes_back_as_its_type),
        cmocka_unit_test(another_kind_or_null_ends_the_program_and_says_where),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
