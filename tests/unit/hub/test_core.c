/* What the core asks of the broker, and what it tells the workers of their topics. */
#include "hub_rig.h"

static void however_many_listen_the_broker_is_asked_once(void **state)
{
    for (uint32_t w = 0; w < RIG_WORKERS; w++)
        for (int i = 0; i < 3; i++) {
            join(w, "a", "plain");
            join_wrapped(w, "a", "wrapped");
        }
    assert_string_equal(calls(), "sub a\n");
    confirm(TOPIC_CHANNEL, "a");
    for (uint32_t w = 0; w < RIG_WORKERS; w++)
        assert_string_equal(hears(w), "plain ready\nwrapped ready\n");
    assert_string_equal(calls(), "");
}

static void a_channel_and_a_pattern_of_one_name_are_asked_for_each(void **state)
{
    join(0, "a", "A");
    join_pattern(0, "a", "P");
    assert_string_equal(calls(), "sub a\npsub a\n");
    confirm(TOPIC_PATTERN, "a");
    assert_string_equal(hears(0), "P ready\n");
    confirm(TOPIC_CHANNEL, "a");
    assert_string_equal(hears(0), "A ready\n");
}

static void who_comes_to_a_confirmed_topic_is_told_so_at_once(void **state)
{
    listen_to("a", "A");
    join(1, "a", "B");
    assert_string_equal(hears(1), "B ready\n");
    join(1, "a", "B"); /* the worker knows already */
    assert_string_equal(hears(1), "");
    assert_string_equal(calls(), "");
}

static void a_worker_whose_last_stream_has_left_is_told_that_the_topic_is_gone(void **state)
{
    listen_to("a", "A");
    join(0, "a", "A");
    join(1, "a", "B");
    hears(1);
    leave(0, "a", "A");
    assert_string_equal(hears(0), "");
    leave(0, "a", "A");
    assert_string_equal(hears(0), "A gone\n");
    assert_string_equal(hears(1), "");
    message("a", "x");
    assert_string_equal(hears(0), "");
    assert_string_equal(hears(1), "B data: x\n");
}

static void the_last_ones_leaving_unsubscribes_after_the_linger(void **state)
{
    listen_to("a", "A");
    assert_int_equal(pass(0), 0);
    leave(0, "a", "A");
    uint64_t due = rig.now_us + RIG_LINGER_US;
    assert_int_equal(pass(0), due);
    assert_int_equal(pass(RIG_LINGER_US - 1), due);
    assert_string_equal(calls(), "");
    assert_int_equal(pass(1), 0);
    assert_string_equal(calls(), "unsub a\n");
}

static void topics_linger_each_for_its_own_time(void **state)
{
    listen_to("a", "A");
    listen_to_pattern("b*", "B");
    leave(0, "a", "A");
    pass(1000);
    leave_pattern(0, "b*", "B");
    uint64_t second = rig.now_us + RIG_LINGER_US;
    assert_int_equal(pass(RIG_LINGER_US - 1000), second);
    assert_string_equal(calls(), "unsub a\n");
    assert_int_equal(pass(1000), 0);
    assert_string_equal(calls(), "punsub b*\n");
}

static void who_comes_back_within_the_linger_finds_all_as_it_was(void **state)
{
    listen_to("a", "A");
    leave(0, "a", "A");
    pass(RIG_LINGER_US - 1);
    join(1, "a", "B");
    assert_string_equal(hears(1), "B ready\n");
    assert_int_equal(pass(10 * RIG_LINGER_US), 0);
    assert_string_equal(calls(), "");
}

static void who_comes_when_the_end_was_asked_for_waits_until_it_is_confirmed(void **state)
{
    listen_to("a", "A");
    leave(0, "a", "A");
    pass(RIG_LINGER_US);
    hears(0);
    join(0, "a", "A");
    join(1, "a", "B");
    assert_string_equal(calls(), "unsub a\n");
    confirm_end(TOPIC_CHANNEL, "a");
    assert_string_equal(calls(), "sub a\n");
    assert_string_equal(hears(0), "");
    confirm(TOPIC_CHANNEL, "a");
    assert_string_equal(hears(0), "A ready\n");
    assert_string_equal(hears(1), "B ready\n");
}

static void who_comes_and_goes_while_the_end_is_awaited_changes_nothing(void **state)
{
    listen_to("a", "A");
    leave(0, "a", "A");
    pass(RIG_LINGER_US);
    join(0, "a", "A");
    leave(0, "a", "A");
    assert_int_equal(pass(10 * RIG_LINGER_US), 0);
    assert_string_equal(calls(), "unsub a\n");
    confirm_end(TOPIC_CHANNEL, "a");
    assert_string_equal(calls(), "");
    assert_int_equal(metrics_get(&rig.metrics.channels), 0);
}

/* The broker answers the end that it was asked for before it says that it is down. */
static void who_came_while_the_end_was_awaited_is_subscribed_after_a_reconnect(void **state)
{
    listen_to("a", "A");
    leave(0, "a", "A");
    pass(RIG_LINGER_US);
    join(0, "a", "A");
    hears(0);
    confirm_end(TOPIC_CHANNEL, "a");
    broker_down("gone");
    assert_string_equal(calls(), "unsub a\nsub a\n");
    broker_up();
    confirm(TOPIC_CHANNEL, "a");
    assert_string_equal(hears(0), "down: gone\nup\nA ready\n");
}

static void an_end_that_was_awaited_when_the_broker_went_is_forgotten(void **state)
{
    listen_to("a", "A");
    leave(0, "a", "A");
    pass(RIG_LINGER_US);
    calls();
    broker_down("gone");
    assert_int_equal(metrics_get(&rig.metrics.channels), 0);
    broker_up();
    join(0, "a", "A");
    assert_string_equal(calls(), "sub a\n");
}

static void a_topic_may_be_given_up_before_the_broker_has_confirmed_it(void **state)
{
    join(0, "a", "A");
    leave(0, "a", "A");
    pass(RIG_LINGER_US);
    assert_string_equal(calls(), "sub a\nunsub a\n");
    assert_string_equal(hears(0), "A gone\n");
    join(0, "a", "A");
    confirm_end(TOPIC_CHANNEL, "a");
    assert_string_equal(calls(), "sub a\n");
    confirm(TOPIC_CHANNEL, "a");
    assert_string_equal(hears(0), "A ready\n");
}

static void a_topic_on_its_way_out_that_is_refused_is_out(void **state)
{
    join(0, "a", "A");
    leave(0, "a", "A");
    pass(RIG_LINGER_US);
    refuse(TOPIC_CHANNEL, "a", "no");
    assert_int_equal(metrics_get(&rig.metrics.channels), 0);
}

static void without_a_linger_the_next_turn_unsubscribes(void **state)
{
    rig_stop(NULL);
    rig_start(&(struct rig_options){.linger_us = 0});
    listen_to("a", "A");
    leave(0, "a", "A");
    assert_int_equal(pass(0), 0);
    assert_string_equal(calls(), "unsub a\n");
}

static void every_worker_is_told_when_the_broker_comes_and_goes(void **state)
{
    broker_down("connection refused");
    broker_down("LOADING");
    broker_up();
    for (uint32_t w = 0; w < RIG_WORKERS; w++)
        assert_string_equal(hears(w), "down: connection refused\ndown: LOADING\nup\n");
    assert_int_equal(metrics_get(&rig.metrics.redis_up), 1);
    assert_int_equal(metrics_get(&rig.metrics.redis_connects), 2);
}

static void the_broker_keeps_what_is_wanted_so_a_reconnect_asks_nothing(void **state)
{
    listen_to("a", "A");
    broker_down("gone");
    join(0, "b", "B");
    broker_up();
    assert_string_equal(calls(), "sub b\n");
    confirm(TOPIC_CHANNEL, "b");
    assert_string_equal(hears(0), "down: gone\nup\nB ready\n");
}

#define GAP(kind, name, reason)                                                                    \
    "gap event: sluice.gap|data: {\"" kind "\":\"" name "\",\"reason\":\"" reason                  \
    "\",\"from\":null}\n"

static void
after_a_reconnect_each_topic_that_was_confirmed_tells_a_gap_before_it_is_ready(void **state)
{
    listen_to("a", "A");
    listen_to_pattern("p*", "P");
    join_wrapped(1, "a", "Aw");
    hears(1);
    join(0, "late", "L"); /* not confirmed before the broker went */
    broker_down("gone");
    broker_up();
    confirm(TOPIC_CHANNEL, "a");
    confirm(TOPIC_PATTERN, "p*");
    confirm(TOPIC_CHANNEL, "late");
    assert_string_equal(
        hears(0), "down: gone\nup\n"
                  "A " GAP("channel", "a", "redis") "A ready\n"
                                                    "P " GAP("pattern", "p*", "redis") "P ready\n"
                                                                                       "L ready\n");
    assert_string_equal(hears(1), "down: gone\nup\nAw " GAP("channel", "a", "redis") "Aw ready\n");
    assert_int_equal(metrics_get(&rig.metrics.gaps_redis), 2);
}

static void a_gap_that_is_owed_outlasts_a_second_loss_before_it_could_be_told(void **state)
{
    listen_to("a", "A");
    broker_down("gone");
    broker_up();
    broker_down("gone again");
    broker_up();
    hears(0);
    confirm(TOPIC_CHANNEL, "a");
    assert_string_equal(hears(0), "A " GAP("channel", "a", "redis") "A ready\n");
    broker_down("gone");
    broker_up();
    confirm(TOPIC_CHANNEL, "a");
    assert_string_equal(hears(0), "down: gone\nup\nA " GAP("channel", "a", "redis") "A ready\n");
}

static void
a_topic_that_is_left_while_the_broker_is_away_is_forgotten_after_the_linger(void **state)
{
    listen_to("a", "A");
    broker_down("gone");
    leave(0, "a", "A");
    pass(RIG_LINGER_US);
    assert_string_equal(calls(), "unsub a\n");
    assert_int_equal(metrics_get(&rig.metrics.channels), 0);
    confirm_end(TOPIC_CHANNEL, "a");
}

static void a_refusal_is_told_to_all_who_wait_and_to_all_who_come_after(void **state)
{
    join(0, "a", "A");
    join_wrapped(1, "a", "B");
    refuse(TOPIC_CHANNEL, "a", "NOPERM no");
    assert_string_equal(hears(0), "A refused: NOPERM no\n");
    assert_string_equal(hears(1), "B refused: NOPERM no\n");
    join(1, "a", "C");
    assert_string_equal(hears(1), "C refused: NOPERM no\n");
    assert_string_equal(calls(), "sub a\n");
}

static void a_refusal_holds_until_the_next_connection(void **state)
{
    join(0, "a", "A");
    refuse(TOPIC_CHANNEL, "a", "no");
    broker_down("gone");
    broker_up();
    hears(0);
    join(1, "a", "B");
    assert_string_equal(hears(1), "down: gone\nup\n");
    confirm(TOPIC_CHANNEL, "a");
    assert_string_equal(hears(0), "A ready\n");
    assert_string_equal(hears(1), "B ready\n");
}

static void a_refused_topic_that_nobody_wants_is_forgotten_after_the_linger(void **state)
{
    join(0, "a", "A");
    refuse(TOPIC_CHANNEL, "a", "no");
    leave(0, "a", "A");
    pass(RIG_LINGER_US);
    assert_string_equal(calls(), "sub a\nunsub a\n");
    join(0, "a", "A");
    assert_string_equal(calls(), "sub a\n");
}

static void what_the_broker_says_of_names_that_nobody_asked_for_is_passed_over(void **state)
{
    confirm(TOPIC_CHANNEL, "x");
    confirm_end(TOPIC_PATTERN, "x");
    refuse(TOPIC_CHANNEL, "x", "no");
    assert_string_equal(hears(0), "");
}

static void the_names_at_the_broker_have_the_prefix_literally(void **state)
{
    rig_stop(NULL);
    rig_start(&(struct rig_options){.prefix = "app[1]*:"});
    join(0, "a", "A");
    join_pattern(0, "a*", "P");
    assert_string_equal(calls(), "sub app[1]*:a\npsub app\\[1]\\*:a*\n");
    confirm(TOPIC_CHANNEL, "a"); /* another's */
    assert_string_equal(hears(0), "");
    confirm(TOPIC_CHANNEL, "app[1]*:a");
    confirm(TOPIC_PATTERN, "app\\[1]\\*:a*");
    assert_string_equal(hears(0), "A ready\nP ready\n");
    broker_down("gone");
    broker_up();
    hears(0);
    confirm(TOPIC_CHANNEL, "app[1]*:a");
    assert_string_equal(hears(0), "A " GAP("channel", "a", "redis") "A ready\n");
}

static void topics_are_counted(void **state)
{
    join(0, "a", "A");
    join(1, "a", "A");
    join(0, "b", "B");
    join_pattern(0, "p*", "P");
    assert_int_equal(metrics_get(&rig.metrics.channels), 2);
    assert_int_equal(metrics_get(&rig.metrics.patterns), 1);
}

static void a_turn_wakes_the_workers_that_frames_were_posted_to(void **state)
{
    listen_to("a", "A");
    core_end_turn(rig.core);
    memset(rig.wakes, 0, sizeof(rig.wakes));
    message("a", "x");
    message("a", "y");
    assert_int_equal(rig.wakes[0], 0);
    core_end_turn(rig.core);
    core_end_turn(rig.core);
    assert_int_equal(rig.wakes[0], 1);
    assert_int_equal(rig.wakes[1], 0);
}

static void a_turn_wakes_the_workers_that_messages_were_posted_to_once(void **state)
{
    listen_to("a", "A");
    core_end_turn(rig.core);
    memset(rig.wakes, 0, sizeof(rig.wakes));
    join(1, "a", "B");
    hears(1);
    join(1, "a", "C");
    assert_int_equal(rig.wakes[1], 0);
    core_end_turn(rig.core);
    core_end_turn(rig.core);
    assert_int_equal(rig.wakes[0], 0);
    assert_int_equal(rig.wakes[1], 1);
}

/* A gateway that cannot start stops its workers before the core's loop has run. */
static void workers_that_are_told_to_stop_are_woken_at_once(void **state)
{
    core_end_turn(rig.core);
    memset(rig.wakes, 0, sizeof(rig.wakes));
    core_stop_workers(rig.core);
    for (uint32_t w = 0; w < RIG_WORKERS; w++)
        assert_int_equal(rig.wakes[w], 1);
}

static void the_workers_are_told_to_stop_and_counted_as_they_do(void **state)
{
    core_stop_workers(rig.core);
    assert_int_equal(core_workers_left(rig.core), RIG_WORKERS);
    for (uint32_t w = 0; w < RIG_WORKERS; w++) {
        assert_string_equal(hears(w), "stop\n");
        to_core(msg_create(MSG_STOPPED, w));
        assert_int_equal(core_workers_left(rig.core), RIG_WORKERS - w - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(however_many_listen_the_broker_is_asked_once),
        T(a_channel_and_a_pattern_of_one_name_are_asked_for_each),
        T(who_comes_to_a_confirmed_topic_is_told_so_at_once),
        T(a_worker_whose_last_stream_has_left_is_told_that_the_topic_is_gone),
        T(the_last_ones_leaving_unsubscribes_after_the_linger),
        T(topics_linger_each_for_its_own_time),
        T(who_comes_back_within_the_linger_finds_all_as_it_was),
        T(who_comes_when_the_end_was_asked_for_waits_until_it_is_confirmed),
        T(who_comes_and_goes_while_the_end_is_awaited_changes_nothing),
        T(who_came_while_the_end_was_awaited_is_subscribed_after_a_reconnect),
        T(an_end_that_was_awaited_when_the_broker_went_is_forgotten),
        T(a_topic_may_be_given_up_before_the_broker_has_confirmed_it),
        T(a_topic_on_its_way_out_that_is_refused_is_out),
        T(without_a_linger_the_next_turn_unsubscribes),
        T(every_worker_is_told_when_the_broker_comes_and_goes),
        T(the_broker_keeps_what_is_wanted_so_a_reconnect_asks_nothing),
        T(after_a_reconnect_each_topic_that_was_confirmed_tells_a_gap_before_it_is_ready),
        T(a_gap_that_is_owed_outlasts_a_second_loss_before_it_could_be_told),
        T(a_topic_that_is_left_while_the_broker_is_away_is_forgotten_after_the_linger),
        T(a_refusal_is_told_to_all_who_wait_and_to_all_who_come_after),
        T(a_refusal_holds_until_the_next_connection),
        T(a_refused_topic_that_nobody_wants_is_forgotten_after_the_linger),
        T(what_the_broker_says_of_names_that_nobody_asked_for_is_passed_over),
        T(the_names_at_the_broker_have_the_prefix_literally),
        T(topics_are_counted),
        T(a_turn_wakes_the_workers_that_frames_were_posted_to),
        T(a_turn_wakes_the_workers_that_messages_were_posted_to_once),
        T(workers_that_are_told_to_stop_are_woken_at_once),
        T(the_workers_are_told_to_stop_and_counted_as_they_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
