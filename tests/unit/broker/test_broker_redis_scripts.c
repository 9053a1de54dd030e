/* The durable calls of the Redis broker against a Redis that answers what the test wants. */
#include "redis_durable.h"
#include "redis_fake.h"

static struct fake *fake;
static struct rig rig;

static int start(void **state)
{
    forget_last();
    fake = fake_start(NULL);
    rig_create(&rig, fake->url, &quick);
    expect(&rig, "up\n", 3);
    forget_heard(&rig);
    return 0;
}

static int stop(void **state)
{
    rig_free(&rig);
    fake_stop(fake);
    forget_last();
    return 0;
}

static void ask_hello(void)
{
    hello(&rig, 0);
}

static void ask_changed(void)
{
    changed(&rig, 1000, 10);
}

static void ask_read(void)
{
    read_log(&rig, "c", 1000, 10, 1000);
}

static void ask_publish(void)
{
    publish_durable(&rig, "c", span_of("x"), NULL, NULL);
}

#define EPOCH     "$16\r\n0123456789abcdef\r\n"
#define ID(digit) "$3\r\n" #digit "-0\r\n"

/* Each answer to `function` is told as odd, and the connection stays. */
static void are_odd(void (*call)(void), const char *function, const char *told,
                    const char *const *answers)
{
    for (int i = 0; answers[i]; i++) {
        forget_heard(&rig);
        fake_replace(fake, function, answers[i]);
        call();
        if (!run_until(&rig, told, 1, 3))
            fail_msg("answer %d: %s", i, buf_cstr(&rig.heard));
        assert_int_equal(heard_times(&rig, "down"), 0);
    }
    fake_replace(fake, NULL, NULL);
}

static void an_odd_answer_to_hello_is_told_and_harms_nothing(void **state)
{
    static const char *const answers[] = {
        "+OK\r\n",
        ":1\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "*0\r\n",
        "*1\r\n" EPOCH,
        /* an epoch that is a number; a bad id; a bad verdict; too many seconds; no windows */
        "*8\r\n:1\r\n$1\r\nb\r\n" ID(5) ID(0) ID(1) ":60\r\n$4\r\nsame\r\n*0\r\n",
        "*8\r\n" EPOCH "$1\r\nb\r\n$3\r\n1-x\r\n" ID(0) ID(1) ":60\r\n$4\r\nsame\r\n*0\r\n",
        "*8\r\n" EPOCH "$1\r\nb\r\n" ID(5) ID(0) ID(1) ":60\r\n$4\r\nsome\r\n*0\r\n",
        "*8\r\n" EPOCH "$1\r\nb\r\n" ID(5) ID(0)
            ID(1) ":9223372036854775807\r\n$4\r\nsame\r\n*0\r\n",
        "*8\r\n" EPOCH "$1\r\nb\r\n" ID(5) ID(0) ID(1) ":-1\r\n$4\r\nsame\r\n*0\r\n",
        "*8\r\n" EPOCH "$1\r\nb\r\n" ID(5) ID(0) ID(1) ":60\r\n$4\r\nsame\r\n$1\r\nx\r\n",
        "*8\r\n" EPOCH "$1\r\nb\r\n" ID(5) ID(0) ID(1) ":60\r\n$4\r\nsame\r\n*1\r\n" ID(1),
        "*8\r\n" EPOCH "$1\r\nb\r\n" ID(5) ID(0) ID(1) ":60\r\n$4\r\nsame\r\n*2\r\n" ID(1) ":2\r\n",
        NULL,
    };
    are_odd(ask_hello, "sluice_hello", "hello unavailable|Redis's answer is not", answers);
    fake_replace(fake, "sluice_hello",
                 "*8\r\n" EPOCH "$1\r\nb\r\n" ID(5) ID(4)
                     ID(1) ":60\r\n$7\r\nrewound\r\n*2\r\n" ID(2) ID(3));
    ask_hello();
    expect(&rig, "hello ok|rewound\n", 3);
    assert_true(last.dataset.clock == 5000 && last.dataset.floor == 4000);
    assert_true(last.dataset.born == 1000 && last.dataset.longest_us == 60000000);
    assert_int_equal(last.dataset.window_count, 1);
}

static void an_odd_answer_to_changed_is_told_and_harms_nothing(void **state)
{
    static const char *const answers[] = {
        "+OK\r\n",
        ":1\r\n",
        "*0\r\n",
        "*1\r\n:1\r\n",
        "*2\r\n" ID(0) "$1\r\na\r\n",
        "*3\r\n" ID(0) "$1\r\na\r\n$1\r\nb\r\n",
        "*3\r\n" ID(0) "$-1\r\n" ID(2),
        "*3\r\n" ID(0) "$1\r\na\r\n" ID(1), /* not above what was asked for */
        "*5\r\n" ID(0) "$1\r\na\r\n" ID(3) "$1\r\nb\r\n" ID(2),
        NULL,
    };
    are_odd(ask_changed, "sluice_changed", "changes unavailable|Redis's answer is not", answers);
    fake_replace(fake, "sluice_changed", "*5\r\n" ID(7) "$1\r\na\r\n" ID(2) "$1\r\nb\r\n" ID(3));
    ask_changed();
    expect(&rig, "changes ok|a,b,\n", 3);
    assert_true(last.pruned == 7000 && last.id == 3000);
}

static void an_odd_answer_to_read_is_told_and_harms_nothing(void **state)
{
    static const char *const answers[] = {
        "+OK\r\n",
        "*0\r\n",
        "*2\r\n" ID(2) ID(0),
        "*3\r\n" ID(2) ID(0) "$1\r\n1\r\n",
        "*3\r\n" ID(2) "$1\r\nx\r\n:0\r\n",
        "*4\r\n" ID(2) ID(0) ":0\r\n" ID(2),
        "*7\r\n" ID(2) ID(0) ":0\r\n" ID(1) ID(0) "$0\r\n\r\n$1\r\nd\r\n",
        "*7\r\n" ID(2) ID(0) ":0\r\n" ID(2) ID(2) "$0\r\n\r\n$1\r\nd\r\n",
        "*7\r\n" ID(2) ID(0) ":0\r\n" ID(2) ID(0) "$0\r\n\r\n$-1\r\n",
        "*7\r\n" ID(2) ID(0) ":0\r\n" ID(2) ID(0) "*0\r\n$1\r\nd\r\n",
        NULL,
    };
    are_odd(ask_read, "sluice_read", "slice unavailable|Redis's answer is not", answers);
    fake_replace(fake, "sluice_read",
                 "*7\r\n" ID(2) ID(1) ":1\r\n" ID(2) ID(1) "$0\r\n\r\n$1\r\nd\r\n");
    ask_read();
    expect(&rig, "slice ok|1\n", 3);
    assert_true(last.more && last.last == 2000 && last.lost == 1000);
    assert_null(last.records[0].event.ptr);
}

static void an_odd_answer_to_a_publish_is_told_and_harms_nothing(void **state)
{
    static const char *const answers[] = {
        "+OK\r\n", ":1\r\n", "$-1\r\n", "*0\r\n", "$3\r\n0-0\r\n", "$1\r\n1\r\n", NULL,
    };
    are_odd(ask_publish, "sluice_publish", "durable unavailable|Redis did not answer with an id",
            answers);
}

static void an_error_that_says_no_more_than_not_now_is_passed_on_and_asked_again(void **state)
{
    static const char *const verbs[] = {"sluice_version", "sluice_publish"};
    for (size_t i = 0; i < 2; i++) {
        fake_replace(fake, verbs[i], "-LOADING Redis is loading the dataset in memory\r\n");
        ask_publish();
        expect(&rig, "durable unavailable|LOADING Redis is loading the dataset in memory\n", 3);
        fake_replace(fake, "sluice_publish", "$3\r\n5-0\r\n");
        ask_publish();
        expect(&rig, "durable ok|5000\n", 3);
        forget_heard(&rig);
    }
}

static void what_is_missing_once_more_is_an_error(void **state)
{
    fake_replace(fake, "sluice_publish", "-ERR Function not found\r\n");
    ask_publish();
    expect(&rig, "durable unavailable|ERR Function not found\n", 3);
    assert_int_equal(heard_times(&rig, "durable"), 1);
}

static void a_redis_that_knows_no_functions_gets_scripts(void **state)
{
    fake_replace(fake, "FCALL", "-ERR unknown command `FCALL`, with args beginning with:\r\n");
    ask_publish(); /* SCRIPT LOAD is answered +OK, which is no digest */
    expect(&rig, "durable unavailable|OK\n", 3);
    assert_int_equal(heard_times(&rig, "down"), 0);
}

static void a_fence_that_is_refused_does_not_end_the_connection(void **state)
{
    fake_replace(fake, "sluice_beat", "-OOM command not allowed\r\n");
    for (int i = 0; i < 3; i++)
        rig.broker->ops->fence(rig.broker);
    settle(&rig, 0.3);
    assert_int_equal(heard_times(&rig, "fence"), 0);
    assert_int_equal(heard_times(&rig, "down"), 0);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
        T(an_odd_answer_to_hello_is_told_and_harms_nothing),
        T(an_odd_answer_to_changed_is_told_and_harms_nothing),
        T(an_odd_answer_to_read_is_told_and_harms_nothing),
        T(an_odd_answer_to_a_publish_is_told_and_harms_nothing),
        T(an_error_that_says_no_more_than_not_now_is_passed_on_and_asked_again),
        T(what_is_missing_once_more_is_an_error),
        T(a_redis_that_knows_no_functions_gets_scripts),
        T(a_fence_that_is_refused_does_not_end_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
