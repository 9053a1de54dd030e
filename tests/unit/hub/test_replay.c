/* A stream is given what it has missed, once, in order, with what is lost told in its place. */
#include "durable_rig.h"

enum { BEAT_US = 2000000 };

#define GAP_A(reason, from) "gap {\"channel\":\"a\",\"reason\":\"" reason "\",\"from\":" from "}"

/* What the slices say, without the lane. */
static const char *slices(void)
{
    static char text[65536];
    text[0] = '\0';
    size_t n = 0;
    for (const char *line = hears(), *next; *line; line = next) {
        next = strchr(line, '\n') + 1;
        if (strncmp(line, "slice", 5) == 0 && n + (size_t)(next - line) < sizeof(text)) {
            memcpy(text + n, line, (size_t)(next - line));
            n += (size_t)(next - line);
            text[n] = '\0';
        }
    }
    return text;
}

static void expect(enum replay_from from, uint64_t value, const char *wants, const char *slice)
{
    ask(1, from, value, wants);
    run();
    assert_string_equal(slices(), slice);
}

/* Of a there are 50 in the log, older than all subscriptions, and 101 in the ring; of b 102. */
static int start_ab(void **state)
{
    rig_start(state);
    store("a", 50, "old");
    listen_to("a", "A");
    listen_to("b", "B");
    publish("a", 101, "one");
    publish("b", 102, "two");
    hears();
    return 0;
}

/* Where it begins */

static void now_is_an_empty_slice_at_the_head(void **state)
{
    expect(REPLAY_NOW, 0, "a,b", "slice 1 live at 102\n");
    assert_int_equal(rig.reads, 0);
}

static void what_the_ring_has_is_given_without_a_read(void **state)
{
    expect(REPLAY_AFTER, 100, "a,b", "slice 1 [0-101 one] [0-102 two] live at 102\n");
    expect(REPLAY_AFTER, 101, "a,b", "slice 1 [0-102 two] live at 102\n");
    expect(REPLAY_AFTER, 102, "a,b", "slice 1 live at 102\n");
    assert_int_equal(rig.reads, 0);
    assert_int_equal(metrics_get(&rig.metrics.replays_redis), 0);
}

static void what_is_older_than_the_ring_is_read_once(void **state)
{
    expect(REPLAY_AFTER, 20, "a", "slice 1 [0-50 old] [0-101 one] live at 102\n");
    expect(REPLAY_AFTER, 20, "a", "slice 1 [0-50 old] [0-101 one] live at 102\n");
    assert_int_equal(rig.reads, 1);
    assert_int_equal(metrics_get(&rig.metrics.replays_redis), 1);
}

static void a_channel_that_stands_twice_is_given_once(void **state)
{
    listen_to("*", "P");
    expect(REPLAY_AFTER, 20, "a,*,a", "slice 1 [0-50 old] [0-101 one] [0-102 two] live at 102\n");
}

static void a_client_without_a_usable_id_is_told_so_before_all_there_is(void **state)
{
    expect(REPLAY_UNKNOWN, 0, "a",
           "slice 1 [0-9 " GAP_A("unknown", "null") "] [0-50 old] [0-101 one] live at 102\n");
}

static void an_id_from_before_the_dataset_is_unknown(void **state)
{
    expect(REPLAY_AFTER, 5, "a",
           "slice 1 [0-9 " GAP_A("unknown", "null") "] [0-50 old] [0-101 one] live at 102\n");
}

static void an_id_of_zero_is_the_beginning(void **state)
{
    expect(REPLAY_AFTER, 0, "a", "slice 1 [0-50 old] [0-101 one] live at 102\n");
}

static void the_very_first_id_of_a_dataset_is_given_too(void **state)
{
    store("c", 10, "first");
    join("c", "C");
    expect(REPLAY_UNKNOWN, 0, "c",
           "slice 1 [0-9 gap {\"channel\":\"c\",\"reason\":\"unknown\",\"from\":null}]"
           " [0-10 first] live at 102\n");
}

static void an_id_from_the_future_is_unknown_when_a_fence_has_come_round(void **state)
{
    ask(1, REPLAY_AFTER, 5000, "a");
    turn();
    assert_string_equal(hears(), "");
    run();
    assert_string_equal(slices(), "slice 1 [0-9 " GAP_A(
                                      "unknown", "null") "] [0-50 old] [0-101 one] live at 102\n");
}

/* Another gateway told it, before our beat said that time had come so far. */
static void an_id_ahead_of_what_we_know_is_fine_when_a_fence_says_so(void **state)
{
    store("b", 120, "elsewhere");
    expect(REPLAY_AFTER, 120, "a", "slice 1 live at 120\n");
}

static void a_fence_under_way_proves_nothing_of_an_id_that_came_after_it(void **state)
{
    rig.now_us += BEAT_US;
    turn(); /* a fence is on its way, with what the clock says now */
    struct rig_call early = rig.pending[0];
    assert_int_equal(early.kind, CALL_FENCE);
    rig.pending_count = 0;
    ask(1, REPLAY_AFTER, 150, "a");
    turn();
    core_broker_events.on_fence(rig.core, rig.dataset.epoch, 110, 0);
    rig.dataset.clock = 150;
    run();
    assert_string_equal(slices(), "slice 1 live at 150\n");
}

static void since_counts_back_from_the_clock_of_the_dataset(void **state)
{
    publish("a", 1000101, "three");
    publish("b", 1000102, "four");
    rig.dataset.clock = 7000101; /* six seconds later */
    pass(BEAT_US);
    hears();
    expect(REPLAY_SINCE, 6, "a,b", "slice 1 [1000-102 four] live at 7000101\n");
    expect(REPLAY_SINCE, 7, "a",
           "slice 1 [0-50 old] [0-101 one] [1000-101 three] live at 7000101\n");
}

static void the_last_n_are_of_each_channel(void **state)
{
    publish("a", 103, "three");
    publish("b", 104, "four");
    expect(REPLAY_LAST, 1, "a,b", "slice 1 [0-103 three] [0-104 four] live at 104\n");
    assert_int_equal(rig.reads, 0);
    expect(REPLAY_LAST, 2, "b", "slice 1 [0-102 two] [0-104 four] live at 104\n");
    expect(REPLAY_LAST, 9, "a", "slice 1 [0-50 old] [0-101 one] [0-103 three] live at 104\n");
}

static void the_last_n_tell_no_gap_of_what_was_not_asked_for(void **state)
{
    lose("a", 50);
    rig.dataset.floor = 60;
    expect(REPLAY_LAST, 9, "a", "slice 1 [0-101 one] live at 102\n");
}

/* Patterns */

static void a_pattern_is_given_all_channels_that_the_index_knows(void **state)
{
    store("c", 60, "unseen");
    join("*", "P");
    expect(REPLAY_AFTER, 20, "*",
           "slice 1 [0-50 old] [0-60 unseen] [0-101 one] [0-102 two] live at 102\n");
}

static void a_pattern_asks_the_index_once_for_all_who_wait(void **state)
{
    join("*", "P");
    run();
    calls();
    ask(1, REPLAY_AFTER, 40, "*");
    ask(2, REPLAY_AFTER, 30, "*");
    run();
    assert_string_equal(slices(), "slice 1 [0-50 old] [0-101 one] [0-102 two] live at 102\n"
                                  "slice 2 [0-50 old] [0-101 one] [0-102 two] live at 102\n");
    calls();
    expect(REPLAY_AFTER, 30, "*", "slice 1 [0-50 old] [0-101 one] [0-102 two] live at 102\n");
    assert_string_equal(calls(), "");
}

static void a_pattern_whose_channels_the_index_may_have_forgotten_is_told(void **state)
{
    rig.pruned = 40;
    join("*", "P");
    expect(REPLAY_AFTER, 20, "*",
           "slice 1 [0-40 gap {\"pattern\":\"*\",\"reason\":\"trimmed\",\"from\":\"0-20\"}]"
           " [0-50 old] [0-101 one] [0-102 two] live at 102\n");
    expect(REPLAY_AFTER, 40, "*", "slice 1 [0-50 old] [0-101 one] [0-102 two] live at 102\n");
}

static void a_channel_without_history_has_none(void **state)
{
    join("raw.x", "R");
    expect(REPLAY_AFTER, 20, "raw.x", "slice 1 live at 102\n");
}

/* Gaps */

static void what_the_log_has_lost_is_told_where_it_stood(void **state)
{
    lose("a", 50);
    expect(REPLAY_AFTER, 20, "a",
           "slice 1 [0-50 " GAP_A("trimmed", "\"0-20\"") "] [0-101 one] live at 102\n");
    expect(REPLAY_AFTER, 50, "a", "slice 1 [0-101 one] live at 102\n");
}

static void who_was_told_is_told_again_only_of_what_is_lost_since(void **state)
{
    lose("a", 50);
    ask_told(1, REPLAY_AFTER, 20, "a", 50);
    run();
    assert_string_equal(slices(), "slice 1 [0-101 one] live at 102\n");
    ask_told(1, REPLAY_AFTER, 20, "a", 49);
    run();
    assert_non_null(strstr(slices(), "trimmed"));
}

static void a_cursor_below_the_floor_of_a_rewind_is_told(void **state)
{
    rig.dataset.verdict = DATASET_REWOUND;
    rig.dataset.floor = 110;
    rig.dataset.clock = 111;
    broker_down();
    broker_up();
    confirm_durable("b");
    confirm_durable("a");
    run();
    hears();
    expect(REPLAY_AFTER, 60, "a",
           "slice 1 [0-101 one] [0-110 " GAP_A("redis", "\"0-60\"") "] live at 111\n");
    expect(REPLAY_AFTER, 110, "a", "slice 1 live at 111\n");
}

static void a_cursor_of_a_window_that_was_lost_is_told(void **state)
{
    static const struct broker_window window = {.before = 30, .first = 40};
    rig_stop(state);
    rig_create(&(struct rig_options){0});
    rig.dataset.windows = &window;
    rig.dataset.window_count = 1;
    store("a", 50, "old");
    broker_up();
    join("a", "A");
    expect(REPLAY_AFTER, 35, "a",
           "slice 1 [0-39 " GAP_A("redis", "\"0-35\"") "] [0-50 old] live at 100\n");
    expect(REPLAY_AFTER, 30, "a", "slice 1 [0-50 old] live at 100\n");
    expect(REPLAY_AFTER, 40, "a", "slice 1 [0-50 old] live at 100\n");
}

static void who_waits_while_the_dataset_is_replaced_begins_anew(void **state)
{
    ask(1, REPLAY_AFTER, 20, "a");
    turn(); /* the read is under way */
    rig.dataset.epoch = span_of(RIG_OTHER);
    rig.dataset.verdict = DATASET_NEW;
    rig.dataset.born = rig.dataset.clock = 200;
    rig.records = 0;
    memset(rig.channels, 0, sizeof(rig.channels));
    rig.channel_count = 0;
    core_broker_events.on_fence(rig.core, rig.dataset.epoch, 200, 0);
    run();
    assert_string_equal(slices(), "slice 1 [0-199 " GAP_A("unknown", "null") "] live at 200\n");
}

#define AB(name) cmocka_unit_test_setup_teardown(name, start_ab, rig_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AB(now_is_an_empty_slice_at_the_head),
        AB(what_the_ring_has_is_given_without_a_read),
        AB(what_is_older_than_the_ring_is_read_once),
        AB(a_channel_that_stands_twice_is_given_once),
        AB(a_client_without_a_usable_id_is_told_so_before_all_there_is),
        AB(an_id_from_before_the_dataset_is_unknown),
        AB(an_id_of_zero_is_the_beginning),
        AB(the_very_first_id_of_a_dataset_is_given_too),
        AB(an_id_from_the_future_is_unknown_when_a_fence_has_come_round),
        AB(an_id_ahead_of_what_we_know_is_fine_when_a_fence_says_so),
        AB(a_fence_under_way_proves_nothing_of_an_id_that_came_after_it),
        AB(since_counts_back_from_the_clock_of_the_dataset),
        AB(the_last_n_are_of_each_channel),
        AB(the_last_n_tell_no_gap_of_what_was_not_asked_for),
        AB(a_pattern_is_given_all_channels_that_the_index_knows),
        AB(a_pattern_asks_the_index_once_for_all_who_wait),
        AB(a_pattern_whose_channels_the_index_may_have_forgotten_is_told),
        AB(a_channel_without_history_has_none),
        AB(what_the_log_has_lost_is_told_where_it_stood),
        AB(who_was_told_is_told_again_only_of_what_is_lost_since),
        AB(a_cursor_below_the_floor_of_a_rewind_is_told),
        AB(a_cursor_of_a_window_that_was_lost_is_told),
        AB(who_waits_while_the_dataset_is_replaced_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
