#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bus/tracked.h"

#include <stdio.h>
#include <string.h>

static void add(struct tracked *t, const char *key, uint64_t mark, bool later)
{
    tracked_add(t, span_of(key), mark, later);
}

/* The keys that are there, oldest first, by comma. */
static void assert_keys(struct tracked *t, const char *want)
{
    char got[256] = "";
    LIST_FOREACH (n, &t->keys) {
        const struct tracked_key *k = LIST_ENTRY(n, struct tracked_key, node);
        size_t used = strlen(got);
        snprintf(got + used, sizeof(got) - used, "%s%.*s", used ? "," : "", (int)k->len, k->name);
    }
    assert_string_equal(got, want);
    assert_int_equal(map_size(t->by_name),
                     list_empty(&t->keys) ? 0 : 1 + (strchr(got, ',') != NULL));
}

static void a_key_that_comes_again_stands_for_its_last_change_or_its_first(void **state)
{
    struct tracked t;
    tracked_init(&t);
    add(&t, "a", 1, true);
    add(&t, "b", 1, true);
    add(&t, "a", 2, true);
    assert_keys(&t, "b,a");
    tracked_forget(&t, 1);
    assert_keys(&t, "a");
    add(&t, "a", 3, false);
    assert_int_equal(tracked_oldest(&t, 9), 2);
    tracked_forget(&t, 2);
    assert_keys(&t, "");
    assert_int_equal(t.bytes, 0);
    assert_int_equal(tracked_oldest(&t, 9), 9);
    tracked_fini(&t);
}

static void a_doubt_takes_the_keys_in_and_is_forgotten_as_they_are(void **state)
{
    struct tracked t;
    tracked_init(&t);
    add(&t, "a", 1, true);
    tracked_doubt(&t, "why", 4, true);
    assert_keys(&t, "");
    tracked_forget(&t, 3);
    assert_string_equal(t.doubt, "why");
    tracked_forget(&t, 4);
    assert_null(t.doubt);
    add(&t, "a", 5, false);
    tracked_doubt(&t, "why", 7, false); /* the recorder must not claim 5 to be announced */
    assert_int_equal(tracked_oldest(&t, 9), 5);
    add(&t, "b", 8, false);
    assert_string_equal(tracked_take_doubt(&t), "why");
    assert_keys(&t, "");
    tracked_fini(&t);
}

static void too_many_keys_become_a_doubt(void **state)
{
    struct tracked t;
    char name[32];
    tracked_init(&t);
    for (unsigned i = 0; i < TRACKED_KEYS; i++) {
        snprintf(name, sizeof(name), "%u", i);
        add(&t, name, 1, true);
    }
    assert_null(t.doubt);
    add(&t, "0", 1, true);
    assert_null(t.doubt);
    add(&t, "one more", 2, true);
    assert_string_equal(t.doubt, "overflow");
    assert_keys(&t, "");
    assert_int_equal(t.doubt_mark, 2);
    tracked_fini(&t);
}

static void too_long_keys_become_a_doubt(void **state)
{
    static char name[1024];
    struct tracked t;
    memset(name, 'x', sizeof(name));
    tracked_init(&t);
    for (unsigned i = 0; i < TRACKED_BYTES / sizeof(name); i++) {
        snprintf(name, 8, "%07u", i);
        tracked_add(&t, span_make(name, sizeof(name)), 1, true);
    }
    assert_null(t.doubt);
    add(&t, "y", 1, true);
    assert_string_equal(t.doubt, "overflow");
    tracked_fini(&t);
}

static void a_batch_that_was_not_announced_comes_first_again(void **state)
{
    struct tracked t;
    struct list batch;
    tracked_init(&t);
    list_init(&batch);
    add(&t, "a", 1, false);
    add(&t, "b", 1, false);
    add(&t, "c", 1, false);
    assert_int_equal(tracked_take(&t, &batch, 2, 100), 2);
    assert_keys(&t, "c");
    add(&t, "b", 2, false); /* once more, while it is under way */
    tracked_forget(&t, 1);
    assert_keys(&t, "b");
    tracked_put_back(&t, &batch, 1);
    assert_keys(&t, "a,b");
    assert_int_equal(tracked_oldest(&t, 9), 1);
    assert_int_equal(tracked_take(&t, &batch, 9, 1), 1);
    tracked_free_batch(&batch);
    assert_keys(&t, "b");
    tracked_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_that_comes_again_stands_for_its_last_change_or_its_first),
        cmocka_unit_test(a_doubt_takes_the_keys_in_and_is_forgotten_as_they_are),
        cmocka_unit_test(too_many_keys_become_a_doubt),
        cmocka_unit_test(too_long_keys_become_a_doubt),
        cmocka_unit_test(a_batch_that_was_not_announced_comes_first_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
