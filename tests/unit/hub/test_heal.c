/* What was missed is read back, merged over all channels, and released before anything newer. */
#include "durable_rig.h"

enum { BEAT_US = 2000000, REFUSED_US = 5000000 };

/* The broker comes back, with all subscriptions confirmed. */
static void reconnect(const char *const *names, size_t count)
{
    broker_up();
    for (size_t i = 0; i < count; i++) {
        char note[64];
        enum topic_kind kind = strchr(names[i], '*') ? TOPIC_PATTERN : TOPIC_CHANNEL;
        snprintf(note, sizeof(note), "sluice:note:%s", names[i]);
        confirm(kind, names[i]);
        confirm(kind, note);
    }
}

static const char *const both[] = {"a", "b"};

static int start_both(void **state)
{
    rig_start(state);
    listen_to("a", "A");
    listen_to("b", "B");
    return 0;
}

static void what_was_missed_comes_in_the_order_of_all_channels(void **state)
{
    broker_down();
    store("b", 101, "one");
    store("a", 102, "two");
    store("b", 103, "three");
    store("a", 104, "four");
    reconnect(both, 2);
    run();
    assert_string_equal(hears(),
                        "B 0-101 one\nA 0-102 two\nB 0-103 three\nA 0-104 four\nfrontier 104\n");
}

static void a_broker_that_answers_from_within_the_call_heals_too(void **state)
{
    broker_down();
    store("b", 101, "one");
    store("a", 102, "two");
    rig.at_once = true;
    reconnect(both, 2);
    turn();
    assert_string_equal(hears(), "B 0-101 one\nA 0-102 two\nfrontier 102\n");
}

static void nothing_is_read_before_every_subscription_is_confirmed_again(void **state)
{
    broker_down();
    store("b", 101, "one");
    broker_up();
    run();
    confirm(TOPIC_CHANNEL, "a");
    confirm(TOPIC_CHANNEL, "sluice:note:a");
    confirm(TOPIC_CHANNEL, "b");
    run();
    assert_null(strstr(calls(), "changed"));
    confirm(TOPIC_CHANNEL, "sluice:note:b");
    run();
    assert_string_equal(hears(), "B 0-101 one\nfrontier 101\n");
}

static void who_is_refused_holds_up_nobody(void **state)
{
    broker_down();
    store("a", 101, "one");
    reconnect(both, 1);
    run();
    assert_string_equal(hears(), "");
    core_broker_events.on_refused(rig.core, TOPIC_CHANNEL, span_of("sluice:note:b"), "no");
    run();
    assert_string_equal(hears(), "A 0-101 one\nfrontier 101\n");
}

static void who_leaves_meanwhile_holds_up_nobody(void **state)
{
    broker_down();
    store("a", 101, "one");
    reconnect(both, 1);
    leave("b", "B");
    run();
    core_broker_events.on_unsubscribed(rig.core, TOPIC_CHANNEL, span_of("b"));
    core_broker_events.on_unsubscribed(rig.core, TOPIC_CHANNEL, span_of("sluice:note:b"));
    run();
    assert_string_equal(hears(), "A 0-101 one\nfrontier 101\n");
}

static void notices_that_come_meanwhile_wait_and_come_once(void **state)
{
    broker_down();
    store("a", 101, "one");
    reconnect(both, 2);
    publish("b", 102, "two");
    run();
    publish("a", 103, "three");
    assert_string_equal(hears(), "A 0-101 one\nB 0-102 two\nfrontier 102\nA 0-103 three\n");
}

static void a_message_between_the_index_and_the_reads_keeps_its_place(void **state)
{
    broker_down();
    store("a", 101, "one");
    store("b", 102, "two");
    reconnect(both, 2);
    turn();
    answer(); /* hello */
    answer(); /* the index */
    publish("b", 103, "three");
    answer(); /* the log of a, which has no part in what comes now */
    publish("a", 104, "four");
    run();
    assert_string_equal(hears(),
                        "A 0-101 one\nB 0-102 two\nB 0-103 three\nA 0-104 four\nfrontier 104\n");
}

static void a_long_log_is_read_slice_by_slice_and_stays_merged(void **state)
{
    broker_down();
    for (uint64_t id = 101; id < 700; id++)
        store(id % 7 ? "a" : "b", id, "x");
    reconnect(both, 2);
    run();
    const char *at = hears();
    for (uint64_t id = 101; id < 700; id++) {
        char line[32];
        snprintf(line, sizeof(line), "%s 0-%llu x\n", id % 7 ? "A" : "B", (unsigned long long)id);
        assert_memory_equal(at, line, strlen(line));
        at += strlen(line);
    }
    assert_string_equal(at, "frontier 699\n");
    assert_true(rig.reads < 16);
}

static int start_pattern(void **state)
{
    rig_start(state);
    listen_to("c*", "C");
    return 0;
}

/* More channels than a page of the index, than reads at once; published to between two pages. */
static void very_many_channels_are_read_with_publishes_between_the_pages(void **state)
{
    static const char *const names[] = {"c*"};
    broker_down();
    for (uint64_t i = 0; i < 1500; i++) {
        char name[24];
        snprintf(name, sizeof(name), "c%llu", (unsigned long long)i);
        store(name, 101 + i, "x");
    }
    reconnect(names, 1);
    turn();
    answer(); /* hello */
    answer(); /* the first page */
    publish("c3", 2000, "again");
    run();
    /* Some channels of the pattern are not durable. */
    static const char gap[] = "C gap {\"pattern\":\"c*\",\"reason\":\"redis\",\"from\":null}\n";
    const char *at = hears();
    assert_memory_equal(at, gap, strlen(gap));
    at += strlen(gap);
    for (uint64_t id = 101; id < 1601; id++) {
        char line[32];
        snprintf(line, sizeof(line), "C %llu-%llu x\n", (unsigned long long)id / 1000,
                 (unsigned long long)id % 1000);
        assert_memory_equal(at, line, strlen(line));
        at += strlen(line);
    }
    assert_string_equal(at, "C 2-0 again\nfrontier 2000\n");
}

static void what_the_log_has_lost_is_told_in_its_place(void **state)
{
    broker_down();
    store("a", 101, "gone");
    store("b", 102, "two");
    store("a", 103, "gone");
    store("b", 104, "four");
    store("a", 105, "five");
    lose("a", 103);
    reconnect(both, 2);
    run();
    assert_string_equal(
        hears(), "B 0-102 two\n"
                 "A 0-103 gap {\"channel\":\"a\",\"reason\":\"trimmed\",\"from\":\"0-100\"}\n"
                 "B 0-104 four\nA 0-105 five\nfrontier 105\n");
}

static void channels_that_the_index_has_forgotten_are_a_gap_before_all_that_is_left(void **state)
{
    broker_down();
    store("b", 140, "left");
    rig.pruned = 130;
    reconnect(both, 2);
    run();
    assert_string_equal(hears(),
                        "A lost gap {\"channel\":\"a\",\"reason\":\"trimmed\",\"from\":\"0-100\"}\n"
                        "B lost gap {\"channel\":\"b\",\"reason\":\"trimmed\",\"from\":\"0-100\"}\n"
                        "B 0-140 left\nfrontier 140\n");
    ask(1, REPLAY_AFTER, 100, "a");
    run();
    assert_string_equal(
        hears(), "slice 1 [0-130 gap {\"channel\":\"a\",\"reason\":\"trimmed\",\"from\":\"0-100\"}]"
                 " live at 140\n");
}

static void a_broker_that_refused_history_is_asked_again_and_nothing_is_missed(void **state)
{
    broker_down();
    reconnect(both, 2);
    turn();
    answer_err(ERR_DENIED);
    publish("a", 101, "meanwhile");
    run();
    assert_string_equal(hears(), "");
    pass(REFUSED_US);
    run();
    assert_string_equal(hears(), "A 0-101 meanwhile\nfrontier 101\n");
    publish("b", 102, "two");
    assert_string_equal(hears(), "B 0-102 two\n");
}

static void a_healing_that_fails_is_tried_again_and_gives_nothing_twice(void **state)
{
    broker_down();
    store("a", 101, "one");
    store("b", 102, "two");
    reconnect(both, 2);
    turn();
    answer();                /* hello */
    answer_err(ERR_TIMEOUT); /* the index */
    assert_int_equal(rig.pending_count, 0);
    rig.now_us += BEAT_US;
    turn();
    answer();                /* the index */
    answer();                /* one log */
    answer_err(ERR_TIMEOUT); /* the other */
    turn();
    assert_string_equal(hears(), "");
    pass(BEAT_US);
    assert_string_equal(hears(), "A 0-101 one\nB 0-102 two\nfrontier 102\n");
}

/* Found by the model: trying the healing again ended the question what dataset it is, so that the
 * hub went on with the one of before. */
static void a_dataset_that_is_asked_after_when_a_healing_has_failed_is_believed(void **state)
{
    broker_down();
    store("a", 101, "one");
    reconnect(both, 2);
    turn();
    answer();                /* hello */
    answer_err(ERR_TIMEOUT); /* the index */
    const struct rig_record theirs = {.id = 150, .data = "theirs"};
    notice_of(RIG_OTHER, "a", &theirs); /* asks */
    rig.dataset.epoch = span_of(RIG_OTHER);
    rig.dataset.verdict = DATASET_NEW;
    rig.dataset.clock = 160;
    calls();
    pass(BEAT_US);
    assert_null(strstr(calls(), "hello"));
    notice_of(RIG_OTHER, "a", store("a", 161, "new"));
    run();
    assert_non_null(strstr(hears(), "A 0-161 new\n"));
}

static void a_read_that_fails_from_within_the_call_is_tried_again(void **state)
{
    broker_down();
    for (uint64_t id = 101; id < 301; id++)
        store("a", id, "x"); /* two slices: the second is asked for while merging */
    reconnect(both, 2);
    turn();
    answer(); /* hello */
    answer(); /* the index */
    rig.fail_at_once = true;
    answer(); /* the first slice */
    turn();
    rig.fail_at_once = false;
    pass(BEAT_US);
    const char *end = strstr(hears(), "A 0-300 x\nfrontier 300\n");
    assert_non_null(end);
}

static void a_connection_that_is_lost_in_the_middle_begins_again(void **state)
{
    broker_down();
    for (uint64_t id = 101; id < 301; id++)
        store("a", id, "x");
    reconnect(both, 2);
    turn();
    answer(); /* hello */
    answer(); /* the index */
    answer(); /* the first slice, which is released */
    assert_non_null(strstr(hears(), "A 0-200 x\n"));
    broker_down();
    store("b", 301, "later");
    reconnect(both, 2);
    run();
    const char *rest = hears();
    assert_memory_equal(rest, "A 0-201 x\n", 10);
    assert_non_null(strstr(rest, "A 0-300 x\nB 0-301 later\nfrontier 301\n"));
}

static void a_subscription_made_while_the_broker_was_away_waits_for_nobody(void **state)
{
    broker_down();
    rig.no_confirm = true;
    join("c", "C");
    store("c", 101, "before");
    reconnect(both, 2);
    run();
    confirm(TOPIC_CHANNEL, "c");
    confirm(TOPIC_CHANNEL, "sluice:note:c");
    ask(1, REPLAY_NOW, 0, "c");
    run();
    publish("c", 102, "after");
    assert_non_null(strstr(hears(), "slice 1 live at 101\nC 0-102 after\n"));
}

#define B(name) cmocka_unit_test_setup_teardown(name, start_both, rig_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        B(what_was_missed_comes_in_the_order_of_all_channels),
        B(a_broker_that_answers_from_within_the_call_heals_too),
        B(nothing_is_read_before_every_subscription_is_confirmed_again),
        B(who_is_refused_holds_up_nobody),
        B(who_leaves_meanwhile_holds_up_nobody),
        B(notices_that_come_meanwhile_wait_and_come_once),
        B(a_message_between_the_index_and_the_reads_keeps_its_place),
        B(a_long_log_is_read_slice_by_slice_and_stays_merged),
        cmocka_unit_test_setup_teardown(
            very_many_channels_are_read_with_publishes_between_the_pages, start_pattern, rig_stop),
        B(what_the_log_has_lost_is_told_in_its_place),
        B(channels_that_the_index_has_forgotten_are_a_gap_before_all_that_is_left),
        B(a_broker_that_refused_history_is_asked_again_and_nothing_is_missed),
        B(a_healing_that_fails_is_tried_again_and_gives_nothing_twice),
        B(a_dataset_that_is_asked_after_when_a_healing_has_failed_is_believed),
        B(a_read_that_fails_from_within_the_call_is_tried_again),
        B(a_connection_that_is_lost_in_the_middle_begins_again),
        B(a_subscription_made_while_the_broker_was_away_waits_for_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
