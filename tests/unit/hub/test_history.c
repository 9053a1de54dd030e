/* What the rings hold, what they let go of, and what they know for sure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hub/history.h"

#include <stdio.h>

enum { MANY = 1000, ENTRY = 48 + 6 }; /* what an entry of `frame` counts */

static struct histories *all;

static struct ring_entry entry(uint64_t id)
{
    char text[16];
    snprintf(text, sizeof(text), "%6llu", (unsigned long long)id);
    return (struct ring_entry){.id = id, .forms = {frame_create(span_of(text), 0), NULL}};
}

static void push_kept(struct history *h, uint64_t id, uint64_t most, uint64_t oldest)
{
    struct ring_entry e = entry(id);
    history_push(all, h, &e, most, oldest);
    frame_unref(e.forms[0]);
}

static void push(struct history *h, uint64_t id)
{
    push_kept(h, id, MANY, 0);
}

static void fill(struct history *h, uint64_t id)
{
    struct ring_entry e = entry(id);
    history_fill(all, h, &e);
    frame_unref(e.forms[0]);
}

static struct history *add(const char *name, uint64_t known)
{
    return histories_add(all, span_of(name), known);
}

/* The ids that a walk from `after` finds, with where it had to stop: "5 7 |9" or "5 7". */
static const char *walk(struct history *h, uint64_t after)
{
    static char text[256];
    size_t n = 0;
    text[0] = '\0';
    uint64_t upto;
    for (struct ring_entry *e; (e = history_next(h, after, &upto)); after = e->id)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%llu", n ? " " : "",
                              (unsigned long long)e->id);
    if (upto != UINT64_MAX)
        snprintf(text + n, sizeof(text) - n, "|%llu", (unsigned long long)upto);
    return text;
}

static void a_ring_has_all_above_its_floor_in_order(void **state)
{
    struct history *h = add("a", 10);
    for (uint64_t id = 11; id <= 30; id += 2)
        push(h, id);
    assert_string_equal(walk(h, 10), "11 13 15 17 19 21 23 25 27 29");
    assert_string_equal(walk(h, 24), "25 27 29");
    assert_string_equal(walk(h, 29), "");
    assert_true(history_covers(h, 10));
    assert_false(history_covers(h, 9));
}

static void a_ring_lets_go_of_more_than_it_may_have(void **state)
{
    struct history *h = add("a", 10);
    for (uint64_t id = 11; id <= 15; id++)
        push_kept(h, id, 3, 0);
    assert_string_equal(walk(h, 12), "13 14 15");
    assert_true(history_covers(h, 12));
    assert_false(history_covers(h, 11));
    assert_int_equal(histories_bytes(all), 3 * ENTRY);
}

static void a_ring_lets_go_of_what_is_too_old(void **state)
{
    struct history *h = add("a", 10);
    push(h, 11);
    push(h, 12);
    push_kept(h, 20, MANY, 12);
    assert_int_equal(h->floor, 11);
    push_kept(h, 40, MANY, 40);
    assert_int_equal(h->floor, 20);
    assert_string_equal(walk(h, 20), "40");
}

static void past_the_budget_the_longest_idle_goes_first(void **state)
{
    struct history *a = add("a", 0), *b = add("b", 0);
    for (uint64_t id = 1; id <= 8; id++)
        push(a, id);
    for (uint64_t id = 9; id <= 16; id++)
        push(b, id);
    histories_enforce(all, 1);
    assert_int_equal(a->ring.count, 0);
    assert_int_equal(a->floor, 8);
    assert_string_equal(walk(b, 8), "9 10 11 12 13 14 15 16");
    assert_int_equal(histories_bytes(all), 8 * ENTRY);
}

static void the_only_ring_past_the_budget_keeps_its_newer_half(void **state)
{
    struct history *a = add("a", 0);
    for (uint64_t id = 1; id <= 20; id++)
        push(a, id);
    histories_enforce(all, 1);
    assert_int_equal(a->floor, 10);
    assert_int_equal(a->ring.count, 10);
}

static void what_a_waiting_replay_needs_stays(void **state)
{
    struct history *a = add("a", 0), *b = add("b", 0);
    for (uint64_t id = 1; id <= 8; id++)
        push(a, id);
    for (uint64_t id = 9; id <= 16; id++)
        push(b, id);
    a->pin = 7;
    histories_enforce(all, 7);
    assert_int_equal(a->ring.count, 8);
    assert_true(b->ring.count < 8);
}

static void a_fill_that_nobody_waits_for_goes_too(void **state)
{
    struct history *a = add("a", 100);
    history_fill_begin(all, a, 0);
    for (uint64_t id = 1; id <= 20; id++)
        fill(a, id);
    history_fill_end(all, a, 20);
    assert_int_equal(histories_bytes(all), 20 * ENTRY);
    histories_enforce(all, 1);
    assert_int_equal(histories_bytes(all), 0);
    assert_false(history_covers(a, 0));
    assert_true(history_covers(a, 100));
}

static void within_the_budget_nothing_goes(void **state)
{
    struct history *a = add("a", 0);
    push(a, 1);
    histories_enforce(all, 1);
    assert_int_equal(a->ring.count, 1);
}

static void a_fill_that_reaches_the_ring_becomes_part_of_it(void **state)
{
    struct history *h = add("a", 10);
    push(h, 11);
    history_fill_begin(all, h, 3);
    fill(h, 5);
    fill(h, 7);
    history_fill_end(all, h, 10);
    assert_int_equal(h->floor, 3);
    assert_int_equal(h->fill.count, 0);
    assert_string_equal(walk(h, 3), "5 7 11");
    assert_int_equal(histories_bytes(all), 3 * ENTRY);
}

static void a_fill_that_stops_short_says_how_far_it_knows(void **state)
{
    struct history *h = add("a", 100);
    push(h, 101);
    history_fill_begin(all, h, 3);
    fill(h, 5);
    fill(h, 7);
    history_fill_end(all, h, 7);
    assert_true(history_covers(h, 3));
    assert_true(history_covers(h, 6));
    assert_false(history_covers(h, 7));
    assert_false(history_covers(h, 2));
    assert_string_equal(walk(h, 3), "5 7|7");
    fill(h, 9);
    history_fill_end(all, h, 100);
    assert_string_equal(walk(h, 3), "5 7 9 101");
}

static void a_fill_joins_also_where_it_had_nothing(void **state)
{
    struct history *h = add("a", 100);
    history_fill_begin(all, h, 3);
    history_fill_end(all, h, 100);
    assert_int_equal(h->floor, 3);
    assert_string_equal(walk(h, 3), "");
}

static void a_ring_that_slides_while_it_is_filled_is_not_joined(void **state)
{
    struct history *h = add("a", 10);
    push_kept(h, 11, 2, 0);
    history_fill_begin(all, h, 3);
    fill(h, 5);
    for (uint64_t id = 12; id <= 15; id++)
        push_kept(h, id, 2, 0);
    history_fill_end(all, h, 10);
    assert_string_equal(walk(h, 3), "5|10");
    assert_false(history_covers(h, 10));
    assert_string_equal(walk(h, 13), "14 15");
}

static void a_fill_that_let_go_of_its_beginning_stays_beside_the_ring(void **state)
{
    struct history *h = add("a", 100);
    push(h, 101);
    history_fill_begin(all, h, 3);
    fill(h, 5);
    fill(h, 7);
    history_fill_drop(all, h, 5);
    history_fill_end(all, h, 100);
    assert_int_equal(h->floor, 100);
    assert_false(history_covers(h, 4));
    assert_true(history_covers(h, 5));
    assert_string_equal(walk(h, 5), "7 101");
    assert_true(history_whole(h, 3));
    assert_false(history_whole(h, 2));
}

static void a_fill_of_more_than_half_the_budget_stays_beside_the_ring(void **state)
{
    struct history *h = add("a", 100);
    history_fill_begin(all, h, 0);
    for (uint64_t id = 1; id <= 8; id++)
        fill(h, id);
    history_fill_end(all, h, 100);
    assert_int_equal(h->floor, 100);
    assert_string_equal(walk(h, 0), "1 2 3 4 5 6 7 8");
}

static void the_last_n_begin_behind_the_one_before_them(void **state)
{
    struct history *h = add("a", 10);
    push(h, 11);
    push(h, 13);
    push(h, 15);
    assert_int_equal(history_back(h, 1), 13);
    assert_int_equal(history_back(h, 2), 11);
    assert_int_equal(history_back(h, 3), 10);
    assert_int_equal(history_back(h, 9), 10);
}

static void the_last_n_go_on_in_a_fill_that_reaches_the_ring(void **state)
{
    struct history *h = add("a", 100);
    push(h, 101);
    history_fill_begin(all, h, 3);
    fill(h, 5);
    fill(h, 7);
    fill(h, 9);
    history_fill_end(all, h, 9);
    assert_int_equal(history_back(h, 3), 100);
    history_fill_drop(all, h, 5); /* so that it is not joined */
    history_fill_end(all, h, 100);
    assert_int_equal(history_back(h, 2), 7);
    assert_int_equal(history_back(h, 3), 5);
    assert_int_equal(history_back(h, 4), 5);
}

static void the_wrapped_form_counts_where_its_entry_lies(void **state)
{
    struct history *h = add("a", 100);
    uint64_t upto;
    push(h, 101);
    history_fill_begin(all, h, 3);
    fill(h, 5);
    history_fill_end(all, h, 5);
    uint64_t ring = h->ring.bytes, filled = h->fill.bytes;
    history_set_wrapped(all, h, history_next(h, 100, &upto), frame_create(span_of("1234"), 0));
    history_set_wrapped(all, h, history_next(h, 3, &upto), frame_create(span_of("12"), 0));
    assert_int_equal(h->ring.bytes, ring + 4);
    assert_int_equal(h->fill.bytes, filled + 2);
    assert_int_equal(histories_bytes(all), ring + filled + 6);
}

static void a_reset_history_knows_nothing_but_where_it_begins(void **state)
{
    struct history *h = add("a", 10);
    push(h, 11);
    history_fill_begin(all, h, 3);
    fill(h, 5);
    h->trimmed = 4;
    history_reset(all, h, 50);
    assert_int_equal(histories_bytes(all), 0);
    assert_int_equal(h->trimmed, 0);
    assert_true(history_covers(h, 50));
    assert_false(history_covers(h, 49));
    push(h, 51);
    assert_string_equal(walk(h, 50), "51");
}

static void channels_stand_by_their_last_message(void **state)
{
    struct history *a = add("a", 0), *b = add("b", 0), *c = add("c", 0);
    histories_touch(all, a, 5);
    histories_touch(all, b, 9);
    histories_touch(all, c, 7);
    histories_touch(all, b, 8); /* older than what is known */
    assert_ptr_equal(histories_latest(all), b);
    assert_ptr_equal(histories_before(all, b), c);
    assert_ptr_equal(histories_before(all, c), a);
    assert_null(histories_before(all, a));
    (void)add("d", 0);
    histories_remove(all, c);
    assert_ptr_equal(histories_before(all, b), a);
    assert_null(histories_find(all, span_of("c")));
}

static void a_walk_goes_from_the_oldest_and_on_where_it_was(void **state)
{
    struct history *a = add("a", 0), *b = add("b", 0), *c = add("c", 0), *d = add("d", 0);
    histories_touch(all, a, 5);
    histories_touch(all, b, 6);
    histories_touch(all, c, 7);
    histories_touch(all, d, 8);
    assert_ptr_equal(histories_walk(all, 9), a);
    assert_ptr_equal(histories_walk(all, 9), b);
    histories_remove(all, b); /* the one that it gave last */
    assert_ptr_equal(histories_walk(all, 9), c);
    histories_touch(all, c, 9); /* has moved to the end, where it comes again */
    struct history *fresh = add("e", 0);
    assert_ptr_equal(histories_walk(all, 9), d);
    assert_ptr_equal(histories_walk(all, 9), c);
    assert_null(histories_walk(all, 9));
    assert_ptr_equal(histories_walk(all, 9), fresh);
    assert_null(histories_walk(all, 4)); /* a has 5 */
    assert_ptr_equal(histories_walk(all, 4), fresh);
    assert_ptr_equal(histories_walk(all, 5), a);
    assert_null(histories_walk(all, 5));
    histories_remove(all, fresh);
    assert_ptr_equal(histories_walk(all, 9), a);
    histories_remove(all, a);
    histories_remove(all, c);
    histories_remove(all, d);
    assert_null(histories_walk(all, 9));
    assert_null(histories_walk(all, 9));
}

static int begin(void **state)
{
    all = histories_create(UINT64_C(12) * ENTRY);
    return 0;
}

static int end(void **state)
{
    histories_destroy(&all);
    assert_null(all);
    return 0;
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_ring_has_all_above_its_floor_in_order),
        T(a_ring_lets_go_of_more_than_it_may_have),
        T(a_ring_lets_go_of_what_is_too_old),
        T(past_the_budget_the_longest_idle_goes_first),
        T(the_only_ring_past_the_budget_keeps_its_newer_half),
        T(what_a_waiting_replay_needs_stays),
        T(a_fill_that_nobody_waits_for_goes_too),
        T(within_the_budget_nothing_goes),
        T(a_fill_that_reaches_the_ring_becomes_part_of_it),
        T(a_fill_that_stops_short_says_how_far_it_knows),
        T(a_fill_joins_also_where_it_had_nothing),
        T(a_ring_that_slides_while_it_is_filled_is_not_joined),
        T(a_fill_that_let_go_of_its_beginning_stays_beside_the_ring),
        T(a_fill_of_more_than_half_the_budget_stays_beside_the_ring),
        T(the_last_n_begin_behind_the_one_before_them),
        T(the_last_n_go_on_in_a_fill_that_reaches_the_ring),
        T(the_wrapped_form_counts_where_its_entry_lies),
        T(a_reset_history_knows_nothing_but_where_it_begins),
        T(channels_stand_by_their_last_message),
        T(a_walk_goes_from_the_oldest_and_on_where_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
