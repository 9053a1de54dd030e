/* The feeds of a gateway, what their peers confirm, and how soon. */
#include "bus/bus_rig.h"

#define OPENED(id) "{\"name\":\"a\",\"session\":\"s1\",\"opened\":\"" id "\",\"lease\":15000}"

static void open_feed(const char *opened)
{
    rig_feed(BUS_OPEN_FEED, "a", "s1");
    rig_reply("sluice_peer_open", rig_count("sluice_peer_open") - 1, opened);
}

/* Whether the nth answer is of that kind and for that session. */
static bool told(size_t n, enum bus_kind kind, const char *session)
{
    return n < rig.answer_count && rig.answers[n]->kind == kind &&
           strcmp(rig.answers[n]->session, session) == 0;
}

static void a_feed_begins_when_it_was_announced(void **state)
{
    rig_feed(BUS_OPEN_FEED, "a", "s1");
    assert_int_equal(rig.answer_count, 0);
    assert_string_equal(rig_arg("sluice_peer_open", 0, 0), "a");
    assert_string_equal(rig_arg("sluice_peer_open", 0, 1), "s1");
    assert_int_equal(rig_nth("sluice_peer_open", 0)->count, 3);
    rig_reply("sluice_peer_open", 0, OPENED("5-0"));
    assert_true(told(0, BUS_OPEN_FEED, "s1"));
    assert_int_equal(rig.answers[0]->status, 200);
}

static void a_feed_that_the_store_refuses_is_told_why(void **state)
{
    rig_feed(BUS_OPEN_FEED, "a", "s1");
    rig_answer_call(rig_nth("sluice_peer_open", 0), ERR_INVALID, "there are 10000 peers already");
    assert_int_equal(rig.answers[0]->status, 503);
    assert_string_equal(buf_cstr(&rig.answers[0]->json),
                        "{\"error\":\"there are 10000 peers already\"}");
}

static void a_feed_that_opens_while_the_store_is_away_begins_when_it_is_back(void **state)
{
    bus_broker(rig.bus, false);
    rig_feed(BUS_OPEN_FEED, "a", "s1");
    assert_int_equal(rig_count("sluice_peer_open"), 0);
    bus_broker(rig.bus, true);
    rig_reply("sluice_peer_open", 0, OPENED("5-0"));
    assert_true(told(0, BUS_OPEN_FEED, "s1"));
}

static void after_the_store_was_away_a_feed_is_said_again_with_the_id_of_its_opening(void **state)
{
    open_feed(OPENED("5-7"));
    bus_broker(rig.bus, false);
    bus_broker(rig.bus, true);
    assert_string_equal(rig_arg("sluice_peer_open", 1, 3), "5-7");
    rig_reply("sluice_peer_open", 1, OPENED("5-7"));
    assert_int_equal(rig.answer_count, 1);
}

static void a_feed_whose_peer_went_elsewhere_meanwhile_ends(void **state)
{
    open_feed(OPENED("5-0"));
    bus_broker(rig.bus, false);
    bus_broker(rig.bus, true);
    rig_reply("sluice_peer_open", 1, "{\"name\":\"a\",\"later\":\"s2\"}");
    assert_int_equal(rig.answer_count, 2);
    assert_true(told(1, BUS_END_FEED, "s1"));
}

static void a_later_session_of_the_name_ends_the_feed(void **state)
{
    open_feed(OPENED("5-0"));
    rig_hear("sluice:peers", "a s1 5-0");
    rig_hear("sluice:peers", "b s2 6-0");
    assert_int_equal(rig.answer_count, 1);
    rig_hear("sluice:peers", "a s2 5-1");
    assert_string_equal(rig_arg("sluice_peer_open", 1, 3), "5-0");
    rig_reply("sluice_peer_open", 1, "{\"name\":\"a\",\"later\":\"s2\"}");
    assert_true(told(1, BUS_END_FEED, "s1"));
}

static void a_later_session_that_the_store_does_not_know_is_of_another_database(void **state)
{
    open_feed(OPENED("5-0"));
    rig_hear("sluice:peers", "a s2 5-1");
    rig_reply("sluice_peer_open", 1, OPENED("5-0"));
    rig_hear("sluice:peers", "a s1 5-0");
    rig_hear("sluice:peers", "a - 5-1");
    assert_int_equal(rig.answer_count, 1);
    assert_int_equal(rig_count("sluice_peer_open"), 2);
}

static void word_of_an_earlier_session_that_comes_late_ends_nothing(void **state)
{
    rig_feed(BUS_OPEN_FEED, "a", "s1");
    rig_hear("sluice:peers", "a s0 4-0");
    rig_reply("sluice_peer_open", 0, OPENED("5-0"));
    rig_hear("sluice:peers", "a s0 4-0");
    rig_hear("sluice:peers", "a - 4-0");
    assert_int_equal(rig.answer_count, 1);
}

static void word_of_a_later_session_that_comes_before_the_answer_ends_the_feed(void **state)
{
    rig_feed(BUS_OPEN_FEED, "a", "s1");
    rig_hear("sluice:peers", "a s2 6-0");
    assert_int_equal(rig.answer_count, 0);
    rig_reply("sluice_peer_open", 0, OPENED("5-0"));
    assert_true(told(0, BUS_OPEN_FEED, "s1"));
    rig_reply("sluice_peer_open", 1, "{\"name\":\"a\",\"later\":\"s2\"}");
    assert_true(told(1, BUS_END_FEED, "s1"));
}

static void a_peer_that_closes_ends_its_feed(void **state)
{
    open_feed(OPENED("5-0"));
    rig_hear("sluice:peers", "a - 5-0");
    assert_true(told(1, BUS_END_FEED, "s1"));
}

static void a_feed_that_has_closed_is_told_nothing_more(void **state)
{
    rig_feed(BUS_OPEN_FEED, "a", "s1");
    rig_feed(BUS_CLOSE_FEED, "a", "s1");
    rig_reply("sluice_peer_open", 0, OPENED("5-0"));
    rig_hear("sluice:peers", "a s2 6-0");
    rig_feed(BUS_CLOSE_FEED, "a", "s1");
    assert_int_equal(rig.answer_count, 0);
}

static void odd_words_on_the_channels_are_passed_over(void **state)
{
    static const char *const words[] = {"", " ", "a", "a ", " s 6-0", "a  6-0", "a s2 6-0 more"};
    char wide[200];
    memset(wide, 'x', sizeof(wide));
    wide[sizeof(wide) - 1] = '\0';
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        rig_hear("sluice:acks", words[i]);
    rig_hear("sluice:acks", wide);
    rig_hear("sluice:peers", wide);
    rig_hear("sluice:other", "a s2 6-0");
    open_feed(OPENED("7-0"));
    assert_int_equal(rig.answer_count, 1);
}

static struct bus_request *ack(const char *peer, uint64_t id, bool closing)
{
    struct bus_request *r = rig_request(BUS_ACK, "");
    snprintf(r->peer, sizeof(r->peer), "%s", peer);
    snprintf(r->session, sizeof(r->session), "s1");
    r->id = id;
    r->closing = closing;
    return r;
}

static void a_peer_that_says_it_has_gone_is_answered_with_what_the_store_says(void **state)
{
    bus_take(rig.bus, 0, ack("a", 5, true));
    rig_reply("sluice_peer_close", 0, "{\"state\":\"closed\",\"name\":\"a\"}");
    bus_take(rig.bus, 0, ack("a", 5, true));
    rig_reply("sluice_peer_close", 1, "{\"state\":\"unknown\"}");
    bus_take(rig.bus, 0, ack("a", 5, true));
    rig_answer_call(rig_nth("sluice_peer_close", 2), ERR_UNAVAILABLE, "gone");
    assert_int_equal(rig.answers[0]->status, 200);
    assert_int_equal(rig.answers[1]->status, 409);
    assert_int_equal(rig.answers[2]->status, 503);
}

static void the_list_says_how_far_each_is_behind_the_last_announcement(void **state)
{
    bus_take(rig.bus, 0, rig_request(BUS_PEERS, ""));
    rig_reply(
        "sluice_peers", 0,
        "{\"clock\":\"9-0\",\"feed\":\"8-0\",\"peers\":["
        "{\"name\":\"a\",\"gateway\":\"g\",\"session\":\"s\",\"acked\":\"8-0\",\"lease\":7},"
        "{\"name\":\"b\",\"gateway\":\"g\",\"acked\":\"0-0\",\"opened\":\"5-0\",\"lease\":0}]}");
    rig_expect(200,
               "{\"id\":\"8-0\",\"peers\":[{\"name\":\"a\",\"gateway\":\"g\",\"acked\":\"8-0\","
               "\"lag\":{\"ids\":0,\"seconds\":0.000},\"lease_ms\":7},"
               "{\"name\":\"b\",\"gateway\":\"g\",\"acked\":\"0-0\","
               "\"lag\":{\"ids\":3000,\"seconds\":0.004},\"lease_ms\":0}]}");
}

/* How soon */

static void announce(const char *id, const char *origin)
{
    char text[200];
    snprintf(text, sizeof(text), "{\"keys\":[\"k\"],\"origin\":\"%s\",\"cause\":\"api\"}", origin);
    rig_invalidate(text, 0);
    snprintf(text, sizeof(text), "{\"id\":\"%s\",\"deleted\":0,\"tags\":{},\"pending\":null}", id);
    rig_reply("sluice_invalidate", rig_count("sluice_invalidate") - 1, text);
}

static void a_confirmation_counts_how_long_each_that_it_covers_took(void **state)
{
    rig_hear("sluice:acks", "a s1 1-0");
    announce("5-0", "");
    (void)rig_pass(50 * MS);
    announce("6-0", "");
    (void)rig_pass(5 * MS);
    rig_hear("sluice:acks", "a s1 6-0");
    rig_hear("sluice:acks", "a s1 6-0");
    assert_int_equal(rig.metrics->applied, 2);
    assert_int_equal(rig.metrics->applied_10ms, 1);
    assert_int_equal(rig.metrics->applied_100ms, 2);
}

static void neither_a_first_word_nor_that_of_the_origin_counts(void **state)
{
    announce("5-0", "a");
    rig_hear("sluice:acks", "b s2 5-0");
    rig_hear("sluice:acks", "a s1 1-0");
    rig_hear("sluice:acks", "a s1 5-0");
    assert_int_equal(rig.metrics->applied, 0);
}

static void what_is_announced_late_or_answered_again_hides_nothing(void **state)
{
    rig_hear("sluice:acks", "a s1 1-0");
    announce("6-0", "");
    announce("5-0", "");
    announce("2-0", "");
    announce("5-0", "");
    rig_hear("sluice:acks", "a s1 2-0");
    assert_int_equal(rig.metrics->applied, 1);
    rig_hear("sluice:acks", "a s1 6-0");
    assert_int_equal(rig.metrics->applied, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_feed_begins_when_it_was_announced),
        RIG_TEST(a_feed_that_the_store_refuses_is_told_why),
        RIG_TEST(a_feed_that_opens_while_the_store_is_away_begins_when_it_is_back),
        RIG_TEST(after_the_store_was_away_a_feed_is_said_again_with_the_id_of_its_opening),
        RIG_TEST(a_feed_whose_peer_went_elsewhere_meanwhile_ends),
        RIG_TEST(a_later_session_of_the_name_ends_the_feed),
        RIG_TEST(a_later_session_that_the_store_does_not_know_is_of_another_database),
        RIG_TEST(word_of_an_earlier_session_that_comes_late_ends_nothing),
        RIG_TEST(word_of_a_later_session_that_comes_before_the_answer_ends_the_feed),
        RIG_TEST(a_peer_that_closes_ends_its_feed),
        RIG_TEST(a_feed_that_has_closed_is_told_nothing_more),
        RIG_TEST(odd_words_on_the_channels_are_passed_over),
        RIG_TEST(a_peer_that_says_it_has_gone_is_answered_with_what_the_store_says),
        RIG_TEST(the_list_says_how_far_each_is_behind_the_last_announcement),
        RIG_TEST(a_confirmation_counts_how_long_each_that_it_covers_took),
        RIG_TEST(neither_a_first_word_nor_that_of_the_origin_counts),
        RIG_TEST(what_is_announced_late_or_answered_again_hides_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
