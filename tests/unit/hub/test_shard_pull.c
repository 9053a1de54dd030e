/* Durable streams: replay by slices, the switch to live, and the ways back. */
#include "shard_rig.h"

static int start_up(void **state)
{
    start(state);
    broker_is(true, "");
    return 0;
}

/* "5 6 live@9": items with those ids, each a frame of that text, and the cursor; "told" likewise.
 */
static struct msg *slice(uint64_t stream, const char *text)
{
    struct msg *m = msg_create(MSG_SLICE, 3);
    m->slice = replay_slice_create(200);
    m->slice->stream = stream;
    char copy[256], *save = NULL;
    strcpy(copy, text);
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        unsigned cursor = 0;
        if (sscanf(word, "live@%u", &cursor) == 1 || sscanf(word, "more@%u", &cursor) == 1) {
            m->slice->live = word[0] == 'l';
            m->slice->cursor = cursor;
        } else if (strcmp(word, "told") == 0) {
            m->slice->told = true;
        } else {
            struct replay_item *item = &m->slice->items[m->slice->count++];
            item->frame = frame_create(span_of(word), 0);
            item->id = strtoul(word + strspn(word, "gap"), NULL, 10);
        }
    }
    return m;
}

static void core_gives(uint64_t stream, const char *text)
{
    struct msg *m = slice(stream, text);
    assert_true(shard_handle(shard, m));
    msg_free(m);
}

static void core_refuses(uint64_t stream, const char *why)
{
    struct msg *m = slice(stream, "more@0");
    m->slice->why = strdup(why);
    assert_true(shard_handle(shard, m));
    msg_free(m);
}

static void frontier_is(uint64_t id)
{
    struct msg *m = msg_create(MSG_FRONTIER, 3);
    m->id = id;
    assert_true(shard_handle(shard, m));
    msg_free(m);
}

static void found_late(struct shard_topic *t, uint64_t id)
{
    struct msg *m = msg_create(MSG_TOPIC_LATE, 3);
    m->topic = t;
    m->id = id;
    m->frame = frame_create(span_of("late"), 0);
    assert_true(shard_handle(shard, m));
    msg_free(m);
}

/* A run of one topic: "7 x 8": durable entries by their ids, others ephemeral; one pub each. */
static uint32_t run_of(struct shard_topic *t, const char *text, uint64_t pub)
{
    struct lane_entry entries[16];
    uint32_t n = 0;
    char copy[256], *save = NULL;
    strcpy(copy, text);
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        uint64_t id = strtoul(word, NULL, 10);
        entries[n++] = (struct lane_entry){
            .frame = frame_create(span_of(word), 1), .topic = t, .pub = pub++, .id = id};
    }
    uint32_t given = shard_fan_out(shard, entries, n);
    for (uint32_t i = 0; i < n; i++)
        frame_unref(entries[i].frame);
    return given;
}

/* A durable stream that asks and is live at once, with everything up to `cursor`. */
static struct shard_topic *live(struct listener *l, const char *channel, unsigned cursor)
{
    char text[32];
    l->sub.durable = true;
    struct shard_topic *t = join_one(l, channel);
    snprintf(text, sizeof(text), "live@%u", cursor);
    core_gives(last_stream, text);
    core_says(MSG_TOPIC_READY, t);
    hears();
    return t;
}

static void a_durable_stream_asks_where_it_begins_when_it_has_subscribed(void **state)
{
    struct shard_want wants[] = {{TOPIC_CHANNEL, span_of("one")}, {TOPIC_PATTERN, span_of("t*")}};
    a.sub.durable = b.sub.durable = b.sub.wrapped = true;
    shard_join(shard, &a.sub, wants, 2, NULL);
    assert_string_equal(core_hears(), "+one +p/t* ?now:0(one,p/t*) ");
    assert_true(a.sub.replaying);
    struct shard_resume last = {.from = REPLAY_LAST, .value = 3};
    shard_join(shard, &b.sub, wants, 1, &last);
    assert_string_equal(core_hears(), "+w/one ?last:3(one)w ");
}

static void an_ephemeral_stream_asks_nothing(void **state)
{
    struct shard_resume after = {.from = REPLAY_AFTER, .value = 3};
    struct shard_want want = {TOPIC_CHANNEL, span_of("one")};
    shard_join(shard, &a.sub, &want, 1, &after);
    assert_string_equal(core_hears(), "+one ");
    assert_false(a.sub.replaying);
    shard_pull(shard, &a.sub);
    assert_string_equal(core_hears(), "");
}

static void slice_follows_slice_until_one_is_live(void **state)
{
    a.sub.durable = true;
    struct shard_topic *one = join_one(&a, "one");
    core_gives(last_stream, "5 6 more@6");
    assert_string_equal(hears(), "a:5 a:6 ");
    assert_string_equal(core_hears(), "?after:6(one) ");
    core_gives(last_stream, "7 live@20");
    assert_string_equal(hears(), "a:7 a:live@20 ");
    assert_string_equal(core_hears(), "");
    run_of(one, "21", 1);
    assert_string_equal(hears(), "a:21 ");
    assert_int_equal(a.sub.cursor, 21);
}

static void a_slice_of_more_than_one_call_comes_whole_and_in_order(void **state)
{
    struct msg *m = NULL;
    struct buf want = {0};
    a.sub.durable = true;
    join_one(&a, "one");
    m = slice(last_stream, "live@200");
    for (unsigned id = 1; id <= 150; id++) {
        char text[8];
        snprintf(text, sizeof(text), "%u", id);
        m->slice->items[m->slice->count++] =
            (struct replay_item){.frame = frame_create(span_of(text), 0), .id = id};
        buf_printf(&want, "a:%s ", text);
    }
    buf_str(&want, "a:live@200 ");
    assert_true(shard_handle(shard, m));
    msg_free(m);
    assert_string_equal(buf_cstr(&heard), buf_cstr(&want));
    buf_reset(&heard);
    buf_free(&want);
}

static void a_gap_in_a_slice_moves_the_cursor_and_is_remembered(void **state)
{
    a.sub.durable = true;
    struct shard_topic *one = join_one(&a, "one");
    core_gives(last_stream, "gap4 5 told more@5");
    assert_string_equal(hears(), "a:gap4 a:5 ");
    assert_string_equal(core_hears(), "?after:5(one)told ");
    core_gives(last_stream, "told live@5");
    frontier_is(5);
    core_says(MSG_TOPIC_LAG, one);
    assert_string_equal(core_hears(), "?after:5(one) "); /* told is of the past */
}

static void while_a_stream_replays_durable_messages_pass_it_by_and_others_do_not(void **state)
{
    a.sub.durable = true;
    struct shard_topic *one = join_one(&a, "one");
    assert_int_equal(run_of(one, "7 x 8 y z 9", 1), 3);
    assert_string_equal(hears(), "a:x a:y a:z ");
    assert_int_equal(a.sub.cursor, 0);
    core_gives(last_stream, "7 8 9 live@9");
    hears();
    assert_int_equal(run_of(one, "x 10 11 y", 7), 4);
    assert_string_equal(hears(), "a:x a:10 a:11 a:y ");
    assert_int_equal(a.sub.cursor, 11);
}

static void a_message_that_comes_through_two_topics_is_given_once(void **state)
{
    a.sub.durable = true;
    JOIN(&a, "one", "two");
    core_hears();
    struct shard_topic *two = last_topic;
    core_gives(last_stream, "live@5");
    struct shard_topic *one = live(&b, "one", 5);
    hears();
    assert_int_equal(run_of(one, "6", 1), 2);
    assert_int_equal(run_of(two, "6", 1), 0);
    assert_int_equal(run_of(two, "7 x", 2), 2);
    assert_int_equal(run_of(one, "x", 3), 1);
    assert_string_equal(hears(), "a:6 b:6 a:7 a:x b:x ");
}

static void what_a_slice_has_already_held_is_not_given_again(void **state)
{
    struct shard_topic *one = live(&a, "one", 20);
    assert_int_equal(run_of(one, "19 20 21", 1), 1);
    assert_string_equal(hears(), "a:21 ");
}

static void a_slice_waits_for_room_and_is_then_no_longer_live(void **state)
{
    a.sub.durable = a.narrow = true;
    a.room = 1;
    struct shard_topic *one = join_one(&a, "one");
    core_gives(last_stream, "5 6 7 live@7");
    assert_string_equal(hears(), "a:5 ");
    assert_int_equal(a.sub.cursor, 5);
    run_of(one, "8", 1); /* this one has passed it: the slice does not hold it */
    shard_pull(shard, &a.sub);
    assert_string_equal(hears(), "");
    a.narrow = false;
    shard_pull(shard, &a.sub);
    assert_string_equal(hears(), "a:6 a:7 ");
    assert_string_equal(core_hears(), "?after:7(one) ");
    shard_pull(shard, &a.sub); /* it is under way: not asked twice */
    assert_string_equal(core_hears(), "");
    core_gives(last_stream, "8 live@8");
    assert_string_equal(hears(), "a:8 a:live@8 ");
}

static void a_live_stream_without_room_replays_from_the_last_message_it_took(void **state)
{
    struct shard_topic *one = live(&a, "one", 5);
    a.narrow = true;
    a.room = 2;
    assert_int_equal(run_of(one, "6 7 8 9", 1), 2);
    assert_string_equal(hears(), "a:6 a:7 ");
    assert_true(a.sub.replaying);
    assert_int_equal(a.sub.cursor, 7);
    assert_string_equal(core_hears(), ""); /* there is no room for an answer yet */
    run_of(one, "10", 5);
    a.narrow = false;
    shard_pull(shard, &a.sub);
    assert_string_equal(core_hears(), "?after:7(one) ");
    core_gives(last_stream, "8 9 10 live@10");
    assert_string_equal(hears(), "a:8 a:9 a:10 a:live@10 ");
}

static void what_stands_behind_a_message_without_room_still_comes_if_it_is_ephemeral(void **state)
{
    struct shard_topic *one = live(&a, "one", 5);
    a.narrow = true;
    a.room = 1;
    assert_int_equal(run_of(one, "6 7 x 8", 1), 2);
    assert_string_equal(hears(), "a:6 ");
    a.narrow = false;
    shard_tell_owed(shard, &a.sub);
    assert_string_equal(hears(), "a:lost(one) ");
}

static void a_lag_makes_live_streams_ask_from_where_they_are(void **state)
{
    struct shard_topic *one = live(&a, "one", 5);
    run_of(one, "6", 1);
    hears();
    core_says(MSG_TOPIC_LAG, one);
    assert_string_equal(core_hears(), "?after:6(one) ");
    run_of(one, "8", 2);
    assert_string_equal(hears(), "");
    core_gives(last_stream, "7 8 live@8");
    assert_string_equal(hears(), "a:7 a:8 a:live@8 ");
}

static void a_lag_asks_from_the_frontier_where_that_is_ahead(void **state)
{
    struct shard_topic *one = live(&a, "one", 5);
    frontier_is(90);
    assert_int_equal(shard_frontier(shard), 90);
    core_says(MSG_TOPIC_LAG, one);
    assert_string_equal(core_hears(), "?after:90(one) ");
    frontier_is(95); /* now there is something below it that the stream has not had */
    core_gives(last_stream, "more@92");
    assert_string_equal(core_hears(), "?after:92(one) ");
}

static void a_lag_is_nothing_new_to_a_stream_that_has_asked_or_will_ask(void **state)
{
    a.sub.durable = true;
    struct shard_topic *one = join_one(&a, "one");
    core_says(MSG_TOPIC_LAG, one);
    assert_string_equal(core_hears(), "");
    a.narrow = true;
    a.room = 0;
    core_gives(last_stream, "5 live@5"); /* it waits */
    core_says(MSG_TOPIC_LAG, one);
    assert_string_equal(core_hears(), "");
    a.narrow = false;
    shard_pull(shard, &a.sub);
    assert_string_equal(hears(), "a:5 ");
    assert_string_equal(core_hears(), "?after:5(one) ");
}

static void a_stream_older_than_its_channels_history_follows_a_lag_too(void **state)
{
    struct shard_topic *one = join_one(&a, "one");
    run_of(one, "6", 1);
    core_says(MSG_TOPIC_LAG, one);
    assert_string_equal(core_hears(), "?after:6(one) ");
    core_gives(last_stream, "7 live@7");
    assert_string_equal(hears(), "a:6 a:7 a:live@7 ");
    struct shard_topic *two = join_one(&b, "two");
    core_says(MSG_TOPIC_LAG, two);
    assert_string_equal(core_hears(), "?unknown:0(two) ");
}

static void a_message_found_late_is_told_to_those_who_are_past_it(void **state)
{
    live(&a, "one", 5);
    live(&b, "one", 20);
    c.sub.durable = true;
    struct shard_topic *one = join_one(&c, "one"); /* replays: will come to it */
    hears();
    found_late(one, 10);
    assert_string_equal(hears(), "b:late ");
    assert_int_equal(b.sub.cursor, 20);
    frontier_is(10);
    found_late(one, 10); /* an idle live stream is where the frontier is */
    assert_string_equal(hears(), "a:late b:late ");
    run_of(one, "10", 1);
    assert_string_equal(hears(), "");
}

static void durable_gap(struct shard_topic *t, uint64_t id)
{
    struct msg *m = msg_create(MSG_TOPIC_GAP, 3);
    m->topic = t;
    m->id = id;
    m->frame = frame_create(span_of("hole"), 0);
    assert_true(shard_handle(shard, m));
    msg_free(m);
}

static void a_gap_with_an_id_takes_the_place_of_messages_up_to_it(void **state)
{
    live(&a, "one", 5);
    live(&b, "one", 20); /* had what lies behind it by a replay */
    c.sub.durable = true;
    struct shard_topic *one = join_one(&c, "one"); /* replays: is told in a slice */
    hears();
    durable_gap(one, 10);
    assert_string_equal(hears(), "a:hole ");
    assert_int_equal(a.sub.cursor, 10);
    durable_gap(one, 10); /* through another topic */
    assert_string_equal(hears(), "");
    a.narrow = true;
    a.room = 0;
    durable_gap(one, 30);
    assert_string_equal(hears(), "b:hole ");
    a.narrow = false;
    shard_pull(shard, &a.sub);
    assert_string_equal(core_hears(), "?after:10(one) ");
}

static void one_that_leaves_takes_its_request_back(void **state)
{
    a.sub.durable = true;
    join_one(&a, "one");
    uint64_t number = last_stream;
    shard_leave(shard, &a.sub);
    assert_string_equal(core_hears(), "?end -one ");
    core_gives(number, "5 live@5"); /* crossed it */
    assert_string_equal(hears(), "");
    live(&b, "one", 5);
    assert_int_not_equal(last_stream, number);
    shard_leave(shard, &b.sub);
    assert_string_equal(core_hears(), "-one "); /* nothing was under way */
}

static void one_that_leaves_with_a_slice_waiting_gives_it_back(void **state)
{
    a.sub.durable = a.narrow = true;
    join_one(&a, "one");
    core_gives(last_stream, "5 6 more@6");
    shard_leave(shard, &a.sub);
    assert_null(a.sub.pull);
    assert_false(a.sub.replaying);
    assert_string_equal(core_hears(), "-one ");
}

static void that_there_is_no_history_is_told(void **state)
{
    a.sub.durable = true;
    join_one(&a, "one");
    core_refuses(last_stream, "not allowed");
    assert_string_equal(hears(), "a:none(not allowed) ");
    assert_string_equal(core_hears(), "");
}

static void a_broker_that_goes_and_comes_leaves_requests_under_way(void **state)
{
    a.sub.durable = true;
    struct shard_topic *one = join_one(&a, "one");
    core_says(MSG_TOPIC_READY, one);
    broker_is(false, "gone");
    broker_is(true, "");
    core_says(MSG_TOPIC_READY, one);
    assert_string_equal(hears(), "a:ready a:waiting a:ready ");
    assert_string_equal(core_hears(), "");
    core_gives(last_stream, "5 live@5");
    assert_string_equal(hears(), "a:5 a:live@5 ");
}

static void an_owed_gap_is_told_once_and_keeps_what_follows_back(void **state)
{
    struct shard_want wants[] = {{TOPIC_CHANNEL, span_of("one")}, {TOPIC_PATTERN, span_of("t*")}};
    shard_join(shard, &a.sub, wants, 2, NULL);
    core_hears();
    struct shard_topic *pattern = last_topic;
    shard_owe_gap(&a.sub, pattern);
    shard_owe_gap(&a.sub, pattern);
    assert_int_equal(a.sub.owed, 1);
    assert_true(shard_owes_gap(&a.sub, pattern));
    shard_tell_owed(shard, &a.sub);
    shard_tell_owed(shard, &a.sub);
    assert_string_equal(hears(), "a:lost(p/t*) ");
    assert_false(shard_owes_gap(&a.sub, pattern));
    assert_int_equal(a.sub.owed, 0);
}

#define UP(name) cmocka_unit_test_setup_teardown(name, start_up, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UP(a_durable_stream_asks_where_it_begins_when_it_has_subscribed),
        UP(an_ephemeral_stream_asks_nothing),
        UP(slice_follows_slice_until_one_is_live),
        UP(a_slice_of_more_than_one_call_comes_whole_and_in_order),
        UP(a_gap_in_a_slice_moves_the_cursor_and_is_remembered),
        UP(while_a_stream_replays_durable_messages_pass_it_by_and_others_do_not),
        UP(a_message_that_comes_through_two_topics_is_given_once),
        UP(what_a_slice_has_already_held_is_not_given_again),
        UP(a_slice_waits_for_room_and_is_then_no_longer_live),
        UP(a_live_stream_without_room_replays_from_the_last_message_it_took),
        UP(what_stands_behind_a_message_without_room_still_comes_if_it_is_ephemeral),
        UP(a_lag_makes_live_streams_ask_from_where_they_are),
        UP(a_lag_asks_from_the_frontier_where_that_is_ahead),
        UP(a_lag_is_nothing_new_to_a_stream_that_has_asked_or_will_ask),
        UP(a_stream_older_than_its_channels_history_follows_a_lag_too),
        UP(a_message_found_late_is_told_to_those_who_are_past_it),
        UP(a_gap_with_an_id_takes_the_place_of_messages_up_to_it),
        UP(one_that_leaves_takes_its_request_back),
        UP(one_that_leaves_with_a_slice_waiting_gives_it_back),
        UP(that_there_is_no_history_is_told),
        UP(a_broker_that_goes_and_comes_leaves_requests_under_way),
        UP(an_owed_gap_is_told_once_and_keeps_what_follows_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
