#include "stderr_capture.h"

#include "base/map.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MANY = 500000 };

struct entry {
    char name[32];
    bool in; /* what the map should say */
    bool seen;
};

static struct entry *make_entries(size_t count)
{
    struct entry *entries = calloc(count, sizeof(*entries));
    for (size_t i = 0; i < count; i++)
        snprintf(entries[i].name, sizeof(entries[i].name), "channel.%zu", i);
    return entries;
}

static void an_empty_map_has_nothing(void **state)
{
    struct map *map = map_create();
    size_t cursor = 0;
    assert_null(map_get(map, span_of("a")));
    assert_null(map_del(map, span_of("a")));
    assert_null(map_next(map, &cursor));
    assert_int_equal(map_size(map), 0);
    map_destroy(&map);
    assert_null(map);
    map_destroy(&map);
}

static void keys_are_bytes_and_may_hold_nul_or_be_empty(void **state)
{
    struct map *map = map_create();
    int a, b, c;
    map_put(map, span_make("x\0a", 3), &a);
    map_put(map, span_make("x\0b", 3), &b);
    map_put(map, span_make(NULL, 0), &c);
    assert_ptr_equal(map_get(map, span_make("x\0a", 3)), &a);
    assert_ptr_equal(map_get(map, span_make("x\0b", 3)), &b);
    assert_ptr_equal(map_get(map, span_of("")), &c);
    assert_null(map_get(map, span_of("x")));
    assert_ptr_equal(map_del(map, span_of("")), &c);
    assert_null(map_get(map, span_of("")));
    assert_int_equal(map_size(map), 2);
    map_destroy(&map);
}

static void check_all(const struct map *map, struct entry *entries, size_t count)
{
    size_t in = 0, cursor = 0, walked = 0;
    for (size_t i = 0; i < count; i++) {
        void *want = entries[i].in ? &entries[i] : NULL;
        assert_ptr_equal(map_get(map, span_of(entries[i].name)), want);
        in += entries[i].in;
        entries[i].seen = false;
    }
    assert_int_equal(map_size(map), in);
    for (struct entry *e; (e = map_next(map, &cursor)); walked++) {
        assert_true(e->in && !e->seen);
        e->seen = true;
    }
    assert_int_equal(walked, in);
}

static void any_order_of_putting_and_taking_keeps_just_what_is_in(void **state)
{
    enum { COUNT = 300, TURNS = 60000 };
    struct entry *entries = make_entries(COUNT);
    struct map *map = map_create();
    srandom(1);
    for (int turn = 0; turn < TURNS; turn++) {
        struct entry *e = &entries[random() % COUNT];
        if (e->in)
            assert_ptr_equal(map_del(map, span_of(e->name)), e);
        else
            map_put(map, span_of(e->name), e);
        e->in = !e->in;
        if (turn % 500 == 0)
            check_all(map, entries, COUNT);
    }
    check_all(map, entries, COUNT);
    map_destroy(&map);
    free(entries);
}

static double cpu_seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

/* Puts, finds and takes all of them; returns the CPU seconds one entry took. */
static double cost_of_one(size_t count)
{
    struct entry *entries = make_entries(count);
    struct map *map = map_create();
    double before = cpu_seconds();
    for (size_t i = 0; i < count; i++)
        map_put(map, span_of(entries[i].name), &entries[i]);
    assert_int_equal(map_size(map), count);
    for (size_t i = 0; i < count; i++)
        assert_ptr_equal(map_get(map, span_of(entries[i].name)), &entries[i]);
    for (size_t i = 0; i < count; i++)
        assert_ptr_equal(map_del(map, span_of(entries[i].name)), &entries[i]);
    double cost = (cpu_seconds() - before) / (double)count;
    assert_int_equal(map_size(map), 0);
    map_destroy(&map);
    free(entries);
    return cost;
}

static void half_a_million_entries_cost_no_more_each_than_a_few(void **state)
{
    double few = 1;
    for (int i = 0; i < 5; i++) {
        double cost = cost_of_one(5000);
        few = cost < few ? cost : few;
    }
    double many = cost_of_one(MANY);
    /* Caches and growing make some difference; a search would make one of a hundred. */
    assert_true(many < 20 * few);
}

static void names_that_come_and_go_do_not_wear_the_map_out(void **state)
{
    struct map *map = map_create();
    char name[32];
    int value;
    double before = cpu_seconds();
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "visitor.%d", i);
        map_put(map, span_of(name), &value);
        assert_ptr_equal(map_del(map, span_of(name)), &value);
    }
    size_t cursor = 0;
    assert_null(map_next(map, &cursor));
    assert_true(cursor <= 64); /* the slots there are: it has not grown */
    assert_true(cpu_seconds() - before < 30);
    map_destroy(&map);
}

static void put_twice(void)
{
    struct map *map = map_create();
    map_put(map, span_of("a"), map);
    map_put(map, span_of("a"), map);
}

static void put_null(void)
{
    map_put(map_create(), span_of("a"), NULL);
}

static void putting_a_key_twice_or_null_ends_the_program(void **state)
{
    char text[4096];
    assert_true(aborts(put_twice, text, sizeof(text)));
    assert_non_null(strstr(text, "the key is in the map already"));
    assert_true(aborts(put_null, text, sizeof(text)));
    assert_non_null(strstr(text, "value is NULL"));
}

/* Writes the names in the order in which a map walks them. */
static void walk_order(char *order, size_t size)
{
    struct entry *entries = make_entries(20), *e;
    struct map *map = map_create();
    size_t cursor = 0;
    for (int i = 0; i < 20; i++)
        map_put(map, span_of(entries[i].name), &entries[i]);
    *order = '\0';
    while ((e = map_next(map, &cursor)))
        strncat(order, e->name, size - strlen(order) - 1);
    map_destroy(&map);
    free(entries);
}

static void the_seed_decides_where_names_land(void **state)
{
    char before[512], after[512], again[512];
    walk_order(before, sizeof(before));
    map_seed((const uint8_t[16]){7, 1, 4});
    walk_order(after, sizeof(after));
    walk_order(again, sizeof(again));
    assert_string_not_equal(before, after);
    assert_string_equal(after, again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_has_nothing),
        cmocka_unit_test(keys_are_bytes_and_may_hold_nul_or_be_empty),
        cmocka_unit_test(any_order_of_putting_and_taking_keeps_just_what_is_in),
        cmocka_unit_test(half_a_million_entries_cost_no_more_each_than_a_few),
        cmocka_unit_test(names_that_come_and_go_do_not_wear_the_map_out),
        cmocka_unit_test(putting_a_key_twice_or_null_ends_the_program),
        cmocka_unit_test(the_seed_decides_where_names_land),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
