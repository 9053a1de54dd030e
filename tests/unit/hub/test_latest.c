/* The newest message of each channel. */
#include "hub/latest.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int put(struct latest **l, const char *text, uint64_t channel, uint32_t most)
{
    struct frame *f = frame_create(span_of(text), 1);
    int r = latest_put(l, f, channel, most);
    frame_unref(f);
    return r;
}

static void assert_takes(struct latest **l, const char *text)
{
    struct frame *f = latest_take(l);
    assert_int_equal(f->len, strlen(text));
    assert_memory_equal(f->bytes, text, f->len);
    frame_unref(f);
}

static void each_channel_has_its_newest_message_in_the_order_in_which_they_came(void **state)
{
    struct latest *l = NULL;
    assert_int_equal(put(&l, "a1", 1, 3), 0);
    assert_int_equal(put(&l, "b1", 2, 3), 0);
    assert_int_equal(put(&l, "c1", 3, 3), 0);
    assert_int_equal(put(&l, "a2", 1, 3), 1);
    assert_int_equal(put(&l, "b2", 2, 3), 1);
    assert_int_equal(put(&l, "b3", 2, 3), 1);
    assert_takes(&l, "c1");
    assert_takes(&l, "a2");
    assert_takes(&l, "b3");
    assert_null(l);
}

static void one_channel_more_than_it_may_hold_is_refused(void **state)
{
    struct latest *l = NULL;
    assert_int_equal(put(&l, "x", 1, 0), ERR_FULL);
    assert_null(l);
    put(&l, "a", 1, 2);
    put(&l, "b", 2, 2);
    assert_int_equal(put(&l, "c", 3, 2), ERR_FULL);
    assert_int_equal(put(&l, "a2", 1, 2), 1);
    assert_takes(&l, "b");
    assert_takes(&l, "a2");
}

static void what_was_never_taken_is_given_back(void **state)
{
    struct latest *l = NULL;
    put(&l, "a", 1, 9);
    put(&l, "b", 2, 9);
    latest_destroy(&l);
    assert_null(l);
    latest_destroy(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_channel_has_its_newest_message_in_the_order_in_which_they_came),
        cmocka_unit_test(one_channel_more_than_it_may_hold_is_refused),
        cmocka_unit_test(what_was_never_taken_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
