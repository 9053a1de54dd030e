#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hub/frame.h"

#include <pthread.h>
#include <string.h>

static void a_frame_keeps_a_copy_of_its_bytes(void **state)
{
    char text[] = "data: x\0y\n\n";
    struct frame *f = frame_create(span_make(text, 11), 17);
    memset(text, 'z', sizeof(text));
    assert_int_equal(f->len, 11);
    assert_int_equal(f->born_us, 17);
    assert_memory_equal(f->bytes, "data: x\0y\n\n", 11);
    frame_unref(f);
}

static void a_frame_may_be_empty(void **state)
{
    struct frame *f = frame_create(span_make(NULL, 0), 0);
    assert_int_equal(f->len, 0);
    frame_unref(f);
}

/* That the last reference frees it is for AddressSanitizer to see: a leak or a double free. */
static void a_frame_lives_until_its_last_reference_is_given_back(void **state)
{
    struct frame *f = frame_create(span_of("abc"), 0);
    assert_ptr_equal(frame_ref(f), f);
    frame_ref(f);
    assert_int_equal(atomic_load(&f->refs), 3);
    frame_unref(f);
    frame_unref(f);
    assert_int_equal(atomic_load(&f->refs), 1);
    assert_memory_equal(f->bytes, "abc", 3);
    frame_unref(f);
}

static void giving_back_nothing_does_nothing(void **state)
{
    frame_unref(NULL);
}

enum { HOLDERS = 4, TURNS = 5000 };

static void *hold_and_drop(void *arg)
{
    struct frame *f = arg;
    for (int i = 0; i < TURNS; i++)
        frame_unref(frame_ref(f));
    frame_unref(f);
    return NULL;
}

static void references_may_be_dropped_on_any_thread(void **state)
{
    pthread_t threads[HOLDERS];
    struct frame *f = frame_create(span_of("shared"), 0);
    for (int i = 0; i < HOLDERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hold_and_drop, frame_ref(f)), 0);
    for (int i = 0; i < HOLDERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&f->refs), 1);
    frame_unref(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_keeps_a_copy_of_its_bytes),
        cmocka_unit_test(a_frame_may_be_empty),
        cmocka_unit_test(a_frame_lives_until_its_last_reference_is_given_back),
        cmocka_unit_test(giving_back_nothing_does_nothing),
        cmocka_unit_test(references_may_be_dropped_on_any_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
