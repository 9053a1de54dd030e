/* Publishes that came over HTTP: what goes to the broker, and what the worker hears of it. */
#include "broker/broker_memory.h"
#include "hub_rig.h"

static int start(const struct rig_options *o)
{
    rig_start(o);
    return 0;
}

static int start_plain(void **state)
{
    return start(&(struct rig_options){0});
}

static int start_with_budget(void **state)
{
    return start(&(struct rig_options){.publish_bytes = 100});
}

static int start_with_limit(void **state)
{
    return start(&(struct rig_options){.message_bytes = 16});
}

static struct broker *memory;

static int start_memory(void **state)
{
    start(&(struct rig_options){.count_streams = true, .no_broker = true});
    struct memory_options options = {.clock = &rig_clock, .replay_bytes = 1 << 20};
    memory = broker_memory_create(&options, &core_broker_events, rig.core);
    core_attach(rig.core, memory);
    broker_memory_start(memory);
    for (uint32_t w = 0; w < RIG_WORKERS; w++)
        hears(w);
    return 0;
}

static int stop_memory(void **state)
{
    core_attach(rig.core, NULL);
    memory->ops->destroy(memory);
    return rig_stop(state);
}

/* A request of one order for each pair of channel and data; spans point to the test's strings. */
static void publish_all(uint32_t worker, uint64_t exchange, const char *const (*pairs)[2],
                        const char *event)
{
    size_t n = 0;
    while (pairs[n][0])
        n++;
    struct msg *m = msg_create(MSG_PUBLISH, worker);
    m->publish = publish_request_create(n);
    m->publish->exchange = exchange;
    for (size_t i = 0; i < n; i++)
        m->publish->orders[i] = (struct publish_order){
            .channel = span_of(pairs[i][0]), .data = span_of(pairs[i][1]), .event = span_of(event)};
    to_core(m);
}

#define PUBLISH(worker, exchange, ...)                                                             \
    publish_all(worker, exchange, (const char *const[][2]){__VA_ARGS__, {NULL, NULL}}, NULL)

static void the_answer_goes_to_the_worker_that_asked_when_the_broker_has_answered(void **state)
{
    PUBLISH(1, 42, {"a", "x"});
    assert_string_equal(calls(), "publish a|x\n");
    assert_string_equal(hears(1), "");
    answer(0, NULL, 7);
    assert_string_equal(hears(1), "published 42 a=7\n");
    assert_string_equal(hears(0), "");
    assert_int_equal(metrics_get(&rig.metrics.publishes), 1);
}

static void several_orders_are_answered_together_and_in_their_order(void **state)
{
    PUBLISH(0, 1, {"a", "x"}, {"b", "y"}, {"a", "z"});
    assert_string_equal(calls(), "publish a|x\npublish b|y\npublish a|z\n");
    answer(0, NULL, 1);
    answer(0, NULL, 2);
    assert_string_equal(hears(0), "");
    answer(0, NULL, 3);
    assert_string_equal(hears(0), "published 1 a=1 b=2 a=3\n");
}

static void requests_are_answered_each_when_it_is_done(void **state)
{
    PUBLISH(0, 1, {"a", "x"}, {"b", "x"});
    PUBLISH(0, 2, {"c", "x"});
    answer(0, NULL, 1);
    PUBLISH(2, 3, {"d", "x"});
    answer(0, NULL, 2);
    assert_string_equal(hears(0), "published 1 a=1 b=2\n");
    answer(0, NULL, 3);
    answer(0, NULL, 4);
    assert_string_equal(hears(0), "published 2 c=3\n");
    assert_string_equal(hears(2), "published 3 d=4\n");
}

static void an_error_is_told_with_its_reason_and_spoils_no_other_order(void **state)
{
    PUBLISH(0, 1, {"a", "x"}, {"b", "x"}, {"c", "x"});
    answer(ERR_DENIED, "NOPERM no", 0);
    answer(0, NULL, 2);
    answer(ERR_TIMEOUT, NULL, 0);
    assert_string_equal(hears(0), "published 1 a=denied(NOPERM no) b=2 c=timeout(timeout)\n");
    assert_int_equal(metrics_get(&rig.metrics.publishes), 1);
    assert_int_equal(metrics_get(&rig.metrics.publishes_failed), 2);
}

static void without_a_broker_every_order_is_refused_at_once(void **state)
{
    core_attach(rig.core, NULL);
    PUBLISH(0, 1, {"a", "x"}, {"b", "x"});
    const char *text = hears(0);
    assert_string_equal(text, "published 1 a=unavailable(the gateway is stopping) "
                              "b=unavailable(the gateway is stopping)\n");
}

static void a_channels_name_at_the_broker_has_the_prefix(void **state)
{
    rig_stop(NULL);
    rig_start(&(struct rig_options){.prefix = "p*:"});
    PUBLISH(0, 1, {"a", "x"});
    assert_string_equal(calls(), "publish p*:a|x\n");
}

static void a_namespace_of_envelopes_gets_one(void **state)
{
    const char *const pairs[][2] = {{"env.a", "say \"x\""}, {NULL, NULL}};
    publish_all(0, 1, pairs, "new");
    publish_all(0, 2, pairs, NULL);
    assert_string_equal(calls(), "publish env.a|{\"event\":\"new\",\"data\":\"say \\\"x\\\"\"}\n"
                                 "publish env.a|{\"data\":\"say \\\"x\\\"\"}\n");
}

static void a_raw_payload_is_published_byte_for_byte_and_an_envelope_repaired(void **state)
{
    PUBLISH(0, 1, {"a", "\xff"}, {"env.a", "\xff"});
    assert_string_equal(calls(), "publish a|\xff\npublish env.a|{\"data\":\"\xef\xbf\xbd\"}\n");
    assert_int_equal(metrics_get(&rig.metrics.invalid_utf8), 1);
}

static void a_message_counts_with_its_envelope_against_message_bytes(void **state)
{
    PUBLISH(0, 1, {"a", "0123456789abcdef"}, {"env.a", "01234"}, {"env.a", "0123456"});
    assert_string_equal(calls(), "publish a|0123456789abcdef\n"
                                 "publish env.a|{\"data\":\"01234\"}\n");
    answer(0, NULL, 1);
    answer(0, NULL, 1);
    assert_string_equal(hears(0), "published 1 a=1 env.a=1 env.a=too large(the message with its "
                                  "envelope is larger than message_bytes)\n");
}

/* The budget of publishes under way: 100 bytes here */

static const char sixty[] = "012345678901234567890123456789012345678901234567890123456789";

static void publishes_beyond_the_budget_are_refused_until_others_are_answered(void **state)
{
    PUBLISH(0, 1, {"a", sixty});
    PUBLISH(0, 2, {"b", sixty});
    assert_string_equal(hears(0), "published 2 b=full(too many publishes are under way)\n");
    PUBLISH(0, 3, {"c", "small"});
    answer(0, NULL, 1);
    PUBLISH(0, 4, {"d", sixty});
    answer(0, NULL, 1);
    answer(0, NULL, 1);
    assert_string_equal(hears(0), "published 1 a=1\npublished 3 c=1\npublished 4 d=1\n");
    assert_int_equal(metrics_get(&rig.metrics.publishes_failed), 1);
}

static void of_a_request_that_is_refused_for_the_budget_nothing_is_published(void **state)
{
    PUBLISH(0, 1, {"a", sixty});
    calls();
    PUBLISH(0, 2, {"b", "x"}, {"c", sixty});
    assert_string_equal(calls(), "");
    assert_string_equal(hears(0), "published 2 b=full(too many publishes are under way) "
                                  "c=full(too many publishes are under way)\n");
}

static void one_message_over_the_budget_goes_when_nothing_else_is_under_way(void **state)
{
    char large[200];
    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    PUBLISH(0, 1, {"a", large});
    answer(0, NULL, 1);
    assert_string_equal(hears(0), "published 1 a=1\n");
}

static void a_batch_over_the_budget_is_too_large_and_stays_so(void **state)
{
    PUBLISH(0, 1, {"a", sixty}, {"b", sixty});
    assert_string_equal(calls(), "");
    assert_string_equal(hears(0), "published 1 a=too large(the request is larger than all that may "
                                  "be under way) b=too large(the request is larger than all that "
                                  "may be under way)\n");
    PUBLISH(0, 2, {"a", sixty});
    answer(0, NULL, 1);
    assert_string_equal(hears(0), "published 2 a=1\n");
}

/* The memory broker: the receivers are streams, which the workers count */

/* Hears what the worker is sent, and answers its fences with `streams`. */
static const char *fenced(uint32_t worker, uint32_t streams)
{
    const char *text = hears(worker);
    const char *line = strstr(text, "fence ");
    if (line) {
        struct msg *m = msg_create(MSG_FENCED, worker);
        char *end = NULL;
        m->fence.ticket = strtoull(line + 6, &end, 10);
        m->fence.pub = strtoull(end, NULL, 10);
        m->fence.streams = streams;
        to_core(m);
    }
    return text;
}

static void the_memory_broker_counts_the_streams_of_all_workers(void **state)
{
    join(0, "a", "A");
    join(1, "a", "B");
    hears(0);
    hears(1);
    PUBLISH(0, 1, {"a", "x"});
    assert_string_equal(fenced(1, 20), "B data: x\nfence 1 1\n");
    assert_string_equal(fenced(2, 0), "fence 1 1\n");
    assert_string_equal(fenced(0, 3), "A data: x\nfence 1 1\n");
    assert_string_equal(hears(0), "published 1 a=23\n");
}

static void where_nobody_listens_the_answer_is_0_and_no_worker_is_asked(void **state)
{
    PUBLISH(0, 1, {"nobody", "x"});
    assert_string_equal(hears(0), "published 1 nobody=0\n");
    assert_string_equal(hears(1), "");
}

static void orders_to_the_memory_broker_are_counted_one_after_the_other(void **state)
{
    join(0, "a", "A");
    hears(0);
    PUBLISH(0, 9, {"a", "1"}, {"nobody", "2"}, {"a", "3"});
    assert_string_equal(fenced(0, 1), "A data: 1\nfence 1 1\n");
    fenced(1, 0);
    assert_string_equal(hears(0), "");
    fenced(2, 1);
    assert_string_equal(fenced(0, 2), "A data: 3\nfence 1 2\n");
    fenced(1, 0);
    fenced(2, 0);
    assert_string_equal(hears(0), "published 9 a=2 nobody=0 a=2\n");
}

static void an_answer_to_a_fence_that_nobody_waits_for_is_passed_over(void **state)
{
    struct msg *m = msg_create(MSG_FENCED, 0);
    m->fence.ticket = 77;
    to_core(m);
    assert_string_equal(hears(0), "");
}

static void requests_that_wait_for_fences_do_not_mix_them_up(void **state)
{
    join(0, "a", "A");
    hears(0);
    PUBLISH(1, 1, {"a", "1"});
    PUBLISH(2, 2, {"a", "2"});
    assert_string_equal(hears_one(0), "A data: 1\n");
    assert_string_equal(fenced(0, 5), "fence 1 1\nA data: 2\nfence 2 2\n");
    struct msg *m = msg_create(MSG_FENCED, 0);
    m->fence = (struct fence){.ticket = 2, .pub = 2, .streams = 6};
    to_core(m);
    for (uint32_t w = 1; w < 3; w++)
        for (uint64_t ticket = 1; ticket < 3; ticket++) {
            m = msg_create(MSG_FENCED, w);
            m->fence = (struct fence){.ticket = ticket, .pub = ticket};
            to_core(m);
        }
    assert_string_equal(hears(1), "fence 1 1\nfence 2 2\npublished 1 a=5\n");
    assert_string_equal(hears(2), "fence 1 1\nfence 2 2\npublished 2 a=6\n");
}

static void a_core_may_end_while_fences_are_out(void **state)
{
    join(0, "a", "A");
    PUBLISH(0, 1, {"a", "1"}, {"a", "2"});
}

/* The payload that was wrapped for the broker must survive its way back in the same call. */
static void an_envelope_comes_back_from_the_memory_broker_in_both_forms(void **state)
{
    const char *const pairs[][2] = {{"env.a", "d"}, {NULL, NULL}};
    join(0, "env.a", "A");
    join_wrapped(0, "env.a", "Aw");
    join_pattern(0, "env*", "P");
    join_pattern(0, "*", "Q");
    hears(0);
    publish_all(0, 1, pairs, "e");
    assert_string_equal(hears(0), "A event: e|data: d\n"
                                  "Aw data: {\"channel\":\"env.a\",\"event\":\"e\",\"data\":\"d\","
                                  "\"id\":null}\n"
                                  "P event: e|data: d\nQ event: e|data: d\nfence 1 1\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define P(name, start) cmocka_unit_test_setup_teardown(name, start, rig_stop)
#define M(name)        cmocka_unit_test_setup_teardown(name, start_memory, stop_memory)
        P(the_answer_goes_to_the_worker_that_asked_when_the_broker_has_answered, start_plain),
        P(several_orders_are_answered_together_and_in_their_order, start_plain),
        P(requests_are_answered_each_when_it_is_done, start_plain),
        P(an_error_is_told_with_its_reason_and_spoils_no_other_order, start_plain),
        P(without_a_broker_every_order_is_refused_at_once, start_plain),
        P(a_channels_name_at_the_broker_has_the_prefix, start_plain),
        P(a_namespace_of_envelopes_gets_one, start_plain),
        P(a_raw_payload_is_published_byte_for_byte_and_an_envelope_repaired, start_plain),
        P(a_message_counts_with_its_envelope_against_message_bytes, start_with_limit),
        P(publishes_beyond_the_budget_are_refused_until_others_are_answered, start_with_budget),
        P(of_a_request_that_is_refused_for_the_budget_nothing_is_published, start_with_budget),
        P(one_message_over_the_budget_goes_when_nothing_else_is_under_way, start_with_budget),
        P(a_batch_over_the_budget_is_too_large_and_stays_so, start_with_budget),
        M(the_memory_broker_counts_the_streams_of_all_workers),
        M(where_nobody_listens_the_answer_is_0_and_no_worker_is_asked),
        M(orders_to_the_memory_broker_are_counted_one_after_the_other),
        M(an_answer_to_a_fence_that_nobody_waits_for_is_passed_over),
        M(requests_that_wait_for_fences_do_not_mix_them_up),
        M(a_core_may_end_while_fences_are_out),
        M(an_envelope_comes_back_from_the_memory_broker_in_both_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
