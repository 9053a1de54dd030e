/* The ids of the memory broker, and how it tells of its durable messages. */
#include "memory_rig.h"

/* The clock */

static void ids_are_the_wall_clock_and_rise_also_when_it_stands_or_steps_back(void **state)
{
    rig.now += 5;
    keep("a", "1");
    keep("b", "2");
    rig.now -= second;
    keep("a", "3");
    rig.now += 2 * second;
    keep("a", "4");
    heard("kept 5\nkept 6\nkept 7\nkept 1000005\n");
}

static void every_id_after_a_hello_or_a_fence_is_above_its_clock(void **state)
{
    rig.now += 5;
    hello("");
    keep("a", "1");
    rig.broker->ops->fence(rig.broker);
    keep("a", "2");
    heard("hello new clock 5 floor -1 born 0 longest 0 s\nkept 6\nfence 6\nkept 7\n");
}

static void a_hello_is_the_same_for_its_own_epoch_only(void **state)
{
    char other[] = "0123456789abcdef";
    hello(rig.epoch);
    hello(other);
    heard("hello same clock 0 floor -1 born 0 longest 0 s\n"
          "hello new clock 0 floor -1 born 0 longest 0 s\n");
    memcpy(other, rig.epoch, sizeof(other));
    stop(NULL);
    start(NULL);
    assert_string_not_equal(rig.epoch, other);
}

/* Notices */

static void each_message_is_told_by_a_notice_with_the_one_before_it(void **state)
{
    subscribe(TOPIC_CHANNEL, NOTICE_PREFIX "a");
    subscribe(TOPIC_PATTERN, NOTICE_PREFIX "*");
    keep("a", "x");
    keep("b", "y");
    keep_as("a", "z", (struct broker_publication){.event = span_of("ev")});
    heard("sluice:note:a via channel: 1 after -1 =x\nsluice:note:a via pattern: 1 after -1 =x\n"
          "kept 1\n"
          "sluice:note:b via pattern: 2 after -1 =y\nkept 2\n"
          "sluice:note:a via channel: 3 after 1 ev=z\n"
          "sluice:note:a via pattern: 3 after 1 ev=z\nkept 3\n");
}

static void a_plain_publish_is_not_kept(void **state)
{
    subscribe(TOPIC_CHANNEL, "a");
    publish("a", "x");
    read_all("a");
    changed(0, 10);
    heard("a via channel: x\npublished ok 1\nslice last -1\nchanged\n");
}

static void publish_more(struct span channel)
{
    keep("a", "2");
    rig.broker->ops->fence(rig.broker);
    publish("a", "plain");
    buf_str(&rig.heard, "returned\n");
}

static void what_is_published_from_within_a_message_is_told_after_it_and_in_order(void **state)
{
    subscribe(TOPIC_CHANNEL, NOTICE_PREFIX "a");
    subscribe(TOPIC_PATTERN, "*a");
    rig.within = publish_more;
    keep("a", "1");
    heard("sluice:note:a via channel: 1 after -1 =1\nreturned\n"
          "sluice:note:a via pattern: 1 after -1 =1\nkept 1\n"
          "sluice:note:a via channel: 2 after 1 =2\n"
          "sluice:note:a via pattern: 2 after 1 =2\nkept 2\n"
          "fence 2\n"
          "a via pattern: plain\npublished ok 1\n");
}

static void read_within(struct span channel)
{
    read_all("a");
}

static void a_message_can_be_read_when_its_notice_is_told(void **state)
{
    subscribe(TOPIC_CHANNEL, NOTICE_PREFIX "a");
    rig.within = read_within;
    keep("a", "1");
    heard("sluice:note:a via channel: 1 after -1 =1\nslice 1(-1)=1 last 1\nkept 1\n");
}

static void destroy_within(struct span channel)
{
    struct broker *b = rig.broker;
    publish_more(channel);
    rig.broker = NULL;
    b->ops->destroy(b);
    buf_str(&rig.heard, "destroyed\n");
}

static void a_destroy_from_within_a_notice_answers_all_that_wait_first(void **state)
{
    subscribe(TOPIC_CHANNEL, NOTICE_PREFIX "a");
    subscribe(TOPIC_PATTERN, "*a");
    rig.within = destroy_within;
    keep("a", "1");
    heard("sluice:note:a via channel: 1 after -1 =1\nreturned\n"
          "kept unavailable|the gateway is stopping\nkept unavailable|the gateway is stopping\n"
          "published unavailable 0\ndestroyed\n");
}

static void publish_into_slice(void *arg, int err, const char *why, const struct broker_slice *s)
{
    struct broker *b = rig.broker;
    keep_as("a", "new", (struct broker_publication){.messages = 1});
    on_slice(arg, err, why, s);
    rig.broker = NULL;
    b->ops->destroy(b);
    on_slice(arg, err, why, s);
}

static void a_slice_stays_as_it_was_when_its_reader_publishes_or_destroys(void **state)
{
    keep("a", "old");
    forget();
    rig.broker->ops->read(rig.broker, span_of("a"), 0, 10, 1000, publish_into_slice, NULL);
    heard("kept 2\nslice 1(-1)=old last 1\nslice 1(-1)=old last 1\n");
}

static void publish_into_changes(void *arg, int err, const char *why,
                                 const struct broker_changes *changes)
{
    struct broker *b = rig.broker;
    keep("a", "new");
    rig.broker = NULL;
    b->ops->destroy(b);
    on_changes(arg, err, why, changes);
}

static void changes_stay_as_they_were_when_their_reader_publishes_or_destroys(void **state)
{
    keep("a", "old");
    forget();
    rig.broker->ops->changed(rig.broker, 0, 10, publish_into_changes, NULL);
    heard("kept 2\nchanged a@1\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(ids_are_the_wall_clock_and_rise_also_when_it_stands_or_steps_back),
        T(every_id_after_a_hello_or_a_fence_is_above_its_clock),
        T(a_hello_is_the_same_for_its_own_epoch_only),
        T(each_message_is_told_by_a_notice_with_the_one_before_it),
        T(a_plain_publish_is_not_kept),
        T(what_is_published_from_within_a_message_is_told_after_it_and_in_order),
        T(a_message_can_be_read_when_its_notice_is_told),
        T(a_destroy_from_within_a_notice_answers_all_that_wait_first),
        T(a_slice_stays_as_it_was_when_its_reader_publishes_or_destroys),
        T(changes_stay_as_they_were_when_their_reader_publishes_or_destroys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
