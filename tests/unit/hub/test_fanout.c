/* From a message of the broker to frames in the lanes. */
#include "hub_rig.h"

#include <inttypes.h>

#define GAP(kind, name, reason)                                                                    \
    "gap event: sluice.gap|data: {\"" kind "\":\"" name "\",\"reason\":\"" reason                  \
    "\",\"from\":null}\n"

static void a_message_goes_to_every_worker_that_has_streams_of_its_channel(void **state)
{
    join(0, "a", "A");
    join(2, "a", "C");
    join(1, "b", "B");
    confirm(TOPIC_CHANNEL, "a");
    confirm(TOPIC_CHANNEL, "b");
    for (uint32_t w = 0; w < RIG_WORKERS; w++)
        hears(w);
    message("a", "x");
    assert_string_equal(hears(0), "A data: x\n");
    assert_string_equal(hears(1), "");
    assert_string_equal(hears(2), "C data: x\n");
    assert_int_equal(metrics_get(&rig.metrics.messages), 1);
}

static void each_form_is_made_once_and_shared_by_all_workers(void **state)
{
    const struct frame *plain[RIG_WORKERS], *wrapped[RIG_WORKERS];
    for (uint32_t w = 0; w < RIG_WORKERS; w++) {
        join(w, "a", "A");
        join_wrapped(w, "a", "Aw");
        hears(w);
    }
    confirm(TOPIC_CHANNEL, "a");
    for (uint32_t w = 0; w < RIG_WORKERS; w++)
        hears(w);
    message("a", "x");
    for (uint32_t w = 0; w < RIG_WORKERS; w++) {
        struct frame_lane *lane = &rig.down[w].frames;
        plain[w] = lane->ring[(frame_lane_posted(lane) - 2) % LANE_ENTRIES].frame;
        wrapped[w] = lane->ring[(frame_lane_posted(lane) - 1) % LANE_ENTRIES].frame;
        assert_ptr_equal(plain[w], plain[0]);
        assert_ptr_equal(wrapped[w], wrapped[0]);
    }
    assert_int_equal(plain[0]->born_us, rig.now_us);
    assert_string_equal(hears(1),
                        "A data: x\n"
                        "Aw data: {\"channel\":\"a\",\"event\":null,\"data\":\"x\",\"id\":null}\n");
}

static void a_message_that_nobody_wants_is_not_counted_as_one_that_went_out(void **state)
{
    listen_to("a", "A");
    leave(0, "a", "A");
    message("a", "x");
    assert_int_equal(metrics_get(&rig.metrics.messages), 0);
}

/* The number by which a shard knows that it has given a publication to a stream already. */
static uint64_t next_pub(void)
{
    struct lane_entry *e = frame_lane_peek(&rig.down[0].frames);
    assert_non_null(e);
    uint64_t pub = e->pub;
    hears_one(0);
    return pub;
}

static void all_topics_of_a_publication_carry_its_number_and_the_next_has_another(void **state)
{
    listen_to("a", "A");
    listen_to_pattern("a*", "P");
    listen_to_pattern("*", "Q");
    message("a", "x");
    message("a", "y");
    uint64_t first = next_pub();
    assert_int_equal(next_pub(), first);
    assert_int_equal(next_pub(), first);
    uint64_t second = next_pub();
    assert_int_not_equal(second, first);
    assert_int_equal(next_pub(), second);
    assert_true(first > 0);
}

/* Which copy counts */

static void a_channels_own_copy_counts_and_those_of_its_patterns_do_not(void **state)
{
    listen_to("a", "A");
    listen_to_pattern("a*", "P");
    message("a", "x");
    pmessage("a*", "a", "x");
    assert_string_equal(hears(0), "A data: x\nP data: x\n");
}

static void of_overlapping_patterns_one_copy_counts_in_whatever_order_they_come(void **state)
{
    listen_to_pattern("a*", "P");
    listen_to_pattern("*b", "Q");
    listen_to_pattern("*", "R");
    pmessage("*", "ab", "1");
    pmessage("*b", "ab", "1");
    pmessage("a*", "ab", "1");
    pmessage("a*", "ab", "2");
    pmessage("*b", "ab", "2");
    pmessage("*", "ab", "2");
    assert_string_equal(hears(0), "P data: 1\nQ data: 1\nR data: 1\n"
                                  "P data: 2\nQ data: 2\nR data: 2\n");
    pmessage("*b", "b", "3");
    pmessage("*", "b", "3");
    assert_string_equal(hears(0), "Q data: 3\nR data: 3\n");
}

static void until_the_channel_is_confirmed_the_patterns_copy_counts(void **state)
{
    listen_to_pattern("a*", "P");
    join(0, "a", "A");
    pmessage("a*", "a", "1");
    assert_string_equal(hears(0), "A data: 1\nP data: 1\n");
    confirm(TOPIC_CHANNEL, "a");
    message("a", "2");
    pmessage("a*", "a", "2");
    assert_string_equal(hears(0), "A ready\nA data: 2\nP data: 2\n");
}

static void until_an_earlier_pattern_is_confirmed_the_later_ones_copy_counts(void **state)
{
    join_pattern(0, "a*", "P");
    join_pattern(0, "*", "Q");
    confirm(TOPIC_PATTERN, "*");
    pmessage("*", "a", "1");
    assert_string_equal(hears(0), "Q ready\nP data: 1\nQ data: 1\n");
    confirm(TOPIC_PATTERN, "a*");
    pmessage("a*", "a", "2");
    pmessage("*", "a", "2");
    assert_string_equal(hears(0), "P ready\nP data: 2\nQ data: 2\n");
}

static void a_channel_on_its_way_out_counts_until_its_end_is_confirmed(void **state)
{
    listen_to_pattern("a*", "P");
    listen_to("a", "A");
    leave(0, "a", "A");
    pass(RIG_LINGER_US);
    message("a", "1");
    pmessage("a*", "a", "1");
    assert_string_equal(hears(0), "A gone\nP data: 1\n");
    confirm_end(TOPIC_CHANNEL, "a");
    pmessage("a*", "a", "2");
    assert_string_equal(hears(0), "P data: 2\n");
}

/* From the answer to UNSUBSCRIBE until that to the new SUBSCRIBE Redis sends no copy of the
 * channel's own. */
static void a_channel_that_is_wanted_again_while_it_goes_costs_the_patterns_nothing(void **state)
{
    listen_to_pattern("a*", "P");
    listen_to("a", "A");
    leave(0, "a", "A");
    pass(RIG_LINGER_US);
    join(0, "a", "A");
    message("a", "1");
    pmessage("a*", "a", "1");
    confirm_end(TOPIC_CHANNEL, "a");
    pmessage("a*", "a", "2");
    confirm(TOPIC_CHANNEL, "a");
    message("a", "3");
    pmessage("a*", "a", "3");
    assert_string_equal(hears(0), "A gone\nA data: 1\nP data: 1\nA data: 2\nP data: 2\n"
                                  "A ready\nA data: 3\nP data: 3\n");
}

static void a_copy_through_a_subscription_that_the_hub_does_not_count_on_is_nobodys(void **state)
{
    listen_to_pattern("a*", "P");
    message("a", "1"); /* Redis confirmed the channel, but the hub had given it up before */
    pmessage("a*", "a", "1");
    pmessage("?", "a", "1");
    assert_string_equal(hears(0), "P data: 1\n");
}

static void after_a_reconnect_copies_count_as_they_are_confirmed_anew(void **state)
{
    listen_to("a", "A");
    listen_to_pattern("a*", "P");
    broker_down("gone");
    broker_up();
    confirm(TOPIC_PATTERN, "a*");
    hears(0);
    pmessage("a*", "a", "1");
    assert_string_equal(hears(0), "A data: 1\nP data: 1\n");
    confirm(TOPIC_CHANNEL, "a");
    hears(0);
    message("a", "2");
    pmessage("a*", "a", "2");
    assert_string_equal(hears(0), "A data: 2\nP data: 2\n");
}

/* Names */

static void a_reserved_name_reaches_nobody_through_a_pattern(void **state)
{
    static const char *const names[] = {"sluice:beat:1", "sluice.gap", "__keyspace@0__:a"};
    listen_to_pattern("*", "P");
    for (size_t i = 0; i < 3; i++)
        pmessage("*", names[i], "x");
    assert_string_equal(hears(0), "");
    pmessage("*", "sluice", "x");
    assert_string_equal(hears(0), "P data: x\n");
}

static void a_name_that_could_not_be_subscribed_to_is_dropped_and_counted(void **state)
{
    static const char *const names[] = {"", "a*b", "a{b}", "a\nb", "\xff"};
    listen_to_pattern("*", "P");
    for (size_t i = 0; i < 5; i++)
        pmessage("*", names[i], "x");
    assert_string_equal(hears(0), "");
    /* the empty one is matched by no glob, so that no copy of it counts */
    assert_int_equal(metrics_get(&rig.metrics.dropped_name), 4);
}

static void names_are_told_without_the_prefix_and_others_are_passed_over(void **state)
{
    rig_stop(NULL);
    rig_start(&(struct rig_options){.prefix = "p*:"});
    join_wrapped(0, "a", "A");
    join_pattern(0, "a*", "P");
    confirm(TOPIC_CHANNEL, "p*:a");
    confirm(TOPIC_PATTERN, "p\\*:a*");
    hears(0);
    message("p*:a", "1");
    pmessage("p\\*:a*", "p*:a", "1");
    pmessage("p\\*:a*", "p*:ab", "2");
    message("a", "3");
    message("px:a", "4");
    pmessage("a*", "p*:ab", "5");
    assert_string_equal(hears(0),
                        "A data: {\"channel\":\"a\",\"event\":null,\"data\":\"1\",\"id\":null}\n"
                        "P data: 1\n"
                        "P data: 2\n");
}

static void behind_a_prefix_a_reserved_name_is_reserved_too(void **state)
{
    rig_stop(NULL);
    rig_start(&(struct rig_options){.prefix = "p:"});
    join_pattern(0, "*", "P");
    confirm(TOPIC_PATTERN, "p:*");
    hears(0);
    pmessage("p:*", "p:sluice:note", "x");
    assert_string_equal(hears(0), "");
}

/* Payloads */

static void a_raw_payload_is_the_data_whatever_it_holds(void **state)
{
    listen_to("raw", "A");
    message("raw", "{\"event\":\"e\",\"data\":\"d\"}");
    message("raw", "");
    message("raw", "two\nlines\r\nid: 7");
    assert_string_equal(hears(0), "A data: {\"event\":\"e\",\"data\":\"d\"}\n"
                                  "A data:\n"
                                  "A data: two|data: lines|data: id: 7\n");
}

static void an_envelope_names_the_event_and_holds_the_data(void **state)
{
    listen_to("env.a", "A");
    join_wrapped(0, "env.a", "Aw");
    hears(0);
    message("env.a", "{\"event\":\"new\",\"data\":\"d\"}");
    assert_string_equal(hears(0), "A event: new|data: d\n"
                                  "Aw data: {\"channel\":\"env.a\",\"event\":\"new\",\"data\":"
                                  "\"d\",\"id\":null}\n");
    message("env.a", "{\"data\":{\"a\": 1}}");
    assert_string_equal(hears(0), "A data: {\"a\":1}\n"
                                  "Aw data: {\"channel\":\"env.a\",\"event\":null,\"data\":"
                                  "\"{\\\"a\\\":1}\",\"id\":null}\n");
    assert_int_equal(metrics_get(&rig.metrics.no_envelope), 0);
}

static void what_is_no_envelope_goes_out_raw_and_is_counted(void **state)
{
    listen_to("env.a", "A");
    message("env.a", "just text");
    message("env.a", "{\"event\":\"a\\nb\",\"data\":1}");
    assert_string_equal(hears(0), "A data: just text\nA data: {\"event\":\"a\\nb\",\"data\":1}\n");
    assert_int_equal(metrics_get(&rig.metrics.no_envelope), 2);
}

static void through_a_pattern_the_channels_own_namespace_decides(void **state)
{
    listen_to_pattern("*", "P");
    pmessage("*", "env.a", "{\"event\":\"e\",\"data\":\"d\"}");
    pmessage("*", "other", "{\"event\":\"e\",\"data\":\"d\"}");
    assert_string_equal(hears(0), "P event: e|data: d\nP data: {\"event\":\"e\",\"data\":\"d\"}\n");
}

static void invalid_utf8_is_replaced_and_each_message_counted_once(void **state)
{
    listen_to("a", "A");
    join_wrapped(1, "a", "B");
    hears(1);
    message("a", "\xc3\xa4 \xff\xfe!");
    assert_string_equal(hears(0), "A data: \xc3\xa4 \xef\xbf\xbd\xef\xbf\xbd!\n");
    assert_string_equal(hears(1), "B data: {\"channel\":\"a\",\"event\":null,\"data\":"
                                  "\"\xc3\xa4 \xef\xbf\xbd\xef\xbf\xbd!\",\"id\":null}\n");
    assert_int_equal(metrics_get(&rig.metrics.invalid_utf8), 1);
}

static void a_payload_may_hold_nul_bytes(void **state)
{
    listen_to("a", "A");
    core_broker_events.on_message(rig.core, span_of("a"), span_make(NULL, 0), span_make("x\0y", 3));
    const struct frame *f = frame_lane_peek(&rig.down[0].frames)->frame;
    assert_int_equal(f->len, 11);
    assert_memory_equal(f->bytes, "data: x\0y\n\n", 11);
}

static void a_message_that_was_too_large_tells_a_gap_to_all_who_would_have_had_it(void **state)
{
    listen_to("a", "A");
    listen_to("b", "B");
    listen_to_pattern("a*", "P");
    listen_to_pattern("b*", "Q");
    core_broker_events.on_oversize(rig.core, span_of("a"), span_make(NULL, 0), 1 << 30);
    core_broker_events.on_oversize(rig.core, span_of("a"), span_of("a*"), 1 << 30); /* a copy */
    assert_string_equal(hears(0),
                        "A " GAP("channel", "a", "overflow") "P " GAP("pattern", "a*", "overflow"));
    assert_int_equal(metrics_get(&rig.metrics.dropped_oversize), 1);
    assert_int_equal(metrics_get(&rig.metrics.gaps_overflow), 2);
    listen_to_pattern("*", "R");
    core_broker_events.on_oversize(rig.core, span_of("sluice:note"), span_of("*"), 1 << 30);
    assert_string_equal(hears(0), "");
}

static void a_gap_names_its_topic_as_json(void **state)
{
    listen_to_pattern("\\a\"?", "P");
    core_broker_events.on_oversize(rig.core, span_of("a\"b"), span_of("\\a\"?"), 1);
    assert_string_equal(hears(0),
                        "P gap event: sluice.gap|data: {\"pattern\":\"\\\\a\\\"?\",\"reason\":"
                        "\"overflow\",\"from\":null}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_message_goes_to_every_worker_that_has_streams_of_its_channel),
        T(each_form_is_made_once_and_shared_by_all_workers),
        T(a_message_that_nobody_wants_is_not_counted_as_one_that_went_out),
        T(all_topics_of_a_publication_carry_its_number_and_the_next_has_another),
        T(a_channels_own_copy_counts_and_those_of_its_patterns_do_not),
        T(of_overlapping_patterns_one_copy_counts_in_whatever_order_they_come),
        T(until_the_channel_is_confirmed_the_patterns_copy_counts),
        T(until_an_earlier_pattern_is_confirmed_the_later_ones_copy_counts),
        T(a_channel_on_its_way_out_counts_until_its_end_is_confirmed),
        T(a_channel_that_is_wanted_again_while_it_goes_costs_the_patterns_nothing),
        T(a_copy_through_a_subscription_that_the_hub_does_not_count_on_is_nobodys),
        T(after_a_reconnect_copies_count_as_they_are_confirmed_anew),
        T(a_reserved_name_reaches_nobody_through_a_pattern),
        T(a_name_that_could_not_be_subscribed_to_is_dropped_and_counted),
        T(names_are_told_without_the_prefix_and_others_are_passed_over),
        T(behind_a_prefix_a_reserved_name_is_reserved_too),
        T(a_raw_payload_is_the_data_whatever_it_holds),
        T(an_envelope_names_the_event_and_holds_the_data),
        T(what_is_no_envelope_goes_out_raw_and_is_counted),
        T(through_a_pattern_the_channels_own_namespace_decides),
        T(invalid_utf8_is_replaced_and_each_message_counted_once),
        T(a_payload_may_hold_nul_bytes),
        T(a_message_that_was_too_large_tells_a_gap_to_all_who_would_have_had_it),
        T(a_gap_names_its_topic_as_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
