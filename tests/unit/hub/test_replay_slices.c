/* Replays in slices: how they are cut, what they cost the broker, and who goes meanwhile. */
#include "durable_rig.h"

#include "hub/core_private.h"

enum { BEAT_US = 2000000, SLICE = 256 };

/* The messages of all slices heard in a row must be `first` to `last`; returns the last cursor. */
struct heard {
    uint64_t next, cursor;
    unsigned slices;
    bool live;
};

static void hear(struct heard *h)
{
    for (const char *line = hears(), *next; *line; line = next) {
        next = strchr(line, '\n') + 1;
        if (strncmp(line, "slice", 5) != 0)
            continue;
        h->slices++;
        for (const char *at = line; (at = memchr(at, '[', (size_t)(next - at))); at++) {
            unsigned high, low;
            assert_int_equal(sscanf(at, "[%u-%u", &high, &low), 2);
            assert_int_equal(high * 1000 + low, h->next++);
        }
        const char *end = next;
        while (*end != ' ' || strncmp(end, " at ", 4) != 0)
            end--;
        h->live = strncmp(end - 4, "live", 4) == 0;
        h->cursor = strtoull(end + 4, NULL, 10);
    }
}

/* A stream that asks until it is live, from behind `after`. */
static void replay_all(struct heard *h, enum replay_from from, uint64_t after, const char *wants)
{
    *h = (struct heard){.next = after + 1, .cursor = after};
    for (int i = 0; !h->live; i++) {
        assert_true(i < 1000);
        ask(1, i ? REPLAY_AFTER : from, h->cursor, wants);
        run();
        hear(h);
        assert_int_equal(h->slices, i + 1);
    }
}

static int start_a(void **state)
{
    rig_start(state);
    listen_to("a", "A");
    listen_to("b", "B");
    return 0;
}

static void a_long_replay_is_cut_and_misses_nothing_at_the_cuts(void **state)
{
    struct heard h;
    for (uint64_t id = 101; id <= 900; id++)
        publish(id % 3 ? "a" : "b", id, "x");
    hears();
    replay_all(&h, REPLAY_AFTER, 100, "a,b");
    assert_int_equal(h.next, 901);
    assert_int_equal(h.slices, 800 / SLICE + 1);
    assert_int_equal(rig.reads, 0);
}

static void large_messages_are_cut_by_their_bytes(void **state)
{
    static char large[60000];
    struct heard h;
    memset(large, 'x', sizeof(large) - 1);
    for (uint64_t id = 101; id <= 110; id++)
        publish("a", id, large);
    hears();
    replay_all(&h, REPLAY_AFTER, 100, "a");
    assert_int_equal(h.next, 111);
    assert_int_equal(h.slices, 4);
}

static void a_log_of_several_reads_is_given_whole(void **state)
{
    struct heard h;
    rig_stop(state);
    rig_create(&(struct rig_options){0});
    for (uint64_t id = 101; id <= 3100; id++)
        store("a", id, "x");
    broker_up();
    join("a", "A");
    run();
    hears();
    replay_all(&h, REPLAY_AFTER, 100, "a");
    assert_int_equal(h.next, 3101);
    assert_true(rig.reads <= 4);
    rig.reads = 0;
    replay_all(&h, REPLAY_AFTER, 100, "a"); /* the ring has it now */
    assert_int_equal(rig.reads, 0);
}

static void a_replay_larger_than_the_budget_is_given_whole(void **state)
{
    static char large[1000];
    struct heard h;
    rig_stop(state);
    rig_create(&(struct rig_options){.replay_bytes = 20000});
    memset(large, 'x', sizeof(large) - 1);
    for (uint64_t id = 101; id <= 1100; id++)
        store(id % 2 ? "a" : "b", id, large);
    broker_up();
    join("a", "A");
    join("b", "B");
    run();
    hears();
    replay_all(&h, REPLAY_AFTER, 100, "a,b");
    assert_int_equal(h.next, 1101);
    pass(BEAT_US);
    pass(BEAT_US);
    assert_true(metrics_get(&rig.metrics.ring_bytes) <= 20000);
}

static void start_long(unsigned messages)
{
    rig_create(&(struct rig_options){0});
    for (uint64_t id = 101; id <= 100 + messages; id++)
        store("a", id, "x");
    broker_up();
    join("a", "A");
    run();
    hears();
    rig.reads = 0;
    calls();
}

static void of_the_last_messages_of_a_long_log_no_more_is_read(void **state)
{
    rig_stop(state);
    start_long(8000);
    ask(1, REPLAY_LAST, 3, "a");
    run();
    assert_string_equal(hears(), "slice 1 [8-98 x] [8-99 x] [8-100 x] live at 8100\n");
    assert_string_equal(calls(), "read a 9\nback a 3\nread a 8097\n");
    ask(2, REPLAY_LAST, 2, "a");
    run();
    assert_string_equal(hears(), "slice 2 [8-99 x] [8-100 x] live at 8100\n");
    assert_string_equal(calls(), "");
}

static void a_broker_that_cannot_tell_where_the_last_begin_is_read_from_the_first(void **state)
{
    rig_stop(state);
    start_long(3000);
    ask(1, REPLAY_LAST, 2, "a");
    turn();
    answer();
    turn();
    assert_string_equal(calls(), "read a 9\nback a 2\n");
    answer_err(ERR_INVALID);
    run();
    assert_string_equal(hears(), "slice 1 [3-99 x] [3-100 x] live at 3100\n");
    assert_int_equal(rig.reads, 3);
}

static void a_thousand_who_want_the_last_messages_ask_once(void **state)
{
    rig_stop(state);
    start_long(5000);
    for (unsigned i = 0; i < 1000; i++)
        ask(i, REPLAY_LAST, 1 + i % 2, "a");
    run();
    const char *all = hears();
    unsigned live = 0;
    for (const char *at = all; (at = strstr(at, "live at 5100")); at++)
        live++;
    assert_int_equal(live, 1000);
    assert_true(rig.reads <= 3);
}

/* Each is at another place of the log, so that what they hold is nobody else's. */
static void streams_that_take_nothing_hold_little_more_than_the_budget(void **state)
{
    enum { STREAMS = 60, APART = 130, BUDGET = 1 << 20, SMALL = 20 << 10 };
    static char large[1000];
    struct heard h;
    rig_stop(state);
    rig_create(&(struct rig_options){.replay_bytes = BUDGET});
    memset(large, 'x', sizeof(large) - 1);
    for (uint64_t id = 101; id <= 101 + STREAMS * APART; id++)
        store("a", id, large);
    broker_up();
    join("a", "A");
    run();
    for (uint64_t i = 0; i < STREAMS; i++) {
        ask(i + 1, REPLAY_AFTER, 100 + i * APART, "a"); /* and nobody hears the answer */
        run();
    }
    assert_in_range(rig.core->durable.alive, BUDGET / 2, 2 * BUDGET + STREAMS * SMALL);
    hears();
    assert_in_range(rig.core->durable.alive, 0, BUDGET + SMALL);
    replay_all(&h, REPLAY_AFTER, 100, "a");
    assert_int_equal(h.next, 102 + STREAMS * APART);
}

static void what_is_published_while_a_stream_pulls_comes_behind(void **state)
{
    struct heard h = {.next = 101, .cursor = 100};
    for (uint64_t id = 101; id <= 500; id++)
        publish("a", id, "x");
    hears();
    ask(1, REPLAY_AFTER, 100, "a");
    run();
    hear(&h);
    assert_false(h.live);
    for (uint64_t id = 501; id <= 510; id++)
        publish("a", id, "x");
    while (!h.live) {
        ask(1, REPLAY_AFTER, h.cursor, "a");
        run();
        hear(&h);
    }
    assert_int_equal(h.next, 511);
}

/* Its first gap, of an unknown id, stood for what was lost by then. */
static void what_is_lost_while_a_stream_pulls_is_told(void **state)
{
    rig_stop(state);
    rig_create(&(struct rig_options){.replay_bytes = 1000}); /* so that the log is read again */
    for (uint64_t id = 101; id <= 1000; id++)
        store("a", id, "x");
    broker_up();
    join("a", "A");
    run();
    ask(1, REPLAY_UNKNOWN, 0, "a");
    run();
    uint64_t cursor = 0;
    const char *at = strstr(hears(), " more at ");
    assert_non_null(at);
    cursor = strtoull(at + 9, NULL, 10);
    assert_true(cursor < 800);
    pass(BEAT_US);
    lose("a", 800);
    ask_told(1, REPLAY_AFTER, cursor, "a", rig.told);
    run();
    assert_non_null(strstr(hears(), "[0-800 gap {\"channel\":\"a\",\"reason\":\"trimmed\""));
}

static void two_messages_of_one_id_are_never_in_two_slices(void **state)
{
    for (uint64_t id = 101; id <= 101 + SLICE; id++)
        publish("a", id, "x");
    hears();
    lose("b", 0);
    /* The gap of b stands where the slice is full. */
    notice("b", 200 + SLICE, 100 + SLICE, "y");
    run();
    hears();
    ask(1, REPLAY_AFTER, 100, "a,b");
    run();
    const char *slice = strstr(hears(), "slice");
    char end[64];
    snprintf(end, sizeof(end), " more at %d\n", 100 + SLICE);
    assert_non_null(strstr(slice, end));
    assert_non_null(strstr(slice, "\"channel\":\"b\""));
}

/* The broker */

static void a_thousand_who_come_at_once_cost_one_read(void **state)
{
    rig_stop(state);
    rig_create(&(struct rig_options){0});
    for (uint64_t id = 101; id <= 300; id++)
        store("a", id, "x");
    broker_up();
    join("a", "A");
    run();
    hears();
    rig.reads = 0;
    for (uint64_t stream = 1; stream <= 1000; stream++)
        ask(stream, REPLAY_AFTER, 100 + stream % 150, "a");
    run();
    unsigned slices = 0;
    for (const char *at = hears(); (at = strstr(at, "live at 300\n")); at++)
        slices++;
    assert_int_equal(slices, 1000);
    assert_true(rig.reads <= 2);
}

static void a_read_that_fails_is_made_again(void **state)
{
    store("a", 50, "old");
    ask(1, REPLAY_AFTER, 20, "a");
    turn();
    assert_string_equal(calls(), "read a 20\n");
    answer_err(ERR_TIMEOUT);
    turn();
    assert_string_equal(hears(), "");
    pass(BEAT_US);
    assert_non_null(strstr(hears(), "slice 1 [0-50 old] live at 100\n"));
}

static void reads_for_channels_that_were_left_are_not_counted_for_ever(void **state)
{
    for (int i = 0; i < 200; i++) {
        char name[24];
        snprintf(name, sizeof(name), "c%d", i);
        store(name, 50, "old");
        join(name, "C");
        ask(1, REPLAY_NOW, 0, name);
        run();
        ask(2, REPLAY_AFTER, 20, name);
        turn(); /* the read is under way */
        forget(2);
        leave(name, "C");
        turn();
        char note[40];
        snprintf(note, sizeof(note), "sluice:note:%s", name);
        core_broker_events.on_unsubscribed(rig.core, TOPIC_CHANNEL, span_of(name));
        core_broker_events.on_unsubscribed(rig.core, TOPIC_CHANNEL, span_of(note));
        run();
    }
    hears();
    store("a", 50, "old");
    ask(3, REPLAY_AFTER, 20, "a");
    run();
    assert_non_null(strstr(hears(), "slice 3 [0-50 old] live"));
}

static void a_stream_that_goes_while_it_waits_is_never_answered(void **state)
{
    store("a", 50, "old");
    ask(1, REPLAY_AFTER, 20, "a");
    ask(2, REPLAY_AFTER, 20, "a");
    turn();
    forget(1);
    run();
    assert_string_equal(hears(), "slice 2 [0-50 old] live at 100\n");
}

static void who_waits_when_the_broker_goes_is_answered_when_it_is_back(void **state)
{
    store("a", 50, "old");
    ask(1, REPLAY_AFTER, 20, "a");
    turn();
    broker_down();
    broker_up();
    confirm_durable("b");
    confirm_durable("a");
    run();
    assert_string_equal(hears(), "slice 1 [0-50 old] live at 100\n");
}

static void a_broker_that_answers_from_within_the_call_serves_at_once(void **state)
{
    store("a", 50, "old");
    store("c", 60, "other");
    rig.at_once = true;
    join("*", "P");
    ask(1, REPLAY_AFTER, 20, "*,a");
    ask(2, REPLAY_AFTER, 7000, "a");
    turn();
    const char *all = hears();
    assert_non_null(strstr(all, "slice 1 [0-50 old] [0-60 other] live at 100\n"));
    assert_non_null(strstr(all, "slice 2 [0-9 gap"));
}

static void wrapped_streams_get_their_form_of_each_message(void **state)
{
    publish("a", 101, "one");
    hears();
    struct msg *m = msg_create(MSG_REPLAY, 0);
    m->replay = replay_request_create(1);
    m->replay->stream = 1;
    m->replay->from = REPLAY_AFTER;
    m->replay->value = 100;
    m->replay->wrapped = true;
    m->replay->wants[0] = (struct replay_want){.kind = TOPIC_CHANNEL, .name = span_of("a")};
    rig_to_core(m);
    run();
    assert_string_equal(hears(),
                        "slice 1 [0-101 {\"channel\":\"a\",\"event\":null,\"data\":\"one\","
                        "\"id\":\"0-101\"}] live at 101\n");
}

#define A(name) cmocka_unit_test_setup_teardown(name, start_a, rig_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        A(a_long_replay_is_cut_and_misses_nothing_at_the_cuts),
        A(large_messages_are_cut_by_their_bytes),
        A(a_log_of_several_reads_is_given_whole),
        A(a_replay_larger_than_the_budget_is_given_whole),
        A(of_the_last_messages_of_a_long_log_no_more_is_read),
        A(a_broker_that_cannot_tell_where_the_last_begin_is_read_from_the_first),
        A(a_thousand_who_want_the_last_messages_ask_once),
        A(streams_that_take_nothing_hold_little_more_than_the_budget),
        A(what_is_published_while_a_stream_pulls_comes_behind),
        A(what_is_lost_while_a_stream_pulls_is_told),
        A(two_messages_of_one_id_are_never_in_two_slices),
        A(a_thousand_who_come_at_once_cost_one_read),
        A(a_read_that_fails_is_made_again),
        A(reads_for_channels_that_were_left_are_not_counted_for_ever),
        A(a_stream_that_goes_while_it_waits_is_never_answered),
        A(who_waits_when_the_broker_goes_is_answered_when_it_is_back),
        A(a_broker_that_answers_from_within_the_call_serves_at_once),
        A(wrapped_streams_get_their_form_of_each_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
