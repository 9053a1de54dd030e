/* Invalidations on their way to the announcement, with a store that answers when it is told to. */
#include "bus/bus_rig.h"

#define BODY(members) "{" members ",\"origin\":\"\",\"cause\":\"api\"}"

static const char done[] = "{\"id\":\"5-0\",\"deleted\":2,\"tags\":{\"t\":2},\"pending\":null}";

static void what_was_invalidated_is_answered_with_its_id_and_counts(void **state)
{
    rig_invalidate(BODY("\"keys\":[\"a\"],\"tags\":[\"t\"]"), 0);
    assert_int_equal(rig.answer_count, 0);
    rig_reply("sluice_invalidate", 0, done);
    rig_expect(200, "{\"id\":\"5-0\",\"deleted\":2,\"tags\":{\"t\":2}}");
    assert_int_equal(rig.metrics->invalidations, 1);
}

static void a_body_goes_to_the_store_as_it_is_with_the_prefix_of_tags_and_a_key(void **state)
{
    rig_invalidate(BODY("\"keys\":[\"a\"]"), 0);
    assert_string_equal(rig_arg("sluice_invalidate", 0, 0), BODY("\"keys\":[\"a\"]"));
    assert_string_equal(rig_arg("sluice_invalidate", 0, 2), "tag:");
    assert_int_equal(strlen(rig_arg("sluice_invalidate", 0, 8)), 32);
}

static void while_the_store_is_away_nothing_is_accepted(void **state)
{
    bus_broker(rig.bus, false);
    rig_invalidate(BODY("\"keys\":[\"a\"]"), 0);
    rig_expect(503, "{\"error\":\"redis is away: nothing was invalidated\"}");
    assert_int_equal(rig_count("sluice_invalidate"), 0);
    assert_int_equal(rig.metrics->invalidations_failed, 1);
}

static void a_store_that_is_lost_in_the_middle_is_answered_503_at_every_step(void **state)
{
    static const char *const steps[] = {"sluice_doom", "sweep", "sluice_invalidate",
                                        "sluice_pending_step", "sluice_pending_done"};
    for (size_t lost = 0; lost < 5; lost++) {
        rig_invalidate(BODY("\"patterns\":[\"p*\"]"), 0);
        for (size_t i = 0; i < lost; i++)
            rig_reply(steps[i], rig_count(steps[i]) - 1,
                      "{\"id\":\"5-0\",\"deleted\":0,\"tags\":{},\"pending\":\"5-0\",\"left\":0}");
        rig_answer_call(rig_nth(steps[lost], rig_count(steps[lost]) - 1), ERR_UNAVAILABLE, "gone");
        assert_int_equal(rig.answer_count, lost + 1);
        assert_int_equal(rig.answers[lost]->status, 503);
    }
    assert_int_equal(rig.metrics->invalidations_failed, 5);
    assert_int_equal(rig.metrics->invalidations, 0);
}

static void what_the_store_refuses_is_answered_with_its_word(void **state)
{
    rig_invalidate(BODY("\"keys\":[\"a\"]"), 0);
    rig_answer_call(rig_nth("sluice_invalidate", 0), ERR_INVALID, "keys[0] is empty");
    rig_expect(400, "{\"error\":\"keys[0] is empty\"}");
}

static void patterns_are_doomed_before_they_are_swept_and_announced_after(void **state)
{
    rig_invalidate(BODY("\"patterns\":[\"a*\",\"b*\"]"), 0);
    assert_int_equal(rig_count("sluice_doom"), 1);
    assert_int_equal(rig_count("sweep"), 0);
    rig_reply("sluice_doom", 0, "{\"id\":\"4-0\"}");
    assert_string_equal(rig_arg("sweep", 0, 0), "a*");
    rig_reply("sweep", 0, "");
    assert_string_equal(rig_arg("sweep", 1, 0), "b*");
    assert_int_equal(rig_count("sluice_invalidate"), 0);
    rig_reply("sweep", 1, "");
    rig_reply("sluice_invalidate", 0, done);
    rig_expect(200, "{\"id\":\"5-0\",\"deleted\":4,\"tags\":{\"t\":2}}");
}

static void a_tag_that_is_too_large_is_answered_when_it_is_announced(void **state)
{
    rig_invalidate(BODY("\"tags\":[\"t\"]"), 0);
    rig_reply("sluice_invalidate", 0,
              "{\"id\":\"5-0\",\"deleted\":0,\"tags\":{\"t\":9000},\"pending\":\"5-0\"}");
    rig_reply("sluice_pending_step", 0, "{\"left\":4000,\"deleted\":5000}");
    rig_reply("sluice_pending_step", 1, "{\"left\":0,\"deleted\":4000}");
    assert_int_equal(rig.answer_count, 0);
    rig_reply("sluice_pending_done", 0, "{\"id\":\"6-0\",\"settling\":0,\"live\":[]}");
    rig_expect(200, "{\"id\":\"6-0\",\"deleted\":9000,\"tags\":{\"t\":9000}}");
    assert_int_equal(rig_count("sluice_pending_done"), 1);
}

static void write_names(struct buf *out, const char *list, size_t count)
{
    buf_printf(out, "\"%s\":[", list);
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "%s\"n%zu\"", i ? "," : "", i);
    buf_byte(out, ']');
}

/* 7,000 names, with a caller's key; every call is answered at once. */
static void invalidate_much(uint32_t timeout_ms)
{
    struct buf body = {0};
    buf_byte(&body, '{');
    write_names(&body, "keys", 3500);
    buf_byte(&body, ',');
    write_names(&body, "tags", 3500);
    buf_str(&body, ",\"origin\":\"app-1\",\"cause\":\"webhook\"}");
    struct bus_request *r = rig_request(BUS_INVALIDATE, buf_cstr(&body));
    r->wait = timeout_ms > 0;
    r->timeout_ms = timeout_ms;
    r->key = mem_strdup("mine");
    buf_free(&body);
    rig.at_once = "{\"id\":\"4-0\",\"deleted\":0,\"tags\":{},\"pending\":null}";
    bus_take(rig.bus, 0, r);
}

static size_t count_quotes(const char *text)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, "\"n")); at++)
        n++;
    return n;
}

static void a_large_body_goes_in_slices_one_after_the_other_with_one_answer_of_sums(void **state)
{
    struct buf body = {0};
    buf_byte(&body, '{');
    write_names(&body, "keys", 3500);
    buf_byte(&body, ',');
    write_names(&body, "tags", 3500);
    buf_str(&body, ",\"origin\":\"app-1\",\"cause\":\"webhook\"}");
    rig_invalidate(buf_cstr(&body), 0);
    buf_free(&body);
    for (size_t i = 0; i < 3; i++) {
        char text[100];
        assert_int_equal(rig_count("sluice_invalidate"), i + 1);
        assert_int_equal(count_quotes(rig_arg("sluice_invalidate", i, 0)), i < 2 ? 3000 : 1000);
        assert_non_null(strstr(rig_arg("sluice_invalidate", i, 0),
                               ",\"origin\":\"app-1\",\"cause\":\"webhook\"}"));
        snprintf(text, sizeof(text),
                 "{\"id\":\"%zu-0\",\"deleted\":10,\"tags\":{\"n%zu\":1},\"pending\":null}", i + 5,
                 i);
        rig_reply("sluice_invalidate", i, text);
    }
    rig_expect(200, "{\"id\":\"7-0\",\"deleted\":30,\"tags\":{\"n0\":1,\"n1\":1,\"n2\":1}}");
    assert_int_equal(rig.metrics->invalidations, 1);
}

static void
each_slice_has_an_idempotency_key_of_its_own_and_only_the_last_asks_who_lives(void **state)
{
    invalidate_much(500);
    assert_int_equal(rig_count("sluice_invalidate"), 3);
    assert_string_equal(rig_arg("sluice_invalidate", 0, 8), "mine");
    assert_string_equal(rig_arg("sluice_invalidate", 1, 8), "mine\n1");
    assert_string_equal(rig_arg("sluice_invalidate", 2, 8), "mine\n2");
    assert_string_equal(rig_arg("sluice_invalidate", 1, 4), "0");
    assert_string_equal(rig_arg("sluice_invalidate", 2, 4), "1");
}

static void a_name_given_twice_in_a_large_body_goes_once(void **state)
{
    struct buf body = {0};
    buf_str(&body, "{\"keys\":[");
    for (size_t i = 0; i < 6000; i++)
        buf_printf(&body, "%s\"n%zu\"", i ? "," : "", i % 10);
    buf_str(&body, "],\"origin\":\"\",\"cause\":\"api\"}");
    rig_invalidate(buf_cstr(&body), 0);
    buf_free(&body);
    assert_int_equal(count_quotes(rig_arg("sluice_invalidate", 0, 0)), 10);
    rig_reply("sluice_invalidate", 0, done);
    assert_int_equal(rig.answer_count, 1);
}

static void a_store_that_answers_from_within_the_call_is_as_good(void **state)
{
    rig.at_once = done;
    rig_invalidate(BODY("\"keys\":[\"a\"],\"patterns\":[\"a*\",\"b*\"]"), 500);
    rig_expect(200,
               "{\"id\":\"5-0\",\"deleted\":4,\"tags\":{\"t\":2},\"acked\":[],\"pending\":[]}");
    rig.at_once = NULL;
    rig.at_once_err = ERR_UNAVAILABLE;
    rig_invalidate(BODY("\"keys\":[\"a\"],\"patterns\":[\"a*\"]"), 500);
    assert_int_equal(rig.answers[1]->status, 503);
}

static void a_bus_that_ends_answers_what_is_under_way(void **state)
{
    rig_invalidate(BODY("\"keys\":[\"a\"]"), 0);
    rig_invalidate(BODY("\"patterns\":[\"a*\"]"), 500);
    rig_lose();
    assert_int_equal(rig.answer_count, 2);
    assert_int_equal(rig.answers[0]->status, 503);
    assert_int_equal(rig.answers[1]->status, 503);
}

static void what_nobody_waits_for_is_answered_to_nobody(void **state)
{
    struct bus_request *r = rig_request(BUS_INVALIDATE, BODY("\"keys\":[\"a\"]"));
    r->exchange = 0;
    bus_take(rig.bus, 0, r);
    rig_reply("sluice_invalidate", 0, done);
    assert_int_equal(rig.answer_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(what_was_invalidated_is_answered_with_its_id_and_counts),
        RIG_TEST(a_body_goes_to_the_store_as_it_is_with_the_prefix_of_tags_and_a_key),
        RIG_TEST(while_the_store_is_away_nothing_is_accepted),
        RIG_TEST(a_store_that_is_lost_in_the_middle_is_answered_503_at_every_step),
        RIG_TEST(what_the_store_refuses_is_answered_with_its_word),
        RIG_TEST(patterns_are_doomed_before_they_are_swept_and_announced_after),
        RIG_TEST(a_tag_that_is_too_large_is_answered_when_it_is_announced),
        RIG_TEST(a_large_body_goes_in_slices_one_after_the_other_with_one_answer_of_sums),
        RIG_TEST(each_slice_has_an_idempotency_key_of_its_own_and_only_the_last_asks_who_lives),
        RIG_TEST(a_name_given_twice_in_a_large_body_goes_once),
        RIG_TEST(a_store_that_answers_from_within_the_call_is_as_good),
        RIG_TEST(a_bus_that_ends_answers_what_is_under_way),
        RIG_TEST(what_nobody_waits_for_is_answered_to_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
