/* The memory broker's durable messages: what it keeps, tells and answers, each as a line of text.
 */
#include "base/buf.h"
#include "base/err.h"
#include "broker/broker_memory.h"
#include "proto/event_id.h"
#include "proto/notice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUDGET = 100000 };

static const uint64_t start_us = 1000000000000000, second = 1000000;

static struct rig {
    struct broker *broker;
    struct buf heard;
    uint64_t now;
    uint64_t last_id; /* of the last answer */
    char epoch[NOTICE_EPOCH_BYTES + 1];
    void (*within)(struct span channel); /* called by each message that is heard; once */
} rig;

static uint64_t rig_now(void *ctx)
{
    return rig.now;
}

static const struct clock rig_clock = {.mono_us = rig_now, .wall_us = rig_now};

/* Ids are written as the microseconds since the start. */
static long long since_start(uint64_t id)
{
    return id ? (long long)(id - start_us) : -1;
}

static void on_topic(void *ctx, enum topic_kind kind, struct span name)
{
}

static void on_message(void *ctx, struct span channel, struct span pattern, struct span payload)
{
    struct notice n;
    void (*within)(struct span channel) = rig.within;
    buf_printf(&rig.heard, "%.*s via %s: ", (int)channel.len, channel.ptr,
               pattern.ptr ? "pattern" : "channel");
    if (span_starts(channel, NOTICE_PREFIX)) {
        assert_null(notice_parse(payload, &n));
        assert_true(span_is(n.epoch, rig.epoch));
        buf_printf(&rig.heard, "%lld after %lld %.*s=%.*s\n", since_start(n.id),
                   since_start(n.previous), (int)n.event.len, n.event.ptr, (int)n.data.len,
                   n.data.ptr);
    } else {
        buf_printf(&rig.heard, "%.*s\n", (int)payload.len, payload.ptr);
    }
    rig.within = NULL;
    if (within)
        within(channel);
}

static void on_fence(void *ctx, struct span epoch, uint64_t clock, uint64_t floor)
{
    assert_int_equal(floor, 0);
    assert_true(span_is(epoch, rig.epoch));
    buf_printf(&rig.heard, "fence %lld\n", since_start(clock));
}

static const struct broker_events events = {
    .on_subscribed = on_topic,
    .on_unsubscribed = on_topic,
    .on_message = on_message,
    .on_fence = on_fence,
};

static void on_hello(void *arg, int err, const char *why, const struct broker_dataset *d)
{
    assert_int_equal(err, 0);
    assert_int_equal(d->epoch.len, NOTICE_EPOCH_BYTES);
    assert_true(span_eq(d->epoch, d->boot));
    assert_int_equal(d->window_count, 0);
    snprintf(rig.epoch, sizeof(rig.epoch), "%.*s", (int)d->epoch.len, d->epoch.ptr);
    buf_printf(&rig.heard, "hello %s clock %lld floor %lld born %lld longest %llu s\n",
               d->verdict == DATASET_SAME  ? "same"
               : d->verdict == DATASET_NEW ? "new"
                                           : "rewound",
               since_start(d->clock), since_start(d->floor), since_start(d->born),
               (unsigned long long)(d->longest_us / second));
}

static void hello(const char *epoch)
{
    rig.broker->ops->hello(rig.broker, span_of(epoch), span_of(epoch), 0, on_hello, NULL);
}

static void on_kept(void *arg, int err, const char *why, uint64_t id)
{
    rig.last_id = err ? 0 : id;
    if (err)
        buf_printf(&rig.heard, "kept %s|%s\n", err_name(err), why);
    else
        buf_printf(&rig.heard, "kept %lld\n", since_start(id));
}

static void keep_as(const char *channel, const char *data, struct broker_publication p)
{
    p.channel = span_of(channel);
    p.data = span_of(data);
    p.messages = p.messages ? p.messages : 1000;
    p.seconds = p.seconds ? p.seconds : 3600;
    rig.broker->ops->publish_durable(rig.broker, &p, on_kept, NULL);
}

static void keep(const char *channel, const char *data)
{
    keep_as(channel, data, (struct broker_publication){0});
}

static void on_slice(void *arg, int err, const char *why, const struct broker_slice *s)
{
    assert_int_equal(err, 0);
    buf_printf(&rig.heard, "slice");
    for (size_t i = 0; i < s->count; i++) {
        const struct broker_record *r = &s->records[i];
        buf_printf(&rig.heard, " %lld(%lld)", since_start(r->id), since_start(r->previous));
        buf_span(&rig.heard, r->event);
        buf_byte(&rig.heard, '=');
        buf_span(&rig.heard, r->data);
    }
    buf_printf(&rig.heard, " last %lld", since_start(s->last));
    if (s->lost)
        buf_printf(&rig.heard, " lost %lld", since_start(s->lost));
    buf_printf(&rig.heard, "%s\n", s->more ? " more" : "");
}

static void read_some(const char *channel, uint64_t after, uint32_t limit, uint64_t bytes)
{
    rig.broker->ops->read(rig.broker, span_of(channel), after, limit, bytes, on_slice, NULL);
}

static void read_all(const char *channel)
{
    read_some(channel, 0, UINT32_MAX, UINT64_MAX);
}

static void on_changes(void *arg, int err, const char *why, const struct broker_changes *c)
{
    assert_int_equal(err, 0);
    buf_printf(&rig.heard, "changed");
    for (size_t i = 0; i < c->count; i++)
        buf_printf(&rig.heard, " %.*s@%lld", (int)c->list[i].channel.len, c->list[i].channel.ptr,
                   since_start(c->list[i].id));
    if (c->pruned)
        buf_printf(&rig.heard, " pruned %lld", since_start(c->pruned));
    buf_printf(&rig.heard, "\n");
}

static void changed(uint64_t after, uint32_t limit)
{
    rig.broker->ops->changed(rig.broker, after, limit, on_changes, NULL);
}

static void on_published(void *arg, int err, const char *why, int64_t receivers)
{
    buf_printf(&rig.heard, "published %s %lld\n", err ? err_name(err) : "ok", (long long)receivers);
}

static void publish(const char *channel, const char *payload)
{
    rig.broker->ops->publish(rig.broker, span_of(channel), span_of(payload), on_published, NULL);
}

static void subscribe(enum topic_kind kind, const char *name)
{
    rig.broker->ops->subscribe(rig.broker, kind, span_of(name));
}

static void heard(const char *text)
{
    assert_string_equal(buf_cstr(&rig.heard), text);
    buf_reset(&rig.heard);
}

static void forget(void)
{
    buf_reset(&rig.heard);
}

static int start(void **state)
{
    static const struct memory_options options = {.clock = &rig_clock, .replay_bytes = BUDGET};
    rig = (struct rig){.now = start_us};
    rig.broker = broker_memory_create(&options, &events, NULL);
    hello("");
    forget();
    return 0;
}

static int stop(void **state)
{
    if (rig.broker)
        rig.broker->ops->destroy(rig.broker);
    buf_free(&rig.heard);
    return 0;
}

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

/* What is kept */

static void a_log_keeps_its_last_messages_and_says_what_was_before_them(void **state)
{
    for (int i = 0; i < 100; i++) {
        char text[16];
        snprintf(text, sizeof(text), "m%d", i);
        keep_as("a", text, (struct broker_publication){.messages = 3});
    }
    forget();
    read_all("a");
    heard("slice 98(97)=m97 99(98)=m98 100(99)=m99 last 100 lost 97\n");
}

static void a_log_keeps_no_message_that_is_older_than_its_history(void **state)
{
    const struct broker_publication minute = {.seconds = 60};
    keep_as("a", "old", minute);
    rig.now += 30 * second;
    keep_as("a", "middle", minute);
    rig.now += 31 * second;
    keep_as("a", "new", minute);
    forget();
    read_all("a");
    heard("slice 30000000(1)=middle 61000000(30000000)=new last 61000000 lost 1\n");
}

static void a_log_ends_when_nothing_comes_but_the_index_remembers_its_last_message(void **state)
{
    const struct broker_publication minute = {.seconds = 60};
    keep_as("a", "old", minute);
    rig.now += 60 * second;
    forget();
    read_all("a");
    heard("slice 1(-1)=old last 1\n");
    rig.now += 1;
    read_all("a");
    changed(0, 10);
    keep_as("a", "new", minute);
    read_all("a");
    heard("slice last 1 lost 1\nchanged a@1\nkept 60000001\n"
          "slice 60000001(1)=new last 60000001 lost 1\n");
}

static void a_slice_says_up_to_where_messages_may_be_gone(void **state)
{
    for (int i = 0; i < 6; i++)
        keep_as("a", "x", (struct broker_publication){.messages = 2});
    forget();
    read_some("a", start_us, 1, 1);
    read_some("a", start_us + 3, 1, 1);
    read_some("a", start_us + 4, 1, 1);
    read_some("a", start_us + 6, 1, 1);
    heard("slice 5(4)=x last 6 lost 4 more\nslice 5(4)=x last 6 lost 4 more\n"
          "slice 5(4)=x last 6 more\nslice last 6\n");
}

static void the_index_forgets_a_channel_after_the_longest_history_and_says_so(void **state)
{
    const struct broker_publication minute = {.seconds = 60}, hour = {.seconds = 3600};
    keep_as("a", "x", minute);
    rig.now += 60 * second;
    keep_as("b", "x", minute);
    changed(0, 10);
    heard("kept 1\nkept 60000000\nchanged a@1 b@60000000\n");
    rig.now += 2;
    keep_as("c", "x", minute);
    changed(0, 10);
    read_all("a");
    keep_as("a", "y", hour);
    read_all("a");
    heard("kept 60000002\nchanged b@60000000 c@60000002 pruned 1\nslice last -1 lost 1\n"
          "kept 60000003\nslice 60000003(-1)=y last 60000003 lost 1\n");
    rig.now += 3600 * second;
    keep_as("d", "x", minute);
    hello(rig.epoch);
    changed(start_us, 10);
    rig.now += 2;
    keep_as("d", "x", minute);
    changed(start_us, 10);
    heard("kept 3660000002\n"
          "hello same clock 3660000002 floor -1 born 0 longest 3600 s\n"
          "changed c@60000002 a@60000003 d@3660000002 pruned 60000000\n"
          "kept 3660000004\n"
          "changed d@3660000004 pruned 60000003\n");
}

static void all_logs_together_keep_to_the_budget_and_the_longest_idle_go_first(void **state)
{
    char kilobyte[1025] = {0};
    memset(kilobyte, 'x', 1024);
    keep("quiet", "q");
    keep("old", "o");
    for (int i = 0; i < 50; i++)
        keep("busy", kilobyte);
    forget();
    read_some("quiet", 0, 10, 10);
    heard("slice 1(-1)=q last 1\n");
    for (int i = 0; i < 46; i++)
        keep("busier", kilobyte);
    forget();
    read_all("quiet");
    read_all("old");
    heard("slice last 1 lost 1\nslice last 2 lost 2\n");
    read_some("busy", 0, 1, 1);
    assert_null(strstr(buf_cstr(&rig.heard), "slice 3("));
    assert_non_null(strstr(buf_cstr(&rig.heard), " last 52 lost "));
    forget();
    read_some("busier", 0, 1, 1);
    assert_non_null(strstr(buf_cstr(&rig.heard), "slice 53(-1)="));
}

static void a_message_larger_than_the_budget_is_told_but_not_kept(void **state)
{
    static char large[BUDGET + 1];
    memset(large, 'x', BUDGET);
    keep("a", large);
    read_all("a");
    keep("a", "small");
    read_all("a");
    heard("kept 1\nslice last 1 lost 1\nkept 2\nslice 2(1)=small last 2 lost 1\n");
}

static void a_new_channel_is_refused_when_names_alone_have_used_up_the_budget(void **state)
{
    char name[128];
    int i = 0;
    for (rig.last_id = 1; rig.last_id && i < BUDGET; i++) {
        snprintf(name, sizeof(name), "channel-%0100d", i);
        keep(name, "x");
    }
    assert_in_range(i, 100, 2000);
    assert_non_null(strstr(buf_cstr(&rig.heard), "kept unavailable|there are more durable channels "
                                                 "than replay_bytes has room for\n"));
    snprintf(name, sizeof(name), "channel-%0100d", 0);
    keep(name, "x");
    assert_int_not_equal(rig.last_id, 0);
}

/* Reading */

static void a_read_begins_after_an_id_and_ends_at_its_limits(void **state)
{
    for (int i = 1; i <= 5; i++)
        keep("a", "12345");
    forget();
    read_some("a", start_us + 2, 10, 1000);
    read_some("a", start_us + 2, 2, 1000);
    read_some("a", start_us, 10, 12);
    read_some("a", start_us, 10, 1);
    read_some("a", start_us + 5, 10, 1000);
    read_some("a", UINT64_MAX, 10, 1000);
    read_some("never", 0, 10, 1000);
    heard("slice 3(2)=12345 4(3)=12345 5(4)=12345 last 5\n"
          "slice 3(2)=12345 4(3)=12345 last 5 more\n"
          "slice 1(-1)=12345 2(1)=12345 last 5 more\n"
          "slice 1(-1)=12345 last 5 more\n"
          "slice last 5\nslice last 5\nslice last -1\n");
}

static void what_has_changed_is_told_in_the_order_of_ids(void **state)
{
    keep("a", "1");
    keep("b", "2");
    keep("c", "3");
    keep("a", "4");
    forget();
    changed(0, 10);
    changed(start_us + 2, 10);
    changed(0, 2);
    changed(start_us + 4, 10);
    heard("changed b@2 c@3 a@4\nchanged c@3 a@4\nchanged b@2 c@3\nchanged\n");
}

static void bytes_and_empty_texts_come_back_as_they_were(void **state)
{
    struct broker_publication p = {.channel = span_of("a"),
                                   .event = span_of("e"),
                                   .data = span_make("\0\n\xff", 3),
                                   .messages = 10,
                                   .seconds = 10};
    rig.broker->ops->publish_durable(rig.broker, &p, on_kept, NULL);
    keep("a", "");
    forget();
    read_all("a");
    static const char text[] = "slice 1(-1)e=\0\n\xff 2(1)= last 2\n";
    assert_int_equal(rig.heard.len, sizeof(text) - 1);
    assert_memory_equal(rig.heard.data, text, sizeof(text) - 1);
}

/* Keys */

static void a_key_publishes_once_a_channel_and_answers_the_first_id(void **state)
{
    const struct broker_publication key = {.key = span_of("k")};
    subscribe(TOPIC_PATTERN, NOTICE_PREFIX "*");
    keep_as("a", "1", key);
    keep_as("a", "2", key);
    keep_as("b", "3", key);
    keep_as("a", "4", (struct broker_publication){.key = span_of("other")});
    heard("sluice:note:a via pattern: 1 after -1 =1\nkept 1\nkept 1\n"
          "sluice:note:b via pattern: 2 after -1 =3\nkept 2\n"
          "sluice:note:a via pattern: 3 after 1 =4\nkept 3\n");
}

static void a_key_counts_as_long_as_the_history_at_least_two_minutes_at_most_a_day(void **state)
{
    static const struct {
        uint64_t history, window;
    } cases[] = {{1, 120}, {120, 120}, {300, 300}, {86400, 86400}, {1000000, 86400}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct broker_publication key = {.key = span_of("k"), .seconds = cases[i].history};
        char name[8];
        snprintf(name, sizeof(name), "c%zu", i);
        keep_as(name, "1", key);
        uint64_t first = rig.last_id;
        rig.now = first + cases[i].window * second - 1;
        keep_as(name, "2", key);
        assert_int_equal(rig.last_id, first);
        rig.now++;
        keep_as(name, "3", key);
        assert_int_equal(rig.last_id, rig.now);
        keep_as(name, "4", key);
        assert_int_equal(rig.last_id, rig.now);
    }
}

static void the_oldest_keys_go_first_when_there_are_too_many_bytes_of_them(void **state)
{
    char text[16];
    keep_as("a", "1", (struct broker_publication){.key = span_of("first")});
    uint64_t first = rig.last_id;
    keep_as("a", "1", (struct broker_publication){.key = span_of("first")});
    assert_int_equal(rig.last_id, first);
    for (int i = 0; i < BUDGET / 8 / 40; i++) {
        snprintf(text, sizeof(text), "%d", i);
        keep_as("a", "1", (struct broker_publication){.key = span_of(text)});
    }
    uint64_t last = rig.last_id;
    keep_as("a", "1", (struct broker_publication){.key = span_of(text)});
    assert_int_equal(rig.last_id, last);
    keep_as("a", "1", (struct broker_publication){.key = span_of("first")});
    assert_int_equal(rig.last_id, last + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
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
        T(a_log_keeps_its_last_messages_and_says_what_was_before_them),
        T(a_log_keeps_no_message_that_is_older_than_its_history),
        T(a_log_ends_when_nothing_comes_but_the_index_remembers_its_last_message),
        T(a_slice_says_up_to_where_messages_may_be_gone),
        T(the_index_forgets_a_channel_after_the_longest_history_and_says_so),
        T(all_logs_together_keep_to_the_budget_and_the_longest_idle_go_first),
        T(a_message_larger_than_the_budget_is_told_but_not_kept),
        T(a_new_channel_is_refused_when_names_alone_have_used_up_the_budget),
        T(a_read_begins_after_an_id_and_ends_at_its_limits),
        T(what_has_changed_is_told_in_the_order_of_ids),
        T(bytes_and_empty_texts_come_back_as_they_were),
        T(a_key_publishes_once_a_channel_and_answers_the_first_id),
        T(a_key_counts_as_long_as_the_history_at_least_two_minutes_at_most_a_day),
        T(the_oldest_keys_go_first_when_there_are_too_many_bytes_of_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
