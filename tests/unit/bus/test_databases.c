/* Pub/sub knows no databases: words of peers who read the feed of another one end no wait. */
#include "bus/bus_rig.h"

#define PEER(session, acked, opened)                                                               \
    "{\"name\":\"a\",\"session\":\"" session "\",\"acked\":\"" acked "\",\"opened\":\"" opened     \
    "\",\"lease\":15000}"
#define ANSWER(names) "{\"id\":\"5-0\",\"deleted\":0,\"tags\":{}," names "}"

/* A wait for the session s1 of `a`, which was opened with 2-0. */
static void wait_for_one(void)
{
    rig_invalidate("{\"keys\":[\"k\"],\"origin\":\"\",\"cause\":\"api\"}", 500);
    rig_reply("sluice_invalidate", 0,
              "{\"id\":\"5-0\",\"deleted\":0,\"tags\":{},\"pending\":null,\"live\":[" PEER(
                  "s1", "0-0", "2-0") "]}");
}

static void list(size_t nth, const char *peers)
{
    assert_int_equal(rig_count("sluice_peers"), nth + 1);
    rig_reply("sluice_peers", nth, peers);
}

static void another_session_confirms_nothing_until_the_list_says_so(void **state)
{
    wait_for_one();
    rig_hear("sluice:acks", "a s9 6-0");
    (void)rig_pass(MS);
    list(0, "{\"peers\":[" PEER("s1", "0-0", "2-0") "]}");
    assert_int_equal(rig.answer_count, 0);
    rig_hear("sluice:acks", "a s1 5-0");
    rig_expect(200, ANSWER("\"acked\":[\"a\"],\"pending\":[]"));
}

static void a_peer_that_has_come_back_meanwhile_is_known_by_the_list(void **state)
{
    wait_for_one();
    rig_hear("sluice:peers", "a s2 6-0");
    (void)rig_pass(MS);
    list(0, "{\"peers\":[" PEER("s2", "0-0", "6-0") "]}");
    assert_int_equal(rig.answer_count, 0);
    rig_hear("sluice:acks", "a s1 6-0");
    assert_int_equal(rig.answer_count, 0);
    rig_hear("sluice:acks", "a s2 6-0");
    rig_expect(200, ANSWER("\"acked\":[\"a\"],\"pending\":[]"));
}

static void another_session_that_closes_is_not_the_one_that_is_waited_for(void **state)
{
    wait_for_one();
    rig_hear("sluice:peers", "a - 3-0");
    (void)rig_pass(MS);
    list(0, "{\"peers\":[" PEER("s1", "0-0", "2-0") "]}");
    assert_int_equal(rig.answer_count, 0);
    rig_hear("sluice:peers", "a - 2-0");
    rig_expect(200, ANSWER("\"acked\":[],\"pending\":[]"));
}

static void what_another_session_said_before_the_answer_does_not_count(void **state)
{
    rig_invalidate("{\"keys\":[\"k\"],\"origin\":\"\",\"cause\":\"api\"}", 500);
    rig_hear("sluice:acks", "a s9 6-0");
    rig_reply("sluice_invalidate", 0,
              "{\"id\":\"5-0\",\"deleted\":0,\"tags\":{},\"pending\":null,\"live\":[" PEER(
                  "s1", "0-0", "2-0") "]}");
    assert_int_equal(rig.answer_count, 0);
    rig_hear("sluice:acks", "a s1 5-0");
    rig_expect(200, ANSWER("\"acked\":[\"a\"],\"pending\":[]"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(another_session_confirms_nothing_until_the_list_says_so),
        RIG_TEST(a_peer_that_has_come_back_meanwhile_is_known_by_the_list),
        RIG_TEST(another_session_that_closes_is_not_the_one_that_is_waited_for),
        RIG_TEST(what_another_session_said_before_the_answer_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
