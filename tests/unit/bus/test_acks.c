/* How the confirmations of many peers go to the store, and what each is answered. */
#include "bus/bus_rig.h"

#define ACKED(name) "{\"state\":\"acked\",\"name\":\"" name "\"}"

static void ack(uint64_t exchange, const char *session, const char *peer, uint64_t id)
{
    struct bus_request *r = rig_request(BUS_ACK, "");
    r->exchange = exchange;
    snprintf(r->session, sizeof(r->session), "%s", session);
    snprintf(r->peer, sizeof(r->peer), "%s", peer);
    r->id = id;
    bus_take(rig.bus, 0, r);
}

/* To the nth answer. */
static void expect(size_t n, uint64_t exchange, int status, const char *json)
{
    assert_true(n < rig.answer_count);
    assert_int_equal(rig.answers[n]->exchange, exchange);
    assert_int_equal(rig.answers[n]->status, status);
    assert_string_equal(buf_cstr(&rig.answers[n]->json), json);
}

static void all_that_come_in_one_turn_go_in_one_call(void **state)
{
    ack(1, "s1", "", 5007);
    ack(2, "s2", "b", 6000);
    ack(3, "s3", "", 7000);
    assert_int_equal(rig_count("sluice_peer_acks"), 0);
    (void)rig_pass(0);
    assert_int_equal(rig_count("sluice_peer_acks"), 1);
    assert_string_equal(rig_arg("sluice_peer_acks", 0, 0), "s1 5-7 -\ns2 6-0 b\ns3 7-0 -\n");
}

static void whose_session_it_is_is_said_where_it_is_known(void **state)
{
    rig_feed(BUS_OPEN_FEED, "a", "s1");
    rig_feed(BUS_OPEN_FEED, "b", "s2");
    rig_feed(BUS_CLOSE_FEED, "b", "s2");
    ack(1, "s1", "", 5000);
    ack(2, "s2", "", 5000);
    ack(3, "s1", "c", 5000);
    (void)rig_pass(0);
    assert_string_equal(rig_arg("sluice_peer_acks", 0, 0), "s1 5-0 a\ns2 5-0 -\ns1 5-0 c\n");
}

static void each_is_answered_with_what_the_store_says_of_it(void **state)
{
    ack(1, "s1", "", 5000);
    ack(2, "s2", "", 900000);
    ack(3, "s3", "", 5000);
    ack(4, "s4", "", 5000);
    (void)rig_pass(0);
    rig_reply(
        "sluice_peer_acks", 0,
        "[" ACKED("a") ",{\"state\":\"ahead\",\"clock\":\"6-0\"},{\"state\":\"unknown\"}," ACKED(
            "d") "]");
    assert_int_equal(rig.answer_count, 4);
    expect(0, 1, 200, ACKED("a"));
    expect(1, 2, 409, "{\"error\":\"id: nothing so late was ever announced\"}");
    expect(2, 3, 409,
           "{\"error\":\"session: it has ended, or another feed has taken its peer's name\"}");
    expect(3, 4, 200, ACKED("d"));
}

static void those_that_come_while_a_call_is_under_way_gather_for_the_next(void **state)
{
    ack(1, "s1", "", 5000);
    (void)rig_pass(0);
    ack(2, "s2", "", 5000);
    (void)rig_pass(0);
    ack(3, "s3", "", 5000);
    (void)rig_pass(0);
    assert_int_equal(rig_count("sluice_peer_acks"), 1);
    rig_reply("sluice_peer_acks", 0, "[" ACKED("a") "]");
    (void)rig_pass(0);
    assert_string_equal(rig_arg("sluice_peer_acks", 1, 0), "s2 5-0 -\ns3 5-0 -\n");
    rig_reply("sluice_peer_acks", 1, "[" ACKED("b") "," ACKED("c") "]");
    (void)rig_pass(0);
    assert_int_equal(rig_count("sluice_peer_acks"), 2);
    expect(2, 3, 200, ACKED("c"));
}

static size_t lines(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static void a_call_carries_no_more_than_the_library_takes(void **state)
{
    for (uint64_t i = 1; i <= 300; i++)
        ack(0, "s", "", 5000);
    (void)rig_pass(0);
    assert_int_equal(lines(rig_arg("sluice_peer_acks", 0, 0)), 256);
    rig_answer_call(rig_nth("sluice_peer_acks", 0), ERR_UNAVAILABLE, "gone");
    (void)rig_pass(0);
    assert_int_equal(lines(rig_arg("sluice_peer_acks", 1, 0)), 44);
}

static void those_whose_call_was_lost_are_told_so_and_so_are_those_behind_them(void **state)
{
    ack(1, "s1", "", 5000);
    (void)rig_pass(0);
    ack(2, "s2", "", 5000);
    rig_lose();
    expect(0, 1, 503, "{\"error\":\"gone\"}");
    (void)rig_pass(0);
    expect(1, 2, 503, "{\"error\":\"gone\"}");
}

static void those_of_whom_the_store_says_nothing_are_not_taken_for_confirmed(void **state)
{
    ack(1, "s1", "", 5000);
    ack(2, "s2", "", 5000);
    (void)rig_pass(0);
    rig_reply("sluice_peer_acks", 0, "[" ACKED("a") "]");
    expect(0, 1, 200, ACKED("a"));
    expect(1, 2, 503, "{\"error\":\"redis did not say\"}");
    ack(3, "s1", "", 5000);
    (void)rig_pass(0);
    rig_reply("sluice_peer_acks", 1, "[" ACKED("a") "," ACKED("b") "]");
    assert_int_equal(rig.answer_count, 3);
}

static void a_bus_that_ends_before_they_were_sent_forgets_them(void **state)
{
    ack(1, "s1", "", 5000);
    (void)rig_pass(0);
    ack(2, "s2", "", 5000);
    assert_int_equal(rig.answer_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(all_that_come_in_one_turn_go_in_one_call),
        RIG_TEST(whose_session_it_is_is_said_where_it_is_known),
        RIG_TEST(each_is_answered_with_what_the_store_says_of_it),
        RIG_TEST(those_that_come_while_a_call_is_under_way_gather_for_the_next),
        RIG_TEST(a_call_carries_no_more_than_the_library_takes),
        RIG_TEST(those_whose_call_was_lost_are_told_so_and_so_are_those_behind_them),
        RIG_TEST(those_of_whom_the_store_says_nothing_are_not_taken_for_confirmed),
        RIG_TEST(a_bus_that_ends_before_they_were_sent_forgets_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
