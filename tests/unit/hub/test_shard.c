/* A shard with the test as its core: what it is told stands in its uplink, what it does in `heard`.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "hub/shard.h"

#include <string.h>

struct listener {
    struct subscriber sub;
    char name;
};

static struct shard *shard;
static struct uplink up;
static struct buf heard;               /* "a:ready b:data1 " */
static struct buf told;                /* "+one +w/two* -one ": what the core heard */
static struct shard_topic *last_topic; /* of the last message to the core */
static struct fence last_fence;
static struct listener a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'};

static char name_of(struct subscriber *s)
{
    return ((struct listener *)(void *)((char *)s - offsetof(struct listener, sub)))->name;
}

static void on_deliver(void *ctx, struct subscriber *s, struct frame *f)
{
    buf_printf(&heard, "%c:%.*s ", name_of(s), (int)f->len, f->bytes);
}

static void on_ready(void *ctx, struct subscriber *s)
{
    buf_printf(&heard, "%c:ready ", name_of(s));
}

static void on_waiting(void *ctx, struct subscriber *s)
{
    buf_printf(&heard, "%c:waiting ", name_of(s));
}

static void on_refused(void *ctx, struct subscriber *s, struct span name, const char *why)
{
    buf_printf(&heard, "%c:refused(%.*s,%s) ", name_of(s), (int)name.len, name.ptr, why);
}

static const struct shard_sink sink = {
    .deliver = on_deliver, .ready = on_ready, .waiting = on_waiting, .refused = on_refused};

static void no_wake(void *ctx)
{
}

static int start(void **state)
{
    mailbox_init(&up.control, (struct lane_wake){.wake = no_wake});
    shard = shard_create(3, &up, &sink, NULL);
    a = (struct listener){.name = 'a'};
    b = (struct listener){.name = 'b'};
    c = (struct listener){.name = 'c'};
    return 0;
}

static int stop(void **state)
{
    shard_leave(shard, &a.sub);
    shard_leave(shard, &b.sub);
    shard_leave(shard, &c.sub);
    shard_destroy(&shard);
    mailbox_fini(&up.control);
    buf_free(&heard);
    buf_free(&told);
    return shard != NULL;
}

/* What the streams have heard since the last time. */
static const char *hears(void)
{
    static char text[1024];
    assert_true(heard.len < sizeof(text));
    strcpy(text, buf_cstr(&heard));
    buf_reset(&heard);
    return text;
}

/* What the core was told since the last time. */
static const char *core_hears(void)
{
    buf_reset(&told);
    struct msg *next;
    for (struct msg *m = mailbox_take(&up.control); m; m = next) {
        next = m->next;
        assert_int_equal(m->worker, 3);
        last_topic = m->topic;
        last_fence = m->fence;
        if (m->type == MSG_FENCED)
            buf_printf(&told, "fenced:%u ", m->fence.streams);
        else
            buf_printf(&told, "%c%s%s%s ", m->type == MSG_SUBSCRIBE ? '+' : '-',
                       m->wrapped ? "w/" : "", m->kind == TOPIC_PATTERN ? "p/" : "", m->text);
        msg_free(m);
    }
    return buf_cstr(&told);
}

static void join(struct listener *l, const char *const *channels)
{
    struct shard_want wants[8];
    size_t n = 0;
    for (; channels[n]; n++)
        wants[n] = (struct shard_want){TOPIC_CHANNEL, span_of(channels[n])};
    shard_join(shard, &l->sub, wants, n);
}

#define JOIN(l, ...) join(l, (const char *const[]){__VA_ARGS__, NULL})

static struct shard_topic *join_one(struct listener *l, const char *channel)
{
    JOIN(l, channel);
    core_hears();
    return last_topic;
}

static void core_says(enum msg_type type, struct shard_topic *t)
{
    struct msg *m = msg_create(type, 3);
    m->topic = t;
    if (type == MSG_TOPIC_REFUSED)
        m->text = strdup("no");
    if (type == MSG_TOPIC_GAP)
        m->frame = frame_create(span_of("gap"), 0);
    assert_true(shard_handle(shard, m));
    msg_free(m);
}

static void broker_is(bool is_up, const char *why)
{
    struct msg *m = msg_create(MSG_BROKER, 3);
    m->up = is_up;
    m->text = strdup(why);
    assert_true(shard_handle(shard, m));
    msg_free(m);
}

static uint32_t fan_out(struct shard_topic *t, const char *data, uint64_t pub)
{
    struct lane_entry e = {.frame = frame_create(span_of(data), 1), .topic = t, .pub = pub};
    uint32_t n = shard_fan_out(shard, &e);
    frame_unref(e.frame);
    return n;
}

static void each_topic_of_a_stream_is_told_to_the_core(void **state)
{
    struct shard_want wants[] = {{TOPIC_CHANNEL, span_of("one")}, {TOPIC_PATTERN, span_of("t*")}};
    shard_join(shard, &a.sub, wants, 2);
    b.sub.wrapped = true;
    shard_join(shard, &b.sub, wants, 2);
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
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
        T(each_topic_of_a_stream_is_told_to_the_core),
        T(a_name_that_stands_twice_counts_once),
        T(a_subscriber_that_left_is_as_it_was),
        T(a_frame_goes_to_every_stream_of_its_topic_and_no_other),
        T(a_publication_reaches_a_stream_once_however_its_topics_overlap),
        T(plain_and_wrapped_streams_have_topics_of_their_own),
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
        T(a_gap_reaches_every_stream_of_the_topic_whatever_it_had_before),
        T(a_fence_says_how_many_streams_had_the_publication_before_it),
        T(what_is_no_topics_business_is_left_to_the_caller),
        T(a_crowd_that_comes_and_goes_in_any_order_keeps_its_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
