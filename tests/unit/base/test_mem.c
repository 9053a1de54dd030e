#include "stderr_capture.h"

#include "base/mem.h"

/* Without this AddressSanitizer ends the program before mem can. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void *volatile kept; /* what is never read may be left out by the compiler */

static void take_half_of_everything(void)
{
    kept = mem_alloc(SIZE_MAX / 2);
}

static void take_zeroed_half_of_everything(void)
{
    kept = mem_zalloc(SIZE_MAX / 2);
}

static void grow_to_half_of_everything(void)
{
    kept = mem_realloc(mem_alloc(1), SIZE_MAX / 2);
}

static void dup_everything(void)
{
    kept = mem_dup("x", SIZE_MAX);
}

static void out_of_memory_ends_the_program_with_a_message(void **state)
{
    void (*const runs[])(void) = {take_half_of_everything, take_zeroed_half_of_everything,
                                  grow_to_half_of_everything, dup_everything};
    char text[4096];
    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
        assert_true(aborts(runs[i], text, sizeof(text)));
        assert_non_null(strstr(text, "out of memory"));
    }
}

static void no_bytes_are_still_memory_of_ones_own(void **state)
{
    void *a = mem_alloc(0), *b = mem_zalloc(0), *c = mem_realloc(NULL, 0);
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    assert_ptr_not_equal(a, b);
    mem_free(a);
    mem_free(b);
    mem_free(c);
    mem_free(NULL);
}

static void zalloc_gives_zeroes(void **state)
{
    char *bytes = mem_zalloc(1000);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(bytes[i], 0);
    mem_free(bytes);
}

static void a_copy_holds_every_byte_and_a_nul_behind(void **state)
{
    char *copy = mem_dup("a\0b", 3), *empty = mem_dup(NULL, 0), *text = mem_strdup("text");
    assert_memory_equal(copy, "a\0b", 4);
    assert_string_equal(empty, "");
    assert_string_equal(text, "text");
    mem_free(copy);
    mem_free(empty);
    mem_free(text);
}

static void realloc_keeps_what_was_there(void **state)
{
    char *bytes = mem_strdup("kept");
    bytes = mem_realloc(bytes, 100000);
    assert_string_equal(bytes, "kept");
    mem_free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(out_of_memory_ends_the_program_with_a_message),
        cmocka_unit_test(no_bytes_are_still_memory_of_ones_own),
        cmocka_unit_test(zalloc_gives_zeroes),
        cmocka_unit_test(a_copy_holds_every_byte_and_a_nul_behind),
        cmocka_unit_test(realloc_keeps_what_was_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
