#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hub/topics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct topics *topics;

static int start(void **state)
{
    topics = topics_create(2);
    return 0;
}

static int stop(void **state)
{
    topics_destroy(&topics);
    return topics != NULL;
}

static struct topic *add(enum topic_kind kind, const char *name)
{
    return topics_add(topics, kind, span_of(name));
}

static struct topic *find(enum topic_kind kind, const char *name)
{
    return topics_find(topics, kind, span_of(name));
}

static void a_new_topic_is_off_and_nobodys(void **state)
{
    const struct topic *t = add(TOPIC_CHANNEL, "a");
    assert_int_equal(t->state, TOPIC_OFF);
    assert_false(t->confirmed || t->had || t->refused);
    assert_int_equal(t->streams, 0);
    for (int slot = 0; slot < 2 * 2; slot++)
        assert_true(!t->slots[slot].token && !t->slots[slot].count && !t->slots[slot].lost);
}

static void a_channel_and_a_pattern_of_one_name_are_two_topics(void **state)
{
    struct topic *channel = add(TOPIC_CHANNEL, "a"), *pattern = add(TOPIC_PATTERN, "a");
    assert_ptr_not_equal(channel, pattern);
    assert_ptr_equal(find(TOPIC_CHANNEL, "a"), channel);
    assert_ptr_equal(find(TOPIC_PATTERN, "a"), pattern);
    topics_remove(topics, channel);
    assert_null(find(TOPIC_CHANNEL, "a"));
    assert_ptr_equal(find(TOPIC_PATTERN, "a"), pattern);
}

static void the_name_is_copied(void **state)
{
    char name[] = "abc";
    const struct topic *t = topics_add(topics, TOPIC_CHANNEL, span_make(name, 2));
    memset(name, 'z', sizeof(name));
    assert_string_equal(t->name, "ab");
    assert_true(span_is(topic_span(t), "ab"));
    assert_non_null(find(TOPIC_CHANNEL, "ab"));
}

static void each_topic_is_walked_once_and_counted(void **state)
{
    char name[16];
    bool seen[500] = {false};
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "%d", i);
        add(TOPIC_CHANNEL, name);
    }
    add(TOPIC_PATTERN, "x*");
    size_t cursor = 0, n = 0;
    for (const struct topic *t; (t = topics_next(topics, TOPIC_CHANNEL, &cursor)); n++) {
        int i = atoi(t->name);
        assert_false(seen[i]);
        seen[i] = true;
    }
    assert_int_equal(n, 500);
    assert_int_equal(topics_count(topics, TOPIC_CHANNEL), 500);
    assert_int_equal(topics_count(topics, TOPIC_PATTERN), 1);
}

static void patterns_stand_in_the_order_of_their_making(void **state)
{
    char order[64] = "";
    add(TOPIC_PATTERN, "b*");
    struct topic *gone = add(TOPIC_PATTERN, "x*");
    add(TOPIC_CHANNEL, "c");
    add(TOPIC_PATTERN, "a*");
    topics_remove(topics, gone);
    add(TOPIC_PATTERN, "x*");
    LIST_FOREACH (n, topics_patterns(topics))
        strcat(order, LIST_ENTRY(n, struct topic, node)->name);
    assert_string_equal(order, "b*a*x*");
}

static void a_removed_topic_leaves_the_list_it_lingers_in(void **state)
{
    struct list lingering;
    list_init(&lingering);
    struct topic *t = add(TOPIC_CHANNEL, "a");
    list_append(&lingering, &t->linger);
    topics_remove(topics, t);
    assert_true(list_empty(&lingering));
}

static void a_pattern_matches_as_redis_does_it(void **state)
{
    static const struct {
        const char *pattern, *channel;
        bool matches;
    } rows[] = {
        {"news.*", "news.uk", true},
        {"news.*", "news.", true},
        {"news.*", "news", false},
        {"news.*", "olds.uk", false},
        {"*", "anything.at.all", true},
        {"n[ae]ws", "news", true},
        {"n[ae]ws", "niws", false},
        {"exact", "exact", true},
        {"exact", "exactly", false},
        {"a\\*b", "a*b", true},
        {"a\\*b", "axb", false},
        {"news.?k", "news.uk", true},
        {"a.very.long.prefix*", "a", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct topic *t = add(TOPIC_PATTERN, rows[i].pattern);
        assert_int_equal(topic_matches(t, span_of(rows[i].channel)), rows[i].matches);
        topics_remove(topics, t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
        T(a_new_topic_is_off_and_nobodys),
        T(a_channel_and_a_pattern_of_one_name_are_two_topics),
        T(the_name_is_copied),
        T(each_topic_is_walked_once_and_counted),
        T(patterns_stand_in_the_order_of_their_making),
        T(a_removed_topic_leaves_the_list_it_lingers_in),
        T(a_pattern_matches_as_redis_does_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
