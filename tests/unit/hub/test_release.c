/* Durable messages go out once, in order of id, and what is missing is looked for before more is.
 */
#include "durable_rig.h"

enum { BEAT_US = 2000000 };

static void messages_go_out_in_the_order_of_all_channels(void **state)
{
    listen_to("a", "A");
    listen_to("b", "B");
    publish("a", 101, "one");
    publish("b", 102, "two");
    publish("a", 103, "three");
    assert_string_equal(hears(), "A 0-101 one\nB 0-102 two\nA 0-103 three\n");
}

static void a_notice_that_comes_twice_is_one_message(void **state)
{
    listen_to("a", "A");
    listen_to("a*", "P");
    const struct rig_record *r = store("a", 101, "one");
    notice_of(RIG_EPOCH, "a", r);
    notice_of(RIG_EPOCH, "a", r);
    assert_string_equal(hears(), "A 0-101 one\nP 0-101 one\n");
}

static void a_hole_stops_all_channels_until_it_was_read(void **state)
{
    listen_to("a", "A");
    listen_to("b", "B");
    store("a", 101, "missed");
    publish("a", 102, "two");
    publish("b", 103, "three");
    assert_string_equal(hears(), "");
    assert_string_equal(calls(), "changed 100\n");
    run();
    assert_string_equal(hears(), "A 0-101 missed\nA 0-102 two\nB 0-103 three\nfrontier 103\n");
}

static void a_hole_that_the_log_has_too_is_told_once(void **state)
{
    listen_to("a", "A");
    store("a", 101, "gone");
    publish("a", 102, "two");
    lose("a", 101);
    run();
    assert_string_equal(
        hears(), "A 0-101 gap {\"channel\":\"a\",\"reason\":\"trimmed\",\"from\":\"0-100\"}\n"
                 "A 0-102 two\nfrontier 102\n");
}

static void a_previous_message_that_nobody_knows_is_looked_for_once_and_told(void **state)
{
    listen_to("a", "A");
    notice("a", 105, 103, "five");
    run();
    assert_string_equal(
        hears(), "A 0-103 gap {\"channel\":\"a\",\"reason\":\"trimmed\",\"from\":\"0-100\"}\n"
                 "A 0-105 five\n");
}

static void a_message_found_late_is_a_gap_to_who_is_past_it_and_comes_to_the_others(void **state)
{
    listen_to("a", "A");
    listen_to("b", "B");
    store("a", 101, "late");
    publish("b", 102, "two");
    publish("a", 103, "three");
    run();
    assert_string_equal(hears(),
                        "B 0-102 two\n"
                        "A late gap {\"channel\":\"a\",\"reason\":\"redis\",\"from\":\"0-101\"}\n"
                        "A 0-101 late\nA 0-103 three\nfrontier 103\n");
}

static void a_loss_found_late_sends_no_cursor_back(void **state)
{
    listen_to("a", "A");
    listen_to("b", "B");
    store("a", 101, "gone");
    lose("a", 101);
    publish("b", 102, "two");
    publish("a", 103, "three");
    run();
    assert_string_equal(hears(),
                        "B 0-102 two\n"
                        "A lost gap {\"channel\":\"a\",\"reason\":\"trimmed\",\"from\":\"0-100\"}\n"
                        "A 0-103 three\nfrontier 103\n");
}

static void a_message_whose_notice_never_came_is_found_by_the_beat(void **state)
{
    listen_to("a", "A");
    store("a", 101, "silent");
    pass(BEAT_US);
    assert_string_equal(hears(), "A 0-101 silent\nfrontier 101\n");
}

static void a_log_that_lacks_its_end_is_told_and_not_looked_for_for_ever(void **state)
{
    listen_to("a", "A");
    store("a", 101, "gone");
    rig.records = 0;
    pass(BEAT_US);
    assert_string_equal(
        hears(), "A 0-101 gap "
                 "{\"channel\":\"a\",\"reason\":\"trimmed\",\"from\":\"0-100\"}\nfrontier 101\n");
    calls();
    pass(BEAT_US);
    assert_string_equal(calls(), "fence\nchanged 101\n");
}

static void the_frontier_moves_where_nothing_is_published(void **state)
{
    rig.dataset.clock = 150;
    pass(BEAT_US);
    assert_string_equal(hears(), "frontier 150\n");
    pass(BEAT_US);
    assert_string_equal(hears(), "");
}

/* Held notices */

static const char *megabyte(void)
{
    static char text[(1 << 20) + 1];
    memset(text, 'x', sizeof(text) - 1);
    return text;
}

static void held_notices_past_their_budget_are_dropped_and_read(void **state)
{
    listen_to("a", "A");
    store("a", 101, "missed");
    publish("a", 102, "two");
    for (uint64_t id = 103; id < 143; id++)
        publish("a", id, megabyte());
    assert_string_equal(hears(), "");
    run();
    const char *at = hears();
    uint64_t id = 101;
    for (; *at == 'A'; id++) {
        char head[16];
        snprintf(head, sizeof(head), "A 0-%llu ", (unsigned long long)id);
        assert_memory_equal(at, head, strlen(head));
        at = strchr(at, '\n') + 1;
    }
    assert_int_equal(id, 143);
    assert_string_equal(at, "frontier 142\n");
}

/* Subscriptions */

static void what_comes_while_only_one_part_is_confirmed_is_read_by_who_asks(void **state)
{
    rig.no_confirm = true;
    join("a", "A");
    confirm(TOPIC_CHANNEL, "a");
    publish("a", 101, "early");
    ask(1, REPLAY_AFTER, 100, "a");
    run();
    assert_string_equal(hears(), "");
    confirm(TOPIC_CHANNEL, "sluice:note:a");
    run();
    assert_string_equal(hears(), "frontier 101\nslice 1 [0-101 early] live at 101\n");
    publish("a", 102, "two");
    assert_string_equal(hears(), "A 0-102 two\n");
}

static void what_was_published_before_the_subscription_is_given_to_no_new_stream(void **state)
{
    store("a", 101, "before");
    join("a", "A");
    ask(1, REPLAY_NOW, 0, "a");
    run();
    const char *slice = strstr(hears(), "slice");
    assert_string_equal(slice, "slice 1 live at 101\n");
}

static void a_subscription_before_the_first_hello_begins_at_its_clock(void **state)
{
    rig_stop(state);
    rig_create(&(struct rig_options){0});
    store("a", 90, "old");
    broker_up();
    join("a", "A");
    run();
    publish("a", 101, "new");
    run();
    assert_string_equal(hears(), "A 0-101 new\n");
}

static void confirm_end(const char *name)
{
    core_broker_events.on_unsubscribed(rig.core, TOPIC_CHANNEL, span_of(name));
}

static void what_came_between_two_subscriptions_of_one_channel_is_read(void **state)
{
    listen_to("a", "A");
    publish("a", 101, "one");
    leave("a", "A");
    turn();
    join("a", "A"); /* its end is not confirmed yet */
    confirm_end("sluice:note:a");
    store("a", 102, "between");
    pass(BEAT_US); /* the frontier goes past it: nobody listens */
    confirm_end("a");
    ask(1, REPLAY_AFTER, 101, "a");
    run();
    const char *slice = strstr(hears(), "slice");
    assert_string_equal(slice, "slice 1 [0-102 between] live at 102\n");
}

static void change(bool durable)
{
    const struct namespace_settings one = {
        .match = "*", .durable = durable, .history_messages = 10, .history_seconds = 3600};
    struct namespaces *old = rig.namespaces;
    rig.namespaces = namespaces_create(&one, 1);
    const struct core_settings settings = {.namespaces = rig.namespaces,
                                           .message_bytes = UINT64_MAX};
    core_change(rig.core, &settings, NULL);
    namespaces_destroy(&old);
}

static void a_reload_that_gives_a_namespace_history_reaches_open_streams(void **state)
{
    rig_stop(state);
    rig_live(&(struct rig_options){.ephemeral = true});
    join("a", "A");
    calls();
    change(true);
    run();
    assert_string_equal(calls(),
                        "hello '' 0\nsub sluice:note:a\nchanged 100\nfence\nchanged 100\n");
    publish("a", 101, "one");
    assert_string_equal(hears(), "A 0-101 one\n");
}

static void a_channel_that_loses_its_history_owes_gaps_again_when_the_broker_was_away(void **state)
{
    listen_to("a", "A");
    change(false);
    broker_down();
    broker_up();
    confirm(TOPIC_CHANNEL, "a");
    confirm(TOPIC_CHANNEL, "sluice:note:a");
    run();
    assert_string_equal(hears(), "A gap {\"channel\":\"a\",\"reason\":\"redis\",\"from\":null}\n");
}

/* Large messages */

static void a_message_over_the_limit_is_told_as_overflow_and_the_next_one_comes(void **state)
{
    rig_stop(state);
    rig_live(&(struct rig_options){.message_bytes = 8});
    listen_to("a", "A");
    store("a", 101, "far too large");
    core_broker_events.on_oversize(rig.core, span_of("sluice:note:a"), span_make(NULL, 0), 13);
    publish("a", 102, "two");
    run();
    assert_string_equal(
        hears(), "A 0-101 gap {\"channel\":\"a\",\"reason\":\"overflow\",\"from\":\"0-100\"}\n"
                 "A 0-102 two\nfrontier 102\n");
}

/* Datasets */

static void notices_of_another_dataset_are_dropped_and_asked_after_once(void **state)
{
    listen_to("a", "A");
    const struct rig_record theirs = {.id = 101, .data = "theirs"};
    for (int i = 0; i < 3; i++)
        notice_of(RIG_OTHER, "a", &theirs);
    run();
    assert_string_equal(hears(), "");
    assert_string_equal(calls(), "hello '" RIG_EPOCH "' 100\nchanged 100\nfence\nchanged 100\n");
    publish("a", 102, "ours");
    assert_string_equal(hears(), "A 0-102 ours\n");
}

static void a_new_dataset_with_lower_ids_is_told_and_followed(void **state)
{
    listen_to("a", "A");
    rig.dataset.epoch = span_of(RIG_OTHER);
    rig.dataset.verdict = DATASET_NEW;
    rig.dataset.clock = 50;
    pass(BEAT_US); /* the fence says another epoch */
    assert_string_equal(
        hears(), "frontier 50\n"
                 "A anew 0-50 gap {\"channel\":\"a\",\"reason\":\"redis\",\"from\":\"0-100\"}\n");
    notice_of(RIG_OTHER, "a", store("a", 51, "new"));
    assert_string_equal(hears(), "A 0-51 new\n");
}

static void a_rewound_dataset_is_told_with_what_is_certain_again(void **state)
{
    listen_to("a", "A");
    rig.dataset.verdict = DATASET_REWOUND;
    rig.dataset.floor = 120;
    rig.dataset.clock = 121;
    broker_down();
    broker_up();
    confirm(TOPIC_CHANNEL, "a");
    confirm(TOPIC_CHANNEL, "sluice:note:a");
    run();
    assert_string_equal(
        hears(), "frontier 121\n"
                 "A anew 0-121 gap {\"channel\":\"a\",\"reason\":\"redis\",\"from\":\"0-100\"}\n");
}

static void the_same_dataset_after_a_reconnect_tells_nothing(void **state)
{
    listen_to("a", "A");
    publish("a", 101, "one");
    hears();
    broker_down();
    broker_up();
    confirm(TOPIC_CHANNEL, "a");
    confirm(TOPIC_CHANNEL, "sluice:note:a");
    run();
    assert_string_equal(hears(), "frontier 101\n");
}

static void a_broker_without_history_refuses_all_streams_until_the_next_connection(void **state)
{
    rig_stop(state);
    rig_create(&(struct rig_options){0});
    broker_up();
    join("a", "A");
    ask(1, REPLAY_NOW, 0, "a");
    answer_err(ERR_DENIED);
    ask(2, REPLAY_NOW, 0, "a");
    run();
    assert_string_equal(hears(), "slice 1 refused: by script\nslice 2 refused: by script\n");
    broker_down();
    broker_up();
    run();
    ask(3, REPLAY_NOW, 0, "a");
    confirm(TOPIC_CHANNEL, "a");
    confirm(TOPIC_CHANNEL, "sluice:note:a");
    run();
    assert_string_equal(hears(), "slice 3 live at 100\n");
}

static void a_hello_that_fails_for_now_is_asked_again(void **state)
{
    rig_stop(state);
    rig_create(&(struct rig_options){0});
    broker_up();
    turn();
    answer_err(ERR_TIMEOUT);
    assert_string_equal(calls(), "hello '' 0\n");
    pass(BEAT_US);
    assert_string_equal(calls(), "hello '' 0\nchanged 100\nfence\nchanged 100\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(messages_go_out_in_the_order_of_all_channels),
        T(a_notice_that_comes_twice_is_one_message),
        T(a_hole_stops_all_channels_until_it_was_read),
        T(a_hole_that_the_log_has_too_is_told_once),
        T(a_previous_message_that_nobody_knows_is_looked_for_once_and_told),
        T(a_message_found_late_is_a_gap_to_who_is_past_it_and_comes_to_the_others),
        T(a_loss_found_late_sends_no_cursor_back),
        T(a_message_whose_notice_never_came_is_found_by_the_beat),
        T(a_log_that_lacks_its_end_is_told_and_not_looked_for_for_ever),
        T(the_frontier_moves_where_nothing_is_published),
        T(held_notices_past_their_budget_are_dropped_and_read),
        T(what_comes_while_only_one_part_is_confirmed_is_read_by_who_asks),
        T(what_was_published_before_the_subscription_is_given_to_no_new_stream),
        T(a_subscription_before_the_first_hello_begins_at_its_clock),
        T(what_came_between_two_subscriptions_of_one_channel_is_read),
        T(a_reload_that_gives_a_namespace_history_reaches_open_streams),
        T(a_channel_that_loses_its_history_owes_gaps_again_when_the_broker_was_away),
        T(a_message_over_the_limit_is_told_as_overflow_and_the_next_one_comes),
        T(notices_of_another_dataset_are_dropped_and_asked_after_once),
        T(a_new_dataset_with_lower_ids_is_told_and_followed),
        T(a_rewound_dataset_is_told_with_what_is_certain_again),
        T(the_same_dataset_after_a_reconnect_tells_nothing),
        T(a_broker_without_history_refuses_all_streams_until_the_next_connection),
        T(a_hello_that_fails_for_now_is_asked_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
