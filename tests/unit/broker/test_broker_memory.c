#include "redis_harness.h"

#include "broker/broker_memory.h"

static struct rig rig;
static const struct memory_options options = {.clock = &clock_system, .replay_bytes = 1 << 20};

static int start(void **state)
{
    rig = (struct rig){0};
    rig.broker = broker_memory_create(&options, &rig_events, &rig);
    return 0;
}

static int stop(void **state)
{
    if (rig.broker)
        rig.broker->ops->destroy(rig.broker);
    buf_free(&rig.heard);
    return 0;
}

static void it_is_up_when_it_is_started_and_confirms_at_once(void **state)
{
    broker_memory_start(rig.broker);
    subscribe(&rig, TOPIC_CHANNEL, "a");
    subscribe(&rig, TOPIC_PATTERN, "a*");
    unsubscribe(&rig, TOPIC_CHANNEL, "a");
    unsubscribe(&rig, TOPIC_CHANNEL, "never");
    assert_string_equal(buf_cstr(&rig.heard), "up\nsub a\npsub a*\nunsub a\n");
}

static void each_subscription_that_matches_gets_a_copy_and_the_publisher_their_number(void **state)
{
    subscribe(&rig, TOPIC_CHANNEL, "a.b");
    subscribe(&rig, TOPIC_PATTERN, "a.*");
    subscribe(&rig, TOPIC_PATTERN, "b.*");
    forget_heard(&rig);
    publish(&rig, "a.b", span_make("x\0y", 3));
    assert_string_equal(buf_cstr(&rig.heard), "message a.b|-|x\\x00y\nmessage a.b|a.*|x\\x00y\n"
                                              "published ok|2\n");
    forget_heard(&rig);
    unsubscribe(&rig, TOPIC_PATTERN, "a.*");
    publish(&rig, "a.c", span_of("x"));
    assert_string_equal(buf_cstr(&rig.heard), "punsub a.*\npublished ok|0\n");
}

static void a_destroy_from_within_a_message_answers_its_publisher_first(void **state)
{
    subscribe(&rig, TOPIC_CHANNEL, "a");
    subscribe(&rig, TOPIC_PATTERN, "*");
    forget_heard(&rig);
    rig.destroy_at = "message";
    publish(&rig, "a", span_of("x"));
    assert_string_equal(buf_cstr(&rig.heard), "message a|-|x\n"
                                              "published unavailable|the gateway is stopping\n"
                                              "destroyed\n");
}

static void drop_patterns(void *ctx, struct span channel, struct span pattern, struct span payload)
{
    struct broker *b = *(struct broker **)ctx;
    b->ops->unsubscribe(b, TOPIC_PATTERN, span_of("*"));
    b->ops->unsubscribe(b, TOPIC_PATTERN, span_of("a*"));
    b->ops->subscribe(b, TOPIC_PATTERN, span_of("new*"));
}

static void ignore_topic(void *ctx, enum topic_kind kind, struct span name)
{
}

static void ignore_publish(void *arg, int err, const char *why, int64_t receivers)
{
    *(int64_t *)arg = receivers;
}

static void patterns_may_be_dropped_while_a_message_is_told(void **state)
{
    static const struct broker_events events = {.on_subscribed = ignore_topic,
                                                .on_unsubscribed = ignore_topic,
                                                .on_message = drop_patterns};
    struct broker *b = NULL;
    int64_t receivers = -1;
    b = broker_memory_create(&options, &events, &b);
    b->ops->subscribe(b, TOPIC_PATTERN, span_of("*"));
    b->ops->subscribe(b, TOPIC_PATTERN, span_of("a*"));
    b->ops->publish(b, span_of("a"), span_of("x"), ignore_publish, &receivers);
    assert_int_equal(receivers, 2);
    b->ops->publish(b, span_of("a"), span_of("x"), ignore_publish, &receivers);
    assert_int_equal(receivers, 0);
    b->ops->destroy(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
        T(it_is_up_when_it_is_started_and_confirms_at_once),
        T(each_subscription_that_matches_gets_a_copy_and_the_publisher_their_number),
        T(a_destroy_from_within_a_message_answers_its_publisher_first),
        cmocka_unit_test(patterns_may_be_dropped_while_a_message_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
