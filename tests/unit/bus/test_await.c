/* Who an invalidation with wait=all is answered without, and when. */
#include "bus/bus_rig.h"

#define LIVE(peers) "{\"id\":\"5-0\",\"deleted\":0,\"tags\":{},\"pending\":null," peers "}"
#define PEER(name, acked, lease)                                                                   \
    "{\"name\":\"" name "\",\"acked\":\"" acked "\",\"lease\":" lease "}"
#define ANSWER(names) "{\"id\":\"5-0\",\"deleted\":0,\"tags\":{}," names "}"

static void wait_for(const char *origin, const char *live, uint32_t timeout_ms)
{
    char body[200];
    snprintf(body, sizeof(body), "{\"keys\":[\"a\"],\"origin\":\"%s\",\"cause\":\"api\"}", origin);
    rig_invalidate(body, timeout_ms);
    rig_reply("sluice_invalidate", rig_count("sluice_invalidate") - 1, live);
}

#define TWO LIVE("\"live\":[" PEER("b", "4-0", "15000") "," PEER("a", "0-0", "15000") "]")

static void the_answer_comes_when_every_live_peer_has_confirmed(void **state)
{
    wait_for("", TWO, 500);
    rig_hear("sluice:acks", "a s1 5-0");
    assert_int_equal(rig.answer_count, 0);
    rig_hear("sluice:acks", "b s2 4-999");
    rig_hear("sluice:acks", "c s3 9-0");
    assert_int_equal(rig.answer_count, 0);
    rig_hear("sluice:acks", "b s2 6-0");
    rig_expect(200, ANSWER("\"acked\":[\"a\",\"b\"],\"pending\":[]"));
}

static void nobody_waits_for_the_origin(void **state)
{
    wait_for("a", LIVE("\"live\":[" PEER("a", "0-0", "15000") "]"), 500);
    rig_expect(200, ANSWER("\"acked\":[],\"pending\":[]"));
}

static void a_peer_that_the_announcement_says_has_confirmed_is_not_waited_for(void **state)
{
    wait_for("", LIVE("\"live\":[" PEER("a", "5-0", "15000") "]"), 500);
    rig_expect(200, ANSWER("\"acked\":[\"a\"],\"pending\":[]"));
}

static void a_confirmation_that_is_heard_before_the_announcement_is_answered_counts(void **state)
{
    rig_invalidate("{\"keys\":[\"a\"],\"origin\":\"\",\"cause\":\"api\"}", 500);
    rig_hear("sluice:acks", "a s1 5-0");
    rig_reply("sluice_invalidate", 0, LIVE("\"live\":[" PEER("a", "0-0", "15000") "]"));
    rig_expect(200, ANSWER("\"acked\":[\"a\"],\"pending\":[]"));
}

static void a_confirmation_from_before_the_call_is_none_however_high_its_id(void **state)
{
    rig_invalidate("{\"keys\":[\"a\"],\"origin\":\"\",\"cause\":\"api\"}", 0);
    rig_reply("sluice_invalidate", 0, LIVE("\"live\":[]"));
    rig_hear("sluice:acks", "a s1 900-0");
    rig_pass(1);
    wait_for("", LIVE("\"live\":[" PEER("a", "0-0", "15000") "]"), 500);
    assert_int_equal(rig.answer_count, 1);
}

static void at_the_deadline_the_list_is_looked_at_before_anyone_is_called_pending(void **state)
{
    wait_for("", TWO, 500);
    assert_int_equal(rig_left(499 * MS), MS);
    assert_int_equal(rig_count("sluice_peers"), 0);
    (void)rig_pass(MS);
    assert_int_equal(rig.answer_count, 0);
    rig_reply("sluice_peers", 0,
              "{\"peers\":[" PEER("a", "5-0", "14000") "," PEER("b", "4-0", "14000") "]}");
    rig_expect(202, ANSWER("\"acked\":[\"a\"],\"pending\":[\"b\"]"));
}

static void a_list_that_cannot_be_had_leaves_everyone_pending(void **state)
{
    wait_for("", LIVE("\"live\":[" PEER("a", "0-0", "100") "]"), 500);
    (void)rig_pass(500 * MS);
    rig_answer_call(rig_nth("sluice_peers", 0), ERR_UNAVAILABLE, "gone");
    rig_expect(202, ANSWER("\"acked\":[],\"pending\":[\"a\"]"));
}

static void a_peer_whose_lease_has_lapsed_is_waited_for_no_longer(void **state)
{
    wait_for("", LIVE("\"live\":[" PEER("a", "0-0", "3000") "]"), 25000);
    assert_int_equal(rig_left(2999 * MS), MS);
    (void)rig_pass(MS);
    rig_reply("sluice_peers", 0, "{\"peers\":[" PEER("a", "0-0", "0") "]}");
    rig_expect(200, ANSWER("\"acked\":[],\"pending\":[]"));
}

static void a_lease_that_was_renewed_unheard_is_waited_for_on(void **state)
{
    wait_for("", LIVE("\"live\":[" PEER("a", "0-0", "3000") "]"), 25000);
    (void)rig_pass(3000 * MS);
    rig_reply("sluice_peers", 0, "{\"peers\":[" PEER("a", "4-0", "9000") "]}");
    assert_int_equal(rig.answer_count, 0);
    assert_int_equal(rig_left(1), 9000 * MS - 1);
    rig_hear("sluice:acks", "a s1 5-0");
    rig_expect(200, ANSWER("\"acked\":[\"a\"],\"pending\":[]"));
}

static void a_word_of_what_came_before_renews_the_lease(void **state)
{
    wait_for("", LIVE("\"live\":[" PEER("a", "0-0", "3000") "]"), 25000);
    (void)rig_pass(2000 * MS);
    rig_hear("sluice:acks", "a s1 4-0");
    (void)rig_pass(14000 * MS);
    assert_int_equal(rig_count("sluice_peers"), 0);
    (void)rig_pass(1000 * MS);
    assert_int_equal(rig_count("sluice_peers"), 1);
    assert_int_equal(rig.answer_count, 0);
}

static void a_peer_that_closes_frees_who_waits_at_once(void **state)
{
    wait_for("", TWO, 25000);
    rig_hear("sluice:acks", "b s2 5-0");
    rig_hear("sluice:peers", "a - 3-0");
    rig_expect(200, ANSWER("\"acked\":[\"b\"],\"pending\":[]"));
}

static void while_redis_settles_nobody_is_told_that_all_have_confirmed(void **state)
{
    wait_for("", LIVE("\"settling\":2000,\"live\":[]"), 500);
    (void)rig_pass(500 * MS);
    rig_reply("sluice_peers", 0, "{\"peers\":[]}");
    rig_expect(202, ANSWER("\"acked\":[],\"pending\":[],\"settling\":1501"));
}

static void who_waits_longer_than_redis_settles_is_answered_then(void **state)
{
    wait_for("", LIVE("\"settling\":2000,\"live\":[]"), 5000);
    assert_int_equal(rig_left(1), 2000 * MS - 1);
    (void)rig_pass(2000 * MS);
    rig_expect(200, ANSWER("\"acked\":[],\"pending\":[]"));
}

static void after_the_store_was_away_its_list_tells_what_was_missed(void **state)
{
    wait_for("", TWO, 25000);
    bus_broker(rig.bus, false);
    bus_broker(rig.bus, true);
    (void)rig_pass(1);
    rig_reply("sluice_peers", 0,
              "{\"peers\":[" PEER("a", "5-0", "15000") "," PEER("b", "5-0", "15000") "]}");
    rig_expect(200, ANSWER("\"acked\":[\"a\",\"b\"],\"pending\":[]"));
}

static void a_store_that_came_back_empty_is_no_proof_that_leases_have_lapsed(void **state)
{
    wait_for("", LIVE("\"live\":[" PEER("a", "0-0", "3000") "]"), 25000);
    (void)rig_pass(2900 * MS);
    bus_broker(rig.bus, false);
    bus_broker(rig.bus, true);
    (void)rig_pass(200 * MS);
    rig_reply("sluice_peers", 0, "{\"peers\":[]}");
    assert_int_equal(rig.answer_count, 0);
    (void)rig_pass(15000 * MS);
    rig_reply("sluice_peers", 1, "{\"peers\":[]}");
    rig_expect(200, ANSWER("\"acked\":[],\"pending\":[]"));
}

static void many_that_wait_share_one_look_at_the_list_and_the_late_get_another(void **state)
{
    wait_for("", TWO, 500);
    wait_for("", TWO, 500);
    wait_for("", TWO, 600);
    (void)rig_pass(500 * MS);
    (void)rig_pass(100 * MS);
    assert_int_equal(rig_count("sluice_peers"), 1);
    rig_reply("sluice_peers", 0, "{\"peers\":[]}");
    assert_int_equal(rig.answer_count, 2);
    (void)rig_pass(0);
    rig_reply("sluice_peers", 1, "{\"peers\":[]}");
    assert_int_equal(rig.answer_count, 3);
}

static void a_list_that_comes_from_within_the_call_ends_the_wait(void **state)
{
    wait_for("", TWO, 500);
    wait_for("", TWO, 500);
    rig.at_once = "{\"peers\":[" PEER("a", "5-0", "15000") "," PEER("b", "5-0", "15000") "]}";
    (void)rig_pass(500 * MS);
    assert_int_equal(rig.answer_count, 2);
    assert_int_equal(rig.answers[0]->status, 200);
}

static void one_that_was_confirmed_while_the_list_was_asked_for_is_answered_once(void **state)
{
    wait_for("", LIVE("\"live\":[" PEER("a", "0-0", "15000") "]"), 500);
    (void)rig_pass(500 * MS);
    rig_hear("sluice:acks", "a s1 5-0");
    rig_expect(200, ANSWER("\"acked\":[\"a\"],\"pending\":[]"));
    rig_reply("sluice_peers", 0, "{\"peers\":[]}");
    assert_int_equal(rig.answer_count, 1);
}

static void a_bus_that_ends_while_peers_are_awaited_forgets_them(void **state)
{
    wait_for("", TWO, 500);
    wait_for("", TWO, 600);
    (void)rig_pass(500 * MS);
    rig_lose();
    assert_int_equal(rig.answer_count, 1);
    assert_int_equal(rig.answers[0]->status, 202);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(the_answer_comes_when_every_live_peer_has_confirmed),
        RIG_TEST(nobody_waits_for_the_origin),
        RIG_TEST(a_peer_that_the_announcement_says_has_confirmed_is_not_waited_for),
        RIG_TEST(a_confirmation_that_is_heard_before_the_announcement_is_answered_counts),
        RIG_TEST(a_confirmation_from_before_the_call_is_none_however_high_its_id),
        RIG_TEST(at_the_deadline_the_list_is_looked_at_before_anyone_is_called_pending),
        RIG_TEST(a_list_that_cannot_be_had_leaves_everyone_pending),
        RIG_TEST(a_peer_whose_lease_has_lapsed_is_waited_for_no_longer),
        RIG_TEST(a_lease_that_was_renewed_unheard_is_waited_for_on),
        RIG_TEST(a_word_of_what_came_before_renews_the_lease),
        RIG_TEST(a_peer_that_closes_frees_who_waits_at_once),
        RIG_TEST(while_redis_settles_nobody_is_told_that_all_have_confirmed),
        RIG_TEST(who_waits_longer_than_redis_settles_is_answered_then),
        RIG_TEST(after_the_store_was_away_its_list_tells_what_was_missed),
        RIG_TEST(a_store_that_came_back_empty_is_no_proof_that_leases_have_lapsed),
        RIG_TEST(many_that_wait_share_one_look_at_the_list_and_the_late_get_another),
        RIG_TEST(a_list_that_comes_from_within_the_call_ends_the_wait),
        RIG_TEST(one_that_was_confirmed_while_the_list_was_asked_for_is_answered_once),
        RIG_TEST(a_bus_that_ends_while_peers_are_awaited_forgets_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
