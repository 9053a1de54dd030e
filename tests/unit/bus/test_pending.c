/* What a gateway that died has left is finished by another. */
#include "bus/bus_rig.h"

static const char one[] = "{\"pending\":[{\"id\":\"5-0\",\"sets\":1}],\"more\":0}";

/* The first request is what makes the bus look. */
static void first_request(void)
{
    bus_take(rig.bus, 0, rig_request(BUS_PEERS, ""));
}

static void what_is_left_is_removed_in_slices_and_then_announced(void **state)
{
    first_request();
    rig_reply("sluice_pending", 0, one);
    assert_string_equal(rig_arg("sluice_pending_step", 0, 0), "5-0");
    rig_reply("sluice_pending_step", 0, "{\"left\":1,\"deleted\":2000}");
    assert_int_equal(rig_count("sluice_pending_done"), 0);
    rig_reply("sluice_pending_step", 1, "{\"left\":0,\"deleted\":1}");
    assert_string_equal(rig_arg("sluice_pending_done", 0, 0), "5-0");
    rig_reply("sluice_pending_done", 0, "{\"id\":\"6-0\",\"live\":[]}");
    assert_int_equal(rig.answer_count, 0);
}

static void it_is_looked_for_every_thirty_seconds_and_when_the_store_is_back(void **state)
{
    assert_int_equal(rig_pass(60 * SECOND), 0);
    first_request();
    rig_reply("sluice_pending", 0, "{\"pending\":[],\"more\":0}");
    assert_int_equal(rig_left(29 * SECOND), SECOND);
    assert_int_equal(rig_count("sluice_pending"), 1);
    (void)rig_pass(SECOND);
    rig_reply("sluice_pending", 1, "{\"pending\":[],\"more\":0}");
    bus_broker(rig.bus, false);
    (void)rig_pass(30 * SECOND);
    assert_int_equal(rig_count("sluice_pending"), 2);
    bus_broker(rig.bus, true);
    assert_int_equal(rig_count("sluice_pending"), 3);
}

static void one_that_takes_longer_than_the_next_look_is_not_begun_twice(void **state)
{
    first_request();
    rig_reply("sluice_pending", 0, one);
    (void)rig_pass(30 * SECOND);
    rig_reply("sluice_pending", 1, one);
    assert_int_equal(rig_count("sluice_pending_step"), 1);
}

static void one_of_our_own_under_way_is_left_to_its_request(void **state)
{
    rig_invalidate("{\"tags\":[\"t\"],\"origin\":\"\",\"cause\":\"api\"}", 0);
    rig_reply("sluice_invalidate", 0,
              "{\"id\":\"5-0\",\"deleted\":0,\"tags\":{\"t\":9},\"pending\":\"5-0\"}");
    rig_reply("sluice_pending", 0, one);
    assert_int_equal(rig_count("sluice_pending_step"), 1);
}

static void one_that_could_not_be_finished_is_tried_again_at_the_next_look(void **state)
{
    first_request();
    rig_reply("sluice_pending", 0, one);
    rig_answer_call(rig_nth("sluice_pending_step", 0), ERR_DENIED, "NOPERM");
    (void)rig_pass(30 * SECOND);
    rig_reply("sluice_pending", 1, one);
    assert_int_equal(rig_count("sluice_pending_step"), 2);
}

static void a_list_that_never_came_is_asked_for_again(void **state)
{
    first_request();
    (void)rig_pass(30 * SECOND);
    assert_int_equal(rig_count("sluice_pending"), 1);
    bus_broker(rig.bus, false);
    rig_answer_call(rig_nth("sluice_pending", 0), ERR_UNAVAILABLE, "gone");
    bus_broker(rig.bus, true);
    assert_int_equal(rig_count("sluice_pending"), 2);
}

static void a_store_that_answers_from_within_the_call_finishes_it(void **state)
{
    rig.at_once = "{\"pending\":[{\"id\":\"5-0\",\"sets\":1},{\"id\":\"6-0\",\"sets\":1}],"
                  "\"left\":0,\"deleted\":1,\"id\":\"7-0\"}";
    first_request();
    assert_int_equal(rig_count("sluice_pending_done"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(what_is_left_is_removed_in_slices_and_then_announced),
        RIG_TEST(it_is_looked_for_every_thirty_seconds_and_when_the_store_is_back),
        RIG_TEST(one_that_takes_longer_than_the_next_look_is_not_begun_twice),
        RIG_TEST(one_of_our_own_under_way_is_left_to_its_request),
        RIG_TEST(one_that_could_not_be_finished_is_tried_again_at_the_next_look),
        RIG_TEST(a_list_that_never_came_is_asked_for_again),
        RIG_TEST(a_store_that_answers_from_within_the_call_finishes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
