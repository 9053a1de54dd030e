/* What streams hear of the broker: ready, waiting, refused; and goodbyes that cross with answers.
 */
#include "shard_rig.h"

static void a_stream_is_ready_only_when_all_its_topics_are_confirmed(void **state)
{
    struct shard_topic *one = join_one(&a, "one"), *two = join_one(&b, "two");
    JOIN(&c, "one", "two");
    core_says(MSG_TOPIC_READY, one);
    assert_string_equal(hears(), "a:waiting b:waiting c:waiting a:ready ");
    core_says(MSG_TOPIC_READY, two);
    assert_string_equal(hears(), "b:ready c:ready ");
    core_says(MSG_TOPIC_READY, two);
    assert_string_equal(hears(), "");
}

static void a_stream_of_confirmed_topics_is_ready_at_once(void **state)
{
    struct shard_topic *one = join_one(&a, "one");
    core_says(MSG_TOPIC_READY, one);
    hears();
    JOIN(&b, "one");
    assert_string_equal(hears(), "b:ready ");
}

static void nothing_is_said_while_a_broker_that_is_up_confirms(void **state)
{
    broker_is(true, "");
    struct shard_topic *one = join_one(&a, "one");
    assert_string_equal(hears(), "");
    core_says(MSG_TOPIC_READY, one);
    assert_string_equal(hears(), "a:ready ");
}

/* The core's answer to the first stream crosses with the second's coming. */
static void an_answer_to_a_subscription_that_has_ended_says_nothing_of_the_next(void **state)
{
    broker_is(true, "");
    struct shard_topic *one = join_one(&a, "one");
    shard_leave(shard, &a.sub);
    JOIN(&b, "one");
    assert_string_equal(core_hears(), "-one +one ");
    core_says(MSG_TOPIC_READY, one); /* to a's */
    assert_string_equal(hears(), "");
    core_says(MSG_TOPIC_GONE, one);
    assert_string_equal(hears(), "");
    core_says(MSG_TOPIC_READY, one); /* to b's */
    assert_string_equal(hears(), "b:ready ");
}

static void a_topic_outlives_every_goodbye_that_the_core_has_not_answered(void **state)
{
    struct shard_topic *one = join_one(&a, "one");
    shard_leave(shard, &a.sub);
    assert_int_equal(shard_topics(shard), 1);
    JOIN(&a, "one");
    shard_leave(shard, &a.sub);
    core_hears();
    assert_ptr_equal(last_topic, one);
    core_says(MSG_TOPIC_GONE, one);
    assert_int_equal(shard_topics(shard), 1);
    assert_int_equal(fan_out(one, "late", 1), 0);
    core_says(MSG_TOPIC_GONE, one);
    assert_int_equal(shard_topics(shard), 0);
}

static void a_topic_that_has_streams_again_stays_when_the_goodbye_is_answered(void **state)
{
    struct shard_topic *one = join_one(&a, "one");
    shard_leave(shard, &a.sub);
    JOIN(&b, "one");
    core_says(MSG_TOPIC_GONE, one);
    assert_int_equal(shard_topics(shard), 1);
    hears();
    assert_int_equal(fan_out(one, "x", 1), 1);
    assert_string_equal(hears(), "b:x ");
}

static void a_topic_that_was_ready_must_be_confirmed_again_for_the_next_stream(void **state)
{
    broker_is(true, "");
    struct shard_topic *one = join_one(&a, "one");
    core_says(MSG_TOPIC_READY, one);
    shard_leave(shard, &a.sub);
    hears();
    JOIN(&b, "one");
    assert_int_equal(b.sub.waiting, 1);
    core_says(MSG_TOPIC_GONE, one);
    core_says(MSG_TOPIC_READY, one);
    assert_string_equal(hears(), "b:ready ");
}

static void when_the_broker_goes_each_ready_stream_hears_of_it_once(void **state)
{
    broker_is(true, "");
    struct shard_topic *one = join_one(&a, "one"), *two = join_one(&b, "two");
    JOIN(&c, "one", "two");
    core_says(MSG_TOPIC_READY, one);
    assert_string_equal(hears(), "a:ready ");
    core_says(MSG_TOPIC_READY, two);
    hears();
    broker_is(false, "refused");
    const char *all = hears();
    assert_int_equal(strlen(all), 3 * strlen("a:waiting "));
    assert_non_null(strstr(all, "a:waiting "));
    assert_non_null(strstr(all, "b:waiting "));
    assert_non_null(strstr(all, "c:waiting "));
    broker_is(false, "still refused");
    assert_string_equal(hears(), "");
    broker_is(true, "");
    assert_string_equal(hears(), "");
    core_says(MSG_TOPIC_READY, one);
    assert_string_equal(hears(), "a:ready ");
    core_says(MSG_TOPIC_READY, two);
    assert_string_equal(hears(), "b:ready c:ready ");
}

static void a_stream_that_waited_already_is_not_told_again_that_it_waits(void **state)
{
    broker_is(true, "");
    struct shard_topic *one = join_one(&a, "one");
    JOIN(&b, "one", "two");
    core_says(MSG_TOPIC_READY, one);
    hears();
    broker_is(false, "x");
    assert_string_equal(hears(), "a:waiting ");
}

static void a_stream_that_comes_while_the_broker_is_away_is_told_so(void **state)
{
    JOIN(&a, "one");
    assert_string_equal(hears(), "a:waiting ");
    broker_is(true, "");
    broker_is(false, "x");
    JOIN(&b, "one");
    assert_string_equal(hears(), "b:waiting ");
}

static void the_reason_why_the_broker_is_away_is_kept(void **state)
{
    assert_false(shard_broker_up(shard));
    assert_string_equal(shard_broker_reason(shard), "not connected yet");
    broker_is(true, "");
    assert_true(shard_broker_up(shard));
    assert_string_equal(shard_broker_reason(shard), "");
    broker_is(false, "connection refused");
    assert_string_equal(shard_broker_reason(shard), "connection refused");
    broker_is(false, "LOADING");
    assert_string_equal(shard_broker_reason(shard), "LOADING");
}

static void a_refusal_reaches_every_stream_of_the_topic_with_its_name(void **state)
{
    broker_is(true, "");
    struct shard_topic *one = join_one(&a, "one");
    JOIN(&b, "two", "one");
    JOIN(&c, "two");
    core_says(MSG_TOPIC_REFUSED, one);
    assert_string_equal(hears(), "a:refused(one,no) b:refused(one,no) ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_stream_is_ready_only_when_all_its_topics_are_confirmed),
        T(a_stream_of_confirmed_topics_is_ready_at_once),
        T(nothing_is_said_while_a_broker_that_is_up_confirms),
        T(an_answer_to_a_subscription_that_has_ended_says_nothing_of_the_next),
        T(a_topic_outlives_every_goodbye_that_the_core_has_not_answered),
        T(a_topic_that_has_streams_again_stays_when_the_goodbye_is_answered),
        T(a_topic_that_was_ready_must_be_confirmed_again_for_the_next_stream),
        T(when_the_broker_goes_each_ready_stream_hears_of_it_once),
        T(a_stream_that_waited_already_is_not_told_again_that_it_waits),
        T(a_stream_that_comes_while_the_broker_is_away_is_told_so),
        T(the_reason_why_the_broker_is_away_is_kept),
        T(a_refusal_reaches_every_stream_of_the_topic_with_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
