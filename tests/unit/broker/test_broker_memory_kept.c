/* What the memory broker keeps of its durable messages, for how long, and how it is read. */
#include "memory_rig.h"

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
