/* The durable calls of the Redis broker against a real redis-server. */
#include "proto/functions.h"
#include "proto/notice.h"
#include "redis_durable.h"

enum { MIB = 1048576 };

static struct server server;
static struct rig rig;

static int start(void **state)
{
    forget_last();
    server_start(&server, NULL);
    rig_create(&rig, server.url, &quick);
    expect(&rig, "up\n", 3);
    forget_heard(&rig);
    return 0;
}

static int stop(void **state)
{
    rig_free(&rig);
    server_stop(&server);
    forget_last();
    return 0;
}

/* Another user's connection in place of the rig's; "ACL SETUSER ann on >pass ..." */
static void become(const char *rights)
{
    char text[512];
    rig_free(&rig);
    snprintf(text, sizeof(text), "ACL SETUSER ann on >pass ~* &* +@all %s", rights);
    assert_non_null(strstr(ask(&server, text), "+OK"));
    snprintf(text, sizeof(text), "redis://ann:pass@127.0.0.1:%d", server.port);
    rig_create(&rig, text, &quick);
    expect(&rig, "up\n", 3);
    forget_heard(&rig);
}

/* How often the command was called, by INFO commandstats ("fcall", "function|load"). */
static int calls(const char *command)
{
    char name[64];
    snprintf(name, sizeof(name), "cmdstat_%s:calls=", command);
    const char *found = strstr(ask(&server, "INFO commandstats"), name);
    return found ? atoi(found + strlen(name)) : 0;
}

/* FUNCTION LOAD REPLACE of the library, as if its version were another. */
static void load_version(char digit)
{
    char *text = mem_strdup(sluice_functions), *at = strstr(text, "local VERSION = ");
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    char answer[32] = "";
    at[strlen("local VERSION = ")] = digit;
    snprintf(un.sun_path, sizeof(un.sun_path), "%s", server.socket);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    dprintf(fd, "*4\r\n$8\r\nFUNCTION\r\n$4\r\nLOAD\r\n$7\r\nREPLACE\r\n$%zu\r\n%s\r\n",
            strlen(text), text);
    assert_true(read(fd, answer, sizeof(answer) - 1) > 0);
    assert_non_null(strstr(answer, "sluice"));
    close(fd);
    mem_free(text);
}

static void a_gateway_without_durable_channels_uses_no_function_and_no_script(void **state)
{
    subscribe(&rig, TOPIC_CHANNEL, "c");
    expect(&rig, "sub c\n", 3);
    publish(&rig, "c", span_of("x"));
    expect(&rig, "message c|-|x\n", 3);
    settle(&rig, 0.3);
    assert_int_equal(calls("info"), 0); /* the first INFO itself is counted when it is over */
    assert_int_equal(calls("fcall") + calls("evalsha"), 0);
    assert_int_equal(calls("function|load") + calls("script|load"), 0);
}

static void a_message_is_told_by_a_notice_and_read_back_byte_for_byte(void **state)
{
    const char data[] = "a\0b\r\nc\xff\xfe";
    subscribe(&rig, TOPIC_CHANNEL, NOTICE_PREFIX "orders.1");
    expect(&rig, "sub sluice:note:orders.1\n", 3);
    publish_durable(&rig, "orders.1", span_make(data, sizeof(data) - 1), "paid", NULL);
    expect(&rig, "durable ok|", 3);
    expect(&rig, "4\\x0apaida\\x00b\\x0d\\x0ac\\xff\\xfe\n", 3);
    uint64_t id = last.id;
    assert_true(id > UINT64_C(1000000) * 1000000);
    read_log(&rig, "orders.1", 0, 10, MIB);
    expect(&rig, "slice ok|1\n", 3);
    assert_true(last.records[0].id == id && last.last == id && last.records[0].previous == 0);
    assert_true(!last.more && last.lost == 0);
    assert_memory_equal(last.data.data, data, sizeof(data) - 1);
}

static void a_key_publishes_once_and_answers_the_first_id(void **state)
{
    publish_durable(&rig, "c", span_of("one"), NULL, "k");
    expect(&rig, "durable ok|", 3);
    uint64_t first = last.id;
    publish_durable(&rig, "c", span_of("two"), NULL, "k");
    assert_true(run_until(&rig, "durable ok|", 2, 3));
    assert_true(last.id == first);
    publish_durable(&rig, "c", span_of("three"), NULL, NULL);
    assert_true(run_until(&rig, "durable ok|", 3, 3));
    assert_true(last.id > first);
    read_log(&rig, "c", 0, 10, MIB);
    expect(&rig, "slice ok|2\n", 3);
    assert_string_equal(buf_cstr(&last.data), "onethree");
    assert_true(last.records[1].previous == first);
}

static void a_key_of_the_brokers_own_is_soon_forgotten(void **state)
{
    char ttl[160];
    publish_durable(&rig, "c", span_of("x"), NULL, NULL);
    expect(&rig, "durable ok|", 3);
    const char *keys = ask(&server, "KEYS sluice:key:c*");
    const char *key = strstr(keys, "sluice:key:c\n");
    assert_non_null(key);
    snprintf(ttl, sizeof(ttl), "TTL \"sluice:key:c\\n%.32s\"", key + strlen("sluice:key:c\n"));
    int seconds = atoi(ask(&server, ttl) + 1);
    assert_true(seconds > 50 && seconds <= 60);
}

static void the_longest_name_that_a_gateway_may_allow_is_published_to(void **state)
{
    char name[1101];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    publish_durable(&rig, name, span_of("x"), NULL, NULL);
    expect(&rig, "durable ok|", 3);
}

static void what_the_library_refuses_is_told_in_its_words(void **state)
{
    publish_durable(&rig, "no*glob", span_of("x"), NULL, NULL);
    expect(&rig, "durable invalid|the channel has one of * ? [ ] { } \\\n", 3);
}

static void hello_tells_a_new_dataset_from_the_same_and_from_one_that_lost(void **state)
{
    hello(&rig, 0);
    expect(&rig, "hello ok|new\n", 3);
    assert_int_equal(strlen(last.epoch), 16);
    publish_durable(&rig, "c", span_of("x"), NULL, NULL);
    expect(&rig, "durable ok|", 3);
    hello(&rig, last.id);
    expect(&rig, "hello ok|same\n", 3);
    assert_true(last.dataset.clock >= last.id && last.dataset.born <= last.id);
    assert_true(last.dataset.longest_us == UINT64_C(3600) * 1000000 && last.dataset.floor == 0);
    uint64_t future = last.dataset.clock + 5000000;
    hello(&rig, future);
    expect(&rig, "hello ok|rewound\n", 3);
    assert_true(last.dataset.floor > future && last.dataset.clock >= last.dataset.floor);
    ask(&server, "FLUSHALL");
    forget_heard(&rig);
    hello(&rig, future);
    expect(&rig, "hello ok|new\n", 3);
}

static void a_fence_comes_round_behind_the_notices_before_it(void **state)
{
    subscribe(&rig, TOPIC_PATTERN, NOTICE_PREFIX "*");
    expect(&rig, "psub ", 3);
    forget_heard(&rig);
    publish_durable(&rig, "c", span_of("x"), NULL, NULL);
    rig.broker->ops->fence(rig.broker);
    expect(&rig, "fence ", 3);
    char *heard = (char *)buf_cstr(&rig.heard);
    assert_true(strstr(heard, "message sluice:note:c|") < strstr(heard, "fence "));
    assert_non_null(strstr(heard, "|no floor\n"));
    settle(&rig, 0.3); /* the broker's own beats are no fences */
    assert_int_equal(heard_times(&rig, "fence "), 1);
}

static void a_fence_that_nobody_asked_for_is_none(void **state)
{
    char publication[160], channel[64];
    const char *found = strstr(ask(&server, "PUBSUB CHANNELS sluice:beat:*"), "sluice:beat:");
    assert_non_null(found);
    snprintf(channel, sizeof(channel), "%.44s", found);
    snprintf(publication, sizeof(publication), "PUBLISH %s \"0123456789abcdef 5-0 0-0\"", channel);
    assert_non_null(strstr(ask(&server, publication), ":1"));
    settle(&rig, 0.2);
    assert_int_equal(heard_times(&rig, "fence"), 0);
    assert_int_equal(heard_times(&rig, "down"), 0);
    rig.broker->ops->fence(rig.broker);
    expect(&rig, "fence ", 3);
}

static void changed_names_the_channels_in_the_order_of_their_last_messages(void **state)
{
    static const char *const order[] = {"a", "b", "c", "a"};
    for (size_t i = 0; i < 4; i++)
        publish_durable(&rig, order[i], span_of("x"), NULL, NULL);
    assert_true(run_until(&rig, "durable ok|", 4, 3));
    changed(&rig, 0, 10);
    expect(&rig, "changes ok|b,c,a,\n", 3);
    uint64_t newest = last.id;
    changed(&rig, 0, 2);
    expect(&rig, "changes ok|b,c,\n", 3);
    changed(&rig, last.id, 10);
    expect(&rig, "changes ok|a,\n", 3);
    changed(&rig, newest, 10);
    expect(&rig, "changes ok|\n", 3);
}

static void a_log_is_read_in_slices_of_a_count_and_of_bytes(void **state)
{
    char data[1000];
    memset(data, 'x', sizeof(data));
    for (int i = 0; i < 20; i++)
        publish_durable(&rig, "c", span_make(data, sizeof(data)), NULL, NULL);
    assert_true(run_until(&rig, "durable ok|", 20, 3));
    read_log(&rig, "c", 0, 8, MIB);
    expect(&rig, "slice ok|8\n", 3);
    assert_true(last.more);
    read_log(&rig, "c", last.records[7].id, 1000, MIB);
    expect(&rig, "slice ok|12\n", 3);
    assert_true(!last.more && last.last == last.records[11].id);
    read_log(&rig, "c", 0, 1000, 10);
    expect(&rig, "slice ok|1\n", 3);
    assert_true(last.more);
    read_log(&rig, "nothing", 0, 10, MIB);
    expect(&rig, "slice ok|0\n", 3);
    assert_true(!last.more && last.last == 0);
}

static void a_message_of_the_largest_size_passes_with_its_notice(void **state)
{
    char *data = mem_alloc(MIB + 1);
    memset(data, 'y', MIB + 1);
    subscribe(&rig, TOPIC_CHANNEL, NOTICE_PREFIX "big");
    expect(&rig, "sub ", 3);
    publish_durable(&rig, "big", span_make(data, MIB), "event", NULL);
    expect(&rig, "message sluice:note:big|-|", 3);
    read_log(&rig, "big", 0, 10, MIB);
    expect(&rig, "slice ok|1\n", 3);
    assert_int_equal(last.data.len, MIB);
    forget_heard(&rig);
    publish_durable(&rig, "big", span_make(data, MIB + 1), NULL, NULL);
    expect(&rig, "oversize sluice:note:big|", 3);
    assert_int_equal(heard_times(&rig, "message"), 0);
    mem_free(data);
}

static void a_flush_of_the_functions_in_mid_flight_is_not_noticed(void **state)
{
    publish_durable(&rig, "c", span_of("1"), NULL, NULL);
    expect(&rig, "durable ok|", 3);
    ask(&server, "FUNCTION FLUSH");
    for (int i = 0; i < 5; i++)
        publish_durable(&rig, "c", span_of("2"), NULL, NULL);
    assert_true(run_until(&rig, "durable ok|", 6, 3));
    read_log(&rig, "c", 0, 10, MIB);
    expect(&rig, "slice ok|6\n", 3);
    assert_string_equal(buf_cstr(&last.data), "122222");
    assert_int_equal(calls("function|load"), 2);
}

static void a_user_who_may_not_load_functions_gets_scripts(void **state)
{
    become("-function");
    hello(&rig, 0);
    expect(&rig, "hello ok|new\n", 3);
    publish_durable(&rig, "c", span_of("1"), "e", NULL);
    expect(&rig, "durable ok|", 3);
    ask(&server, "SCRIPT FLUSH");
    publish_durable(&rig, "c", span_of("2"), NULL, NULL);
    assert_true(run_until(&rig, "durable ok|", 2, 3));
    read_log(&rig, "c", 0, 10, MIB);
    expect(&rig, "slice ok|2\n", 3);
    assert_string_equal(buf_cstr(&last.data), "12");
    rig.broker->ops->fence(rig.broker);
    expect(&rig, "fence ", 3);
    assert_int_equal(calls("function|load"), 0);
    hello(&rig, last.last);
    expect(&rig, "hello ok|same\n", 3);
}

static void by_scripts_a_server_that_was_restarted_has_rewound(void **state)
{
    become("-function");
    hello(&rig, 0);
    expect(&rig, "hello ok|new\n", 3);
    snprintf(last.boot, sizeof(last.boot), "%s", "0123456789012345678901234567890123456789");
    hello(&rig, last.dataset.clock);
    expect(&rig, "hello ok|rewound\n", 3);
}

static void a_user_who_may_do_neither_is_told_what_is_needed(void **state)
{
    become("-function -fcall -script -evalsha");
    hello(&rig, 0);
    publish_durable(&rig, "c", span_of("1"), NULL, NULL);
    expect(&rig, "durable denied|NOPERM", 3);
    expect(&rig, "hello denied|NOPERM", 3);
    assert_non_null(strstr(buf_cstr(&rig.heard), "+fcall +function|load or +evalsha +script|load"));
    publish_durable(&rig, "c", span_of("1"), NULL, NULL); /* from within the call */
    assert_int_equal(heard_times(&rig, "durable denied|NOPERM"), 2);
    publish(&rig, "c", span_of("1"));
    expect(&rig, "published ok|0\n", 3);
    assert_int_equal(heard_times(&rig, "down"), 0);
}

static void rights_that_are_given_later_are_found_without_a_reconnect(void **state)
{
    become("-function -fcall -script -evalsha");
    publish_durable(&rig, "c", span_of("1"), NULL, NULL);
    expect(&rig, "durable denied|NOPERM", 3);
    ask(&server, "ACL SETUSER ann +@all");
    settle(&rig, 5.1);
    publish_durable(&rig, "c", span_of("1"), NULL, NULL);
    expect(&rig, "durable ok|", 3);
    assert_int_equal(heard_times(&rig, "down"), 0);
}

static void a_newer_library_is_left_in_place_and_an_older_one_is_not(void **state)
{
    load_version('9');
    publish_durable(&rig, "c", span_of("1"), NULL, NULL);
    expect(&rig, "durable ok|", 3);
    assert_int_equal(calls("function|load"), 1);
    load_version('0');
    ask(&server, "CLIENT KILL TYPE normal SKIPME yes");
    expect(&rig, "up\n", 3);
    publish_durable(&rig, "c", span_of("1"), NULL, NULL);
    assert_true(run_until(&rig, "durable ok|", 2, 3));
    assert_int_equal(calls("function|load"), 3);
}

static void a_publish_whose_answer_was_lost_is_there_once(void **state)
{
    publish_durable(&rig, "c", span_of("before"), NULL, NULL);
    expect(&rig, "durable ok|", 3);
    forget_heard(&rig);
    /* It reaches the frozen server, which carries it out for a client that has gone. */
    kill(server.pid, SIGSTOP);
    publish_durable(&rig, "c", span_of("|once"), NULL, NULL);
    expect(&rig, "down ", 3);
    kill(server.pid, SIGCONT);
    expect(&rig, "up\n", 3);
    expect(&rig, "durable ok|", 3);
    uint64_t id = last.id;
    read_log(&rig, "c", 0, 10, MIB);
    expect(&rig, "slice ok|2\n", 3);
    assert_string_equal(buf_cstr(&last.data), "before|once");
    assert_true(last.records[1].id == id);
    assert_int_equal(calls("fcall"), 1 + 1 + 2 + 1 + 1); /* with two questions for the version */
}

static void a_publish_whose_server_died_is_made_at_the_next_one(void **state)
{
    publish_durable(&rig, "c", span_of("x"), NULL, NULL);
    expect(&rig, "durable ok|", 3);
    forget_heard(&rig);
    kill(server.pid, SIGSTOP);
    for (int i = 0; i < 3; i++)
        publish_durable(&rig, "c", span_of(i == 0 ? "a" : i == 1 ? "b" : "c"), NULL, NULL);
    settle(&rig, 0.05);
    server_kill(&server);
    server_run(&server, NULL);
    assert_true(run_until(&rig, "durable ok|", 3, 5));
    read_log(&rig, "c", 0, 10, MIB);
    expect(&rig, "slice ok|3\n", 3);
    assert_string_equal(buf_cstr(&last.data), "abc");
}

static void a_publish_that_cannot_be_made_again_in_time_is_told_what_is_known(void **state)
{
    struct redis_options options = quick;
    options.durable_timeout_ms = 900;
    rig_free(&rig);
    rig_create(&rig, server.url, &options);
    expect(&rig, "up\n", 3);
    kill(server.pid, SIGSTOP);
    publish_durable(&rig, "c", span_of("x"), NULL, NULL);
    uint64_t start_us = clock_mono_us(&clock_system);
    expect(&rig, "durable unavailable|the connection to Redis was lost", 3);
    assert_true(seconds_since(start_us) > 0.8 && seconds_since(start_us) < 1.5);
    assert_int_equal(heard_times(&rig, "it may or may not have been published\n"), 1);
    publish_durable(&rig, "c", span_of("x"), NULL, NULL); /* answered at once */
    assert_int_equal(heard_times(&rig, "durable unavailable|"), 2);
    kill(server.pid, SIGCONT);
    assert_true(run_until(&rig, "up\n", 2, 5));
    settle(&rig, 0.2);
    assert_int_equal(heard_times(&rig, "durable "), 2);
}

static void questions_are_answered_when_the_connection_goes(void **state)
{
    kill(server.pid, SIGSTOP);
    hello(&rig, 0);
    changed(&rig, 0, 1);
    read_log(&rig, "c", 0, 1, 1);
    rig.broker->ops->fence(rig.broker);
    expect(&rig, "slice unavailable|", 3);
    expect(&rig, "hello unavailable|", 3);
    expect(&rig, "changes unavailable|", 3);
    changed(&rig, 0, 1); /* answered at once */
    assert_int_equal(heard_times(&rig, "changes unavailable|"), 2);
    kill(server.pid, SIGCONT);
    expect(&rig, "up\n", 5);
    settle(&rig, 0.2);
    assert_int_equal(heard_times(&rig, "fence"), 0); /* that fence was another connection's */
}

static void read_once_more(void *arg, int err, const char *why, const struct broker_slice *slice)
{
    struct rig *of = arg;
    rig_slice(of, err, why, slice);
    read_log(of, "c", 0, 1, 1);
    hello(of, 0);
}

static void what_is_asked_from_within_the_answers_of_a_lost_connection_is_answered(void **state)
{
    read_log(&rig, "c", 0, 1, 1); /* so that it is known how to ask */
    expect(&rig, "slice ok|0\n", 3);
    kill(server.pid, SIGSTOP);
    rig.broker->ops->read(rig.broker, span_of("c"), 0, 1, 1, read_once_more, &rig);
    expect(&rig, "hello unavailable|", 3);
    assert_int_equal(heard_times(&rig, "slice unavailable|"), 2);
    kill(server.pid, SIGCONT);
}

static void a_redis_that_evicts_is_told(void **state)
{
    hello(&rig, 0);
    expect(&rig, "hello ok|", 3);
    assert_false(broker_redis_may_evict(rig.broker));
    ask(&server, "CONFIG SET maxmemory 100mb");
    ask(&server, "CONFIG SET maxmemory-policy allkeys-lru");
    hello(&rig, 0);
    assert_true(run_until(&rig, "hello ok|", 2, 3));
    assert_true(broker_redis_may_evict(rig.broker));
    ask(&server, "CONFIG SET maxmemory-policy noeviction");
    hello(&rig, 0);
    assert_true(run_until(&rig, "hello ok|", 3, 3));
    assert_false(broker_redis_may_evict(rig.broker));
}

static void destroying_answers_the_durable_calls_under_way(void **state)
{
    publish_durable(&rig, "c", span_of("x"), NULL, NULL);
    hello(&rig, 0);
    rig.broker->ops->destroy(rig.broker);
    rig.broker = NULL;
    assert_int_equal(heard_times(&rig, "durable unavailable|the gateway is stopping; it may"), 1);
    assert_int_equal(heard_times(&rig, "hello unavailable|"), 1);
}

static void after_a_destroy_from_within_a_durable_answer_nothing_is_heard(void **state)
{
    static const char *const events[] = {"durable", "hello", "changes", "slice", "fence"};
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        struct rig r;
        rig_create(&r, server.url, &quick);
        r.destroy_at = events[i];
        expect(&r, "up", 3);
        publish_durable(&r, "c", span_of("x"), NULL, NULL);
        hello(&r, 0);
        changed(&r, 0, 10);
        read_log(&r, "c", 0, 10, MIB);
        r.broker->ops->fence(r.broker);
        expect(&r, "destroyed\n", 3);
        size_t before = r.heard.len;
        settle(&r, 0.05);
        assert_int_equal(r.heard.len, before);
        rig_free(&r);
    }
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
        T(a_gateway_without_durable_channels_uses_no_function_and_no_script),
        T(a_message_is_told_by_a_notice_and_read_back_byte_for_byte),
        T(a_key_publishes_once_and_answers_the_first_id),
        T(a_key_of_the_brokers_own_is_soon_forgotten),
        T(the_longest_name_that_a_gateway_may_allow_is_published_to),
        T(a_fence_that_nobody_asked_for_is_none),
        T(what_the_library_refuses_is_told_in_its_words),
        T(hello_tells_a_new_dataset_from_the_same_and_from_one_that_lost),
        T(a_fence_comes_round_behind_the_notices_before_it),
        T(changed_names_the_channels_in_the_order_of_their_last_messages),
        T(a_log_is_read_in_slices_of_a_count_and_of_bytes),
        T(a_message_of_the_largest_size_passes_with_its_notice),
        T(a_flush_of_the_functions_in_mid_flight_is_not_noticed),
        T(a_user_who_may_not_load_functions_gets_scripts),
        T(by_scripts_a_server_that_was_restarted_has_rewound),
        T(a_user_who_may_do_neither_is_told_what_is_needed),
        T(rights_that_are_given_later_are_found_without_a_reconnect),
        T(a_newer_library_is_left_in_place_and_an_older_one_is_not),
        T(a_publish_whose_answer_was_lost_is_there_once),
        T(a_publish_whose_server_died_is_made_at_the_next_one),
        T(a_publish_that_cannot_be_made_again_in_time_is_told_what_is_known),
        T(questions_are_answered_when_the_connection_goes),
        T(what_is_asked_from_within_the_answers_of_a_lost_connection_is_answered),
        T(a_redis_that_evicts_is_told),
        T(destroying_answers_the_durable_calls_under_way),
        T(after_a_destroy_from_within_a_durable_answer_nothing_is_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
