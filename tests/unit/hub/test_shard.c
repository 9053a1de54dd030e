/* Who listens to what, and the fan-out. */
#include "shard_rig.h"

static void each_topic_of_a_stream_is_told_to_the_core(void **state)
{
    struct shard_want wants[] = {{TOPIC_CHANNEL, span_of("one")}, {TOPIC_PATTERN, span_of("t*")}};
    shard_join(shard, &a.sub, wants, 2, NULL);
    b.sub.wrapped = true;
    shard_join(shard, &b.sub, wants, 2, NULL);
    assert_string_equal(core_hears(), "+one +p/t* +w/one +w/p/t* ");
    shard_leave(shard, &a.sub);
    assert_string_equal(core_hears(), "-one -p/t* ");
    shard_leave(shard, &b.sub);
    assert_string_equal(core_hears(), "-w/one -w/p/t* ");
}

static void a_name_that_stands_twice_counts_once(void **state)
{
    JOIN(&a, "one", "two", "one", "one");
    assert_string_equal(core_hears(), "+one +two ");
    assert_int_equal(a.sub.count, 2);
    assert_int_equal(a.sub.waiting, 2);
    shard_leave(shard, &a.sub);
    assert_string_equal(core_hears(), "-one -two ");
}

static void a_subscriber_that_left_is_as_it_was(void **state)
{
    a.sub.wrapped = true;
    JOIN(&a, "one");
    shard_leave(shard, &a.sub);
    assert_null(a.sub.subs);
    assert_int_equal(a.sub.count, 0);
    assert_int_equal(a.sub.waiting, 0);
    assert_true(a.sub.wrapped);
    shard_leave(shard, &a.sub);
    core_hears();
    JOIN(&a, "one");
    assert_string_equal(core_hears(), "+w/one ");
}

static void a_frame_goes_to_every_stream_of_its_topic_and_no_other(void **state)
{
    broker_is(true, "");
    struct shard_topic *one = join_one(&a, "one");
    join_one(&b, "one");
    struct shard_topic *two = join_one(&c, "two");
    assert_int_equal(fan_out(one, "x", 1), 2);
    assert_string_equal(hears(), "a:x b:x ");
    assert_int_equal(fan_out(two, "y", 2), 1);
    assert_string_equal(hears(), "c:y ");
    shard_leave(shard, &a.sub);
    assert_int_equal(fan_out(one, "z", 3), 1);
    assert_string_equal(hears(), "b:z ");
}

static void a_publication_reaches_a_stream_once_however_its_topics_overlap(void **state)
{
    broker_is(true, "");
    struct shard_topic *one = join_one(&a, "one");
    join_one(&b, "two");
    struct shard_topic *two = last_topic;
    JOIN(&c, "one", "two");
    assert_int_equal(fan_out(one, "x", 7), 2);
    assert_int_equal(fan_out(two, "x", 7), 1);
    assert_string_equal(hears(), "a:x c:x b:x ");
    assert_int_equal(fan_out(two, "y", 8), 2);
    assert_int_equal(fan_out(one, "y", 8), 1);
    assert_string_equal(hears(), "b:y c:y a:y ");
}

static void plain_and_wrapped_streams_have_topics_of_their_own(void **state)
{
    broker_is(true, "");
    b.sub.wrapped = true;
    struct shard_topic *plain = join_one(&a, "one"), *wrapped = join_one(&b, "one");
    assert_ptr_not_equal(plain, wrapped);
    assert_int_equal(shard_topics(shard), 2);
    fan_out(plain, "p", 1);
    fan_out(wrapped, "w", 1);
    assert_string_equal(hears(), "a:p b:w ");
}

static void a_gap_reaches_every_stream_of_the_topic_whatever_it_had_before(void **state)
{
    broker_is(true, "");
    struct shard_topic *one = join_one(&a, "one");
    JOIN(&b, "one");
    JOIN(&c, "two");
    fan_out(one, "x", 1);
    core_says(MSG_TOPIC_GAP, one);
    core_says(MSG_TOPIC_GAP, one);
    assert_string_equal(hears(), "a:x b:x a:gap b:gap a:gap b:gap ");
}

static void fence(uint64_t ticket, uint64_t pub)
{
    struct msg *m = msg_create(MSG_FENCE, 3);
    m->fence = (struct fence){.ticket = ticket, .pub = pub};
    assert_true(shard_handle(shard, m));
    msg_free(m);
}

static void a_fence_says_how_many_streams_had_the_publication_before_it(void **state)
{
    struct shard_topic *one = join_one(&a, "one"), *two = join_one(&b, "two");
    JOIN(&c, "one", "two");
    core_hears();
    fan_out(one, "x", 5);
    fan_out(two, "x", 5);
    fence(9, 5);
    assert_string_equal(core_hears(), "fenced:3 ");
    assert_int_equal(last_fence.ticket, 9);
    fan_out(two, "y", 6);
    fence(10, 6);
    assert_string_equal(core_hears(), "fenced:2 ");
    fence(11, 7); /* reached nobody here */
    assert_string_equal(core_hears(), "fenced:0 ");
}

static void what_is_no_topics_business_is_left_to_the_caller(void **state)
{
    static const enum msg_type others[] = {MSG_PUBLISHED, MSG_CHANNELS_PAGE, MSG_STOP};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct msg *m = msg_create(others[i], 3);
        assert_false(shard_handle(shard, m));
        msg_free(m);
    }
}

/* Members leave from anywhere; places move, and the topic's memory shrinks. */
static void a_crowd_that_comes_and_goes_in_any_order_keeps_its_places(void **state)
{
    enum { CROWD = 300 };
    static struct listener crowd[CROWD];
    struct shard_topic *one = join_one(&a, "one");
    for (int i = 0; i < CROWD; i++) {
        crowd[i] = (struct listener){.name = '.'};
        JOIN(&crowd[i], "two", "one", "three");
    }
    assert_int_equal(fan_out(one, "", 1), CROWD + 1);
    for (int step = 0, i = 0; step < CROWD; step++, i = (i + 7) % CROWD) {
        shard_leave(shard, &crowd[i].sub);
        assert_int_equal(fan_out(one, "", (uint64_t)step + 2), CROWD - step);
    }
    assert_int_equal(fan_out(one, "", CROWD + 2), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(each_topic_of_a_stream_is_told_to_the_core),
        T(a_name_that_stands_twice_counts_once),
        T(a_subscriber_that_left_is_as_it_was),
        T(a_frame_goes_to_every_stream_of_its_topic_and_no_other),
        T(a_publication_reaches_a_stream_once_however_its_topics_overlap),
        T(plain_and_wrapped_streams_have_topics_of_their_own),
        T(a_gap_reaches_every_stream_of_the_topic_whatever_it_had_before),
        T(a_fence_says_how_many_streams_had_the_publication_before_it),
        T(what_is_no_topics_business_is_left_to_the_caller),
        T(a_crowd_that_comes_and_goes_in_any_order_keeps_its_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
