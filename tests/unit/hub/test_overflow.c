/* What a full lane costs: a gap for each topic that lost something, in its place, and nothing else.
 */
#include "hub_rig.h"

#define GAP(kind, name)                                                                            \
    "gap event: sluice.gap|data: {\"" kind "\":\"" name                                            \
    "\",\"reason\":\"overflow\",\"from\":null}\n"

enum { FRAME_BYTES = 9 /* "data: 1\n\n" */, LANE_FRAMES = 4 };

static int start(void **state)
{
    rig_start(&(struct rig_options){.lane_bytes = LANE_FRAMES * FRAME_BYTES});
    listen_to("a", "A");
    return 0;
}

static void drained(uint32_t worker)
{
    if (lane_drained(&rig.down[worker].frames))
        to_core(msg_create(MSG_DRAINED, worker));
}

static void fill_lane(void)
{
    for (char c[] = "1"; c[0] <= '0' + LANE_FRAMES; c[0]++)
        message("a", c);
}

static void what_a_full_lane_refuses_is_told_as_a_gap_behind_what_it_took(void **state)
{
    fill_lane();
    message("a", "lost");
    message("a", "lost too");
    assert_string_equal(hears(0), "A data: 1\nA data: 2\nA data: 3\nA data: 4\n");
    drained(0);
    assert_string_equal(hears(0), "A " GAP("channel", "a"));
    message("a", "9");
    assert_string_equal(hears(0), "A data: 9\n");
    assert_int_equal(metrics_get(&rig.metrics.lane_full), 2);
    assert_int_equal(metrics_get(&rig.metrics.gaps_overflow), 1);
}

#define EACH(data) "A data: " data "\nP data: " data "\nQ data: " data "\n"

static void a_message_takes_its_room_once_however_many_topics_it_goes_to(void **state)
{
    listen_to_pattern("a*", "P");
    listen_to_pattern("*a", "Q");
    fill_lane();
    message("a", "lost");
    assert_string_equal(hears(0), EACH("1") EACH("2") EACH("3") EACH("4"));
    drained(0);
    hears(0);
    message("a", "this frame alone has more bytes than the whole lane");
    assert_string_equal(hears(0), EACH("this frame alone has more bytes than the whole lane"));
}

static void the_gap_comes_before_the_next_frame_even_when_nobody_has_said_drained(void **state)
{
    fill_lane();
    message("a", "lost");
    hears(0);
    message("a", "9");
    assert_string_equal(hears(0), "A " GAP("channel", "a") "A data: 9\n");
    drained(0);
    assert_string_equal(hears(0), "");
}

static void nothing_overtakes_a_gap_that_is_owed(void **state)
{
    fill_lane();
    message("a", "lost");
    hears_one(0); /* room for one, but not for half a lane: it would be full again at once */
    message("a", "5");
    assert_string_equal(hears(0), "A data: 2\nA data: 3\nA data: 4\n");
    drained(0);
    message("a", "9");
    assert_string_equal(hears(0), "A " GAP("channel", "a") "A data: 9\n");
}

static void while_the_lane_is_full_no_message_is_spent_on_it(void **state)
{
    fill_lane();
    for (int i = 0; i < 1000; i++)
        message("a", "lost");
    size_t n = 0;
    for (struct msg *m = rig.down[0].control.head; m; m = m->next)
        n++;
    assert_int_equal(n, 0);
    hears(0);
    drained(0);
    assert_string_equal(hears(0), "A " GAP("channel", "a"));
}

static void other_workers_lose_nothing(void **state)
{
    join(1, "a", "B");
    hears(1);
    for (int i = 0; i < 20; i++) {
        message("a", "x");
        assert_string_equal(hears(1), "B data: x\n");
    }
    assert_true(lane_drained(&rig.down[0].frames) == false);
    assert_true(metrics_get(&rig.metrics.lane_full) > 0);
}

static void only_topics_that_lost_something_tell_a_gap(void **state)
{
    listen_to("b", "B");
    listen_to("quiet", "Q");
    listen_to_pattern("b*", "P");
    fill_lane();
    message("b", "lost");
    hears(0);
    drained(0);
    assert_string_equal(hears(0), "B " GAP("channel", "b") "P " GAP("pattern", "b*"));
}

static void both_forms_are_told_when_both_lost_something(void **state)
{
    rig_stop(NULL);
    rig_start(&(struct rig_options){.lane_bytes = 200});
    listen_to("a", "A");
    join_wrapped(0, "a", "Aw");
    fill_lane(); /* two of each go in, and the third's plain form */
    hears(0);
    drained(0);
    assert_string_equal(hears(0), "A " GAP("channel", "a") "Aw " GAP("channel", "a"));
    assert_int_equal(metrics_get(&rig.metrics.gaps_overflow), 1);
}

static void one_publication_may_reach_one_topic_and_be_lost_to_the_next(void **state)
{
    rig_stop(NULL);
    rig_start(&(struct rig_options){.lane_bytes = 0});
    listen_to("a", "A");
    listen_to("b", "B");
    listen_to_pattern("a*", "P");
    for (int i = 0; i < LANE_ENTRIES - 1; i++)
        message("b", "x");
    message("a", "1"); /* there is an entry for one of the two */
    hears(0);
    drained(0);
    assert_string_equal(hears(0), "P " GAP("pattern", "a*"));
}

static void who_left_meanwhile_is_told_nothing(void **state)
{
    fill_lane();
    message("a", "lost");
    leave(0, "a", "A");
    join(0, "a", "New");
    hears(0);
    drained(0);
    message("a", "9");
    assert_string_equal(hears(0), "New data: 9\n");
}

static void a_lane_is_full_too_when_its_entries_are_used_up(void **state)
{
    rig_stop(NULL);
    rig_start(&(struct rig_options){.lane_bytes = 0});
    listen_to("a", "A");
    for (int i = 0; i < LANE_ENTRIES; i++)
        message("a", "x");
    assert_int_equal(metrics_get(&rig.metrics.lane_full), 0);
    message("a", "lost");
    assert_int_equal(metrics_get(&rig.metrics.lane_full), 1);
    hears(0);
    drained(0);
    assert_string_equal(hears(0), "A " GAP("channel", "a"));
}

static void a_frame_larger_than_the_lane_goes_through_an_empty_one(void **state)
{
    message("a", "this frame alone has more bytes than the whole lane");
    message("a", "lost");
    assert_string_equal(hears(0), "A data: this frame alone has more bytes than the whole lane\n");
    drained(0);
    assert_string_equal(hears(0), "A " GAP("channel", "a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define O(name) cmocka_unit_test_setup_teardown(name, start, rig_stop)
        O(what_a_full_lane_refuses_is_told_as_a_gap_behind_what_it_took),
        O(a_message_takes_its_room_once_however_many_topics_it_goes_to),
        O(the_gap_comes_before_the_next_frame_even_when_nobody_has_said_drained),
        O(nothing_overtakes_a_gap_that_is_owed),
        O(while_the_lane_is_full_no_message_is_spent_on_it),
        O(other_workers_lose_nothing),
        O(only_topics_that_lost_something_tell_a_gap),
        O(both_forms_are_told_when_both_lost_something),
        O(one_publication_may_reach_one_topic_and_be_lost_to_the_next),
        O(who_left_meanwhile_is_told_nothing),
        O(a_lane_is_full_too_when_its_entries_are_used_up),
        O(a_frame_larger_than_the_lane_goes_through_an_empty_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
