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
    rig_reply("sluice_peers", 0, "{\"peers\":[]}");
    rig_expect(200, ANSWER("\"acked\":[],\"pending\":[]"));
}

static void a_peer_that_redis_knows_again_when_it_has_settled_is_waited_for(void **state)
{
    wait_for("c", LIVE("\"settling\":2000,\"live\":[" PEER("b", "0-0", "15000") "]"), 5000);
    (void)rig_pass(2000 * MS);
    rig_reply("sluice_peers", 0,
              "{\"peers\":[" PEER("d", "5-0", "9000") "," PEER("c", "0-0", "9000") "," PEER(
                  "a", "0-0", "9000") "," PEER("b", "5-0", "9000") "," PEER("e", "0-0", "0") "]}");
    assert_int_equal(rig.answer_count, 0);
    rig_hear("sluice:acks", "a s1 5-0");
    rig_expect(200, ANSWER("\"acked\":[\"a\",\"b\",\"d\"],\"pending\":[]"));
}

static void a_list_that_cannot_be_had_when_redis_has_settled_is_asked_for_again(void **state)
{
    wait_for("", LIVE("\"settling\":2000,\"live\":[]"), 5000);
    (void)rig_pass(2000 * MS);
    rig_answer_call(rig_nth("sluice_peers", 0), ERR_UNAVAILABLE, "gone");
    assert_int_equal(rig_left(0), 1000 * MS);
    (void)rig_pass(1000 * MS);
    rig_reply("sluice_peers", 1, "{\"peers\":[" PEER("a", "5-0", "9000") "]}");
    rig_expect(200, ANSWER("\"acked\":[\"a\"],\"pending\":[]"));
}

/* The roll */

#define ROLL(version, live) LIVE("\"settling\":0,\"roll\":\"" version "\",\"live\":" live)
#define ROLL_TWO            ROLL("71", "[" PEER("b", "4-0", "15000") "," PEER("a", "0-0", "3000") "]")

static const char *roll_said(size_t n)
{
    assert_string_equal(rig_arg("sluice_invalidate", n, 5), "roll");
    return rig_arg("sluice_invalidate", n, 6);
}

static void who_is_on_the_roll_is_waited_for_though_the_answer_does_not_repeat_it(void **state)
{
    wait_for("", ROLL_TWO, 500);
    wait_for("b", ROLL("71", "null"), 500);
    assert_string_equal(roll_said(0), "");
    assert_string_equal(roll_said(1), "71");
    rig_hear("sluice:acks", "a s1 5-0");
    assert_int_equal(rig.answer_count, 1);
    rig_hear("sluice:acks", "b s2 5-0");
    assert_int_equal(rig.answer_count, 2);
    assert_string_equal(buf_cstr(&rig.answers[0]->json),
                        ANSWER("\"acked\":[\"a\"],\"pending\":[]"));
    assert_string_equal(buf_cstr(&rig.answers[1]->json),
                        ANSWER("\"acked\":[\"a\",\"b\"],\"pending\":[]"));
}

static void a_roll_that_is_answered_takes_the_place_of_the_one_before(void **state)
{
    wait_for("", ROLL_TWO, 500);
    wait_for("", ROLL("72", "[" PEER("c", "5-0", "15000") "]"), 500);
    rig_expect(200, ANSWER("\"acked\":[\"c\"],\"pending\":[]"));
    wait_for("", ROLL("72", "null"), 500);
    assert_string_equal(roll_said(2), "72");
    assert_int_equal(rig.answer_count, 2);
}

static void several_lines_in_one_message_are_heard_one_by_one(void **state)
{
    wait_for("", ROLL_TWO, 500);
    rig_hear("sluice:acks", "a s1 5-0\n\nx\nb s2 5-0");
    rig_expect(200, ANSWER("\"acked\":[\"a\",\"b\"],\"pending\":[]"));
}

static void a_lease_that_is_heard_to_be_renewed_is_so_on_the_roll(void **state)
{
    wait_for("", ROLL_TWO, 500);
    (void)rig_pass(2900 * MS);
    rig_reply("sluice_peers", 0, "{\"peers\":[]}");
    rig_hear("sluice:acks", "a s1 4-0");
    rig_hear("sluice:acks", "b s2 4-0");
    (void)rig_pass(10000 * MS);
    wait_for("", ROLL("71", "null"), 30000);
    assert_int_equal(rig_left(0), 5000 * MS);
}

static void one_on_the_roll_who_has_died_is_proved_dead_once(void **state)
{
    wait_for("", ROLL_TWO, 500);
    (void)rig_pass(500 * MS);
    rig_reply("sluice_peers", 0,
              "{\"peers\":[" PEER("a", "4-0", "2500") "," PEER("b", "4-0", "14500") "]}");
    (void)rig_pass(2500 * MS);
    rig_hear("sluice:acks", "b s2 4-0");
    for (size_t i = 1; i <= 2; i++) {
        wait_for("", ROLL("71", "null"), 500);
        (void)rig_pass(0);
        assert_int_equal(rig_count("sluice_peers"), 2);
        if (i == 1)
            rig_reply("sluice_peers", 1,
                      "{\"peers\":[" PEER("a", "4-0", "0") "," PEER("b", "4-0", "15000") "]}");
        rig_hear("sluice:acks", "b s2 5-0");
        assert_int_equal(rig.answers[i]->status, 200);
        assert_string_equal(buf_cstr(&rig.answers[i]->json),
                            ANSWER("\"acked\":[\"b\"],\"pending\":[]"));
    }
}

static void words_may_have_been_missed_when_the_store_was_away_so_leases_may_last(void **state)
{
    wait_for("", ROLL_TWO, 500);
    (void)rig_pass(2900 * MS);
    rig_reply("sluice_peers", 0,
              "{\"peers\":[" PEER("a", "4-0", "100") "," PEER("b", "4-0", "12000") "]}");
    bus_broker(rig.bus, false);
    bus_broker(rig.bus, true);
    wait_for("", ROLL("71", "null"), 30000);
    assert_int_equal(rig_left(0), 15000 * MS);
}

static void a_roll_that_is_not_ours_is_no_list_and_the_store_is_asked_for_one(void **state)
{
    wait_for("", ROLL_TWO, 500);
    wait_for("", ROLL("9", "null"), 5000);
    rig_hear("sluice:acks", "a s1 5-0");
    rig_hear("sluice:acks", "b s2 5-0");
    assert_int_equal(rig.answer_count, 1);
    (void)rig_pass(0);
    rig_reply("sluice_peers", 0,
              "{\"peers\":[" PEER("b", "5-0", "9000") "," PEER("c", "5-0", "9000") "]}");
    assert_int_equal(rig.answer_count, 2);
    assert_string_equal(buf_cstr(&rig.answers[1]->json),
                        ANSWER("\"acked\":[\"b\",\"c\"],\"pending\":[]"));
}

/* Bounds */

static void peers(struct buf *json, size_t count)
{
    buf_str(json, "{\"id\":\"5-0\",\"deleted\":0,\"tags\":{},\"pending\":null,\"settling\":0,"
                  "\"roll\":\"71\",\"live\":[");
    for (size_t i = 0; i < count; i++)
        buf_printf(json, "%s{\"name\":\"p%zu\",\"acked\":\"0-0\",\"lease\":15000}", i ? "," : "",
                   i);
    buf_str(json, "]}");
}

static void who_would_wait_beyond_the_bound_is_refused_before_anything_is_done(void **state)
{
    struct buf json = {0};
    peers(&json, 10000);
    wait_for("", buf_cstr(&json), 5000);
    for (size_t i = 1; i < 50; i++)
        wait_for("", ROLL("71", "null"), 5000);
    assert_int_equal(rig.answer_count, 0);
    rig_invalidate("{\"keys\":[\"a\"],\"origin\":\"\",\"cause\":\"api\"}", 5000);
    assert_int_equal(rig_count("sluice_invalidate"), 50);
    rig_expect(503, "{\"error\":\"too many peers are waited for: nothing was invalidated\"}");
    rig_invalidate("{\"keys\":[\"a\"],\"origin\":\"\",\"cause\":\"api\"}", 0);
    assert_int_equal(rig_count("sluice_invalidate"), 51);
    (void)rig_pass(5000 * MS);
    rig_reply("sluice_peers", 0, "{\"peers\":[]}");
    assert_int_equal(rig.answer_count, 51);
    wait_for("", ROLL("71", "null"), 5000);
    assert_int_equal(rig.answer_count, 51);
    buf_free(&json);
}

static void
one_whose_peers_turn_out_to_be_too_many_is_answered_with_all_of_them_pending(void **state)
{
    struct buf json = {0};
    peers(&json, 10000);
    for (size_t i = 0; i < 51; i++)
        rig_invalidate("{\"keys\":[\"a\"],\"origin\":\"\",\"cause\":\"api\"}", 5000);
    for (size_t i = 0; i < 51; i++)
        rig_reply("sluice_invalidate", i, buf_cstr(&json));
    assert_int_equal(rig.answer_count, 1);
    assert_int_equal(rig.answers[0]->status, 202);
    assert_non_null(strstr(buf_cstr(&rig.answers[0]->json), "\"p9999\""));
    buf_free(&json);
}

static void who_waits_when_the_gateway_ends_is_told_who_is_pending(void **state)
{
    wait_for("", TWO, 25000);
    rig_hear("sluice:acks", "a s1 5-0");
    rig_invalidate("{\"keys\":[\"a\"],\"origin\":\"\",\"cause\":\"api\"}", 25000);
    bus_hurry(rig.bus);
    rig_expect(202, ANSWER("\"acked\":[\"a\"],\"pending\":[\"b\"]"));
    rig_reply("sluice_invalidate", 1, TWO);
    assert_int_equal(rig.answer_count, 2);
    assert_int_equal(rig.answers[1]->status, 202);
    assert_int_equal(rig_count("sluice_peers"), 0);
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
        RIG_TEST(a_peer_that_redis_knows_again_when_it_has_settled_is_waited_for),
        RIG_TEST(a_list_that_cannot_be_had_when_redis_has_settled_is_asked_for_again),
        RIG_TEST(who_is_on_the_roll_is_waited_for_though_the_answer_does_not_repeat_it),
        RIG_TEST(a_roll_that_is_answered_takes_the_place_of_the_one_before),
        RIG_TEST(several_lines_in_one_message_are_heard_one_by_one),
        RIG_TEST(a_lease_that_is_heard_to_be_renewed_is_so_on_the_roll),
        RIG_TEST(one_on_the_roll_who_has_died_is_proved_dead_once),
        RIG_TEST(words_may_have_been_missed_when_the_store_was_away_so_leases_may_last),
        RIG_TEST(a_roll_that_is_not_ours_is_no_list_and_the_store_is_asked_for_one),
        RIG_TEST(who_would_wait_beyond_the_bound_is_refused_before_anything_is_done),
        RIG_TEST(one_whose_peers_turn_out_to_be_too_many_is_answered_with_all_of_them_pending),
        RIG_TEST(who_waits_when_the_gateway_ends_is_told_who_is_pending),
        RIG_TEST(after_the_store_was_away_its_list_tells_what_was_missed),
        RIG_TEST(a_store_that_came_back_empty_is_no_proof_that_leases_have_lapsed),
        RIG_TEST(many_that_wait_share_one_look_at_the_list_and_the_late_get_another),
        RIG_TEST(a_list_that_comes_from_within_the_call_ends_the_wait),
        RIG_TEST(one_that_was_confirmed_while_the_list_was_asked_for_is_answered_once),
        RIG_TEST(a_bus_that_ends_while_peers_are_awaited_forgets_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
