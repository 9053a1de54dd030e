/* The Redis broker against a real redis-server that behaves. */
#include "redis_harness.h"

static struct server server;
static struct rig rig;

static int start(void **state)
{
    server_start(&server, NULL);
    rig_create(&rig, server.url, &quick);
    return 0;
}

static int stop(void **state)
{
    rig_free(&rig);
    server_stop(&server);
    return 0;
}

static void up_comes_first_and_then_the_confirmations_in_the_order_of_the_calls(void **state)
{
    subscribe(&rig, TOPIC_CHANNEL, "b");
    expect(&rig, "up\nsub b\n", 3);
    forget_heard(&rig);
    subscribe(&rig, TOPIC_CHANNEL, "z");
    subscribe(&rig, TOPIC_PATTERN, "n.*");
    subscribe(&rig, TOPIC_CHANNEL, "a");
    unsubscribe(&rig, TOPIC_CHANNEL, "b");
    expect(&rig, "unsub b\n", 3);
    assert_string_equal(buf_cstr(&rig.heard), "sub z\npsub n.*\nsub a\nunsub b\n");
}

static void bytes_arrive_as_they_were_published(void **state)
{
    const char channel[] = "c\0\r\n\xff", payload[] = "a\0b\r\nc\xff\xfe";
    struct span name = span_make(channel, sizeof(channel) - 1);
    rig.broker->ops->subscribe(rig.broker, TOPIC_CHANNEL, name);
    expect(&rig, "sub c", 3);
    forget_heard(&rig);
    rig.broker->ops->publish(rig.broker, name, span_make(payload, sizeof(payload) - 1),
                             rig_published, &rig);
    rig.broker->ops->publish(rig.broker, name, span_make(NULL, 0), rig_published, &rig);
    assert_true(run_until(&rig, "message", 2, 3) && run_until(&rig, "published", 2, 3));
    assert_non_null(strstr(buf_cstr(&rig.heard), "message c\\x00\\x0d\\x0a\\xff|-|"
                                                 "a\\x00b\\x0d\\x0ac\\xff\\xfe\n"));
    assert_non_null(strstr(buf_cstr(&rig.heard), "message c\\x00\\x0d\\x0a\\xff|-|\n"));
}

static void a_channel_and_a_pattern_that_overlap_each_bring_a_copy(void **state)
{
    subscribe(&rig, TOPIC_CHANNEL, "news.a");
    subscribe(&rig, TOPIC_PATTERN, "news.*");
    expect(&rig, "psub news.*", 3);
    publish(&rig, "news.a", span_of("x"));
    expect(&rig, "published ok|2\n", 3);
    expect(&rig, "message news.a|-|x\n", 3);
    expect(&rig, "message news.a|news.*|x\n", 3);
}

static void publishing_before_the_connection_stands_is_unavailable_at_once(void **state)
{
    publish(&rig, "c", span_of("x"));
    assert_string_equal(buf_cstr(&rig.heard), "published unavailable|still connecting\n");
}

static void what_was_asked_for_last_is_what_is_in_the_end(void **state)
{
    subscribe(&rig, TOPIC_CHANNEL, "again");
    expect(&rig, "sub again", 3);
    forget_heard(&rig);
    unsubscribe(&rig, TOPIC_CHANNEL, "again"); /* not sent yet when it is taken back */
    subscribe(&rig, TOPIC_CHANNEL, "again");
    unsubscribe(&rig, TOPIC_CHANNEL, "gone"); /* never asked for: nothing to answer */
    subscribe(&rig, TOPIC_CHANNEL, "gone");
    unsubscribe(&rig, TOPIC_CHANNEL, "gone");
    expect(&rig, "sub again\n", 3);
    assert_string_equal(buf_cstr(&rig.heard), "unsub gone\nsub again\n");
    publish(&rig, "again", span_of("x"));
    expect(&rig, "message again|-|x", 3);
    assert_null(strstr(ask(&server, "PUBSUB CHANNELS *"), "gone"));
}

static void commands_that_cross_their_own_confirmations_end_right(void **state)
{
    expect(&rig, "up", 3);
    for (int i = 0; i < 200; i++) {
        subscribe(&rig, TOPIC_CHANNEL, "flips");
        subscribe(&rig, TOPIC_PATTERN, "flops");
        for (int turns = i % 5; turns > 0; turns--)
            ev_run(rig.loop, EVRUN_NOWAIT);
        unsubscribe(&rig, TOPIC_CHANNEL, "flips");
        for (int turns = i % 3; turns > 0; turns--)
            ev_run(rig.loop, EVRUN_NOWAIT);
        if (i < 199)
            unsubscribe(&rig, TOPIC_PATTERN, "flops");
    }
    settle(&rig, 0.3);
    assert_null(strstr(ask(&server, "PUBSUB CHANNELS flips"), "flips"));
    assert_non_null(strstr(ask(&server, "PUBSUB NUMPAT"), ":1"));
    assert_int_equal(heard_times(&rig, "down"), 0);
    forget_heard(&rig);
    publish(&rig, "flops", span_of("x"));
    expect(&rig, "message flops|flops|x", 3);
}

static void a_restart_brings_back_what_is_wanted_and_nothing_else(void **state)
{
    subscribe(&rig, TOPIC_CHANNEL, "kept");
    subscribe(&rig, TOPIC_CHANNEL, "left");
    subscribe(&rig, TOPIC_PATTERN, "all.*");
    assert_true(run_until(&rig, "sub ", 3, 3));
    server_kill(&server);
    expect(&rig, "down ", 3);
    unsubscribe(&rig, TOPIC_CHANNEL, "left");
    expect(&rig, "unsub left\n", 0.1);
    subscribe(&rig, TOPIC_CHANNEL, "meanwhile");
    publish(&rig, "kept", span_of("lost"));
    expect(&rig, "published unavailable|", 6);
    forget_heard(&rig);
    server_run(&server, NULL);
    expect(&rig, "up\n", 6);
    assert_true(run_until(&rig, "sub ", 3, 3));
    assert_non_null(strstr(buf_cstr(&rig.heard), "\nsub kept\n"));
    assert_non_null(strstr(buf_cstr(&rig.heard), "\nsub meanwhile\n"));
    assert_non_null(strstr(buf_cstr(&rig.heard), "\npsub all.*\n"));
    assert_null(strstr(ask(&server, "PUBSUB CHANNELS *"), "left"));
    ask(&server, "PUBLISH kept hello");
    expect(&rig, "message kept|-|hello\n", 3);
}

static void twenty_thousand_subscriptions_are_back_within_two_seconds(void **state)
{
    char name[32];
    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof(name), "channel.%d", i);
        subscribe(&rig, TOPIC_CHANNEL, name);
    }
    assert_true(run_until_subscribed(&rig, 20000, 10));
    forget_heard(&rig);
    ask(&server, "CLIENT KILL TYPE pubsub");
    expect(&rig, "down", 3);
    expect(&rig, "up", 6);
    uint64_t up = clock_mono_us(&clock_system);
    assert_true(run_until_subscribed(&rig, 40000, 10));
    assert_true(seconds_since(up) < 2);
    assert_non_null(strstr(ask(&server, "PUBSUB NUMSUB channel.19999"), ":1"));
}

static void a_payload_over_the_limit_is_dropped_and_told(void **state)
{
    struct rig small;
    struct redis_options options = quick;
    options.message_bytes = 10;
    rig_create(&small, server.url, &options);
    subscribe(&small, TOPIC_CHANNEL, "c");
    expect(&small, "sub c", 3);
    publish(&small, "c", span_of("12345678901"));
    publish(&small, "c", span_of("1234567890"));
    expect(&small, "message c|-|1234567890\n", 3);
    expect(&small, "oversize c|11\n", 3);
    assert_int_equal(heard_times(&small, "message"), 1);
    rig_free(&small);
}

static void a_denied_name_is_refused_alone_and_tried_again_later(void **state)
{
    char url[128];
    struct rig bob;
    ask(&server, "ACL SETUSER bob on >pass ~* resetchannels &ok.* &sluice:* +@all");
    snprintf(url, sizeof(url), "unix://bob:pass@%s?db=3", server.socket);
    rig_create(&bob, url, &quick);
    subscribe(&bob, TOPIC_CHANNEL, "ok.1");
    subscribe(&bob, TOPIC_CHANNEL, "bad.1");
    subscribe(&bob, TOPIC_CHANNEL, "ok.2");
    subscribe(&bob, TOPIC_PATTERN, "*");
    expect(&bob, "sub ok.1\n", 3);
    expect(&bob, "sub ok.2\n", 3);
    expect(&bob, "refused bad.1|NOPERM", 3);
    expect(&bob, "refused *|NOPERM", 3);
    publish(&bob, "bad.1", span_of("x"));
    expect(&bob, "published denied|NOPERM", 3);
    assert_int_equal(heard_times(&bob, "down"), 0);
    forget_heard(&bob);
    ask(&server, "ACL SETUSER bob &bad.*");
    ask(&server, "CLIENT KILL TYPE pubsub");
    expect(&bob, "sub bad.1\n", 6);
    rig_free(&bob);
}

static void destroying_answers_the_publishes_under_way(void **state)
{
    expect(&rig, "up", 3);
    kill(server.pid, SIGSTOP);
    for (int i = 0; i < 100; i++)
        publish(&rig, "c", span_of("x"));
    ev_run(rig.loop, EVRUN_NOWAIT);
    rig.broker->ops->destroy(rig.broker);
    rig.broker = NULL;
    assert_int_equal(heard_times(&rig, "published unavailable|the gateway is stopping\n"), 100);
    kill(server.pid, SIGCONT);
    forget_heard(&rig);
    settle(&rig, 0.1);
    assert_int_equal(rig.heard.len, 0);
}

static void after_a_destroy_from_within_any_event_nothing_is_heard(void **state)
{
    static const char *const events[] = {"up",      "sub",      "psub",      "unsub",
                                         "message", "oversize", "published", "down"};
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        struct rig r;
        struct redis_options options = quick;
        options.message_bytes = 10;
        rig_create(&r, server.url, &options);
        r.destroy_at = events[i];
        subscribe(&r, TOPIC_CHANNEL, "a");
        subscribe(&r, TOPIC_CHANNEL, "b");
        subscribe(&r, TOPIC_PATTERN, "p");
        run_until(&r, i < 2 ? "destroyed" : "psub p", 1, 3);
        if (r.broker) {
            publish(&r, "a", span_of("x"));
            publish(&r, "a", span_of("longer than ten"));
            publish(&r, "a", span_of("y"));
            unsubscribe(&r, TOPIC_CHANNEL, "b");
            run_until(&r, "destroyed", 1, 0.3);
        }
        if (r.broker)
            ask(&server, "CLIENT KILL TYPE pubsub");
        expect(&r, "destroyed\n", 3);
        size_t before = r.heard.len;
        settle(&r, 0.05);
        assert_int_equal(r.heard.len, before);
        assert_string_equal(buf_cstr(&r.heard) + before - strlen("destroyed\n"), "destroyed\n");
        rig_free(&r);
    }
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
        T(up_comes_first_and_then_the_confirmations_in_the_order_of_the_calls),
        T(bytes_arrive_as_they_were_published),
        T(a_channel_and_a_pattern_that_overlap_each_bring_a_copy),
        T(publishing_before_the_connection_stands_is_unavailable_at_once),
        T(what_was_asked_for_last_is_what_is_in_the_end),
        T(commands_that_cross_their_own_confirmations_end_right),
        T(a_restart_brings_back_what_is_wanted_and_nothing_else),
        T(twenty_thousand_subscriptions_are_back_within_two_seconds),
        T(a_payload_over_the_limit_is_dropped_and_told),
        T(a_denied_name_is_refused_alone_and_tried_again_later),
        T(destroying_answers_the_publishes_under_way),
        T(after_a_destroy_from_within_any_event_nothing_is_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
