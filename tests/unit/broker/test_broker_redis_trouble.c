/* The Redis broker against all that can be wrong with a Redis. */
#include "redis_fake.h"

static struct server server;
static struct rig rig;

static int with_server(void **state)
{
    server_start(&server, NULL);
    return 0;
}

static int stop_server(void **state)
{
    server_stop(&server);
    return 0;
}

static void a_frozen_redis_is_noticed_within_ten_seconds_and_found_again(void **state)
{
    static const struct redis_options usual = {.message_bytes = 1024};
    rig_create(&rig, server.url, &usual);
    subscribe(&rig, TOPIC_CHANNEL, "c");
    expect(&rig, "sub c", 3);
    kill(server.pid, SIGSTOP);
    uint64_t start = clock_mono_us(&clock_system);
    publish(&rig, "c", span_of("x"));
    expect(&rig, "down no answer for 6000 ms", 10);
    assert_true(seconds_since(start) < 10);
    expect(&rig, "published timeout|Redis did not answer within 5000 ms\n", 0.1);
    forget_heard(&rig);
    kill(server.pid, SIGCONT);
    expect(&rig, "sub c", 12);
    rig_free(&rig);
}

static void a_loop_that_stood_still_does_not_blame_redis(void **state)
{
    rig_create(&rig, server.url, &quick);
    expect(&rig, "up", 3);
    for (int i = 0; i < 3; i++) {
        usleep(900000); /* longer than beat_timeout_ms */
        settle(&rig, 0.15);
    }
    assert_int_equal(heard_times(&rig, "down"), 0);
    rig_free(&rig);
}

static void a_replica_is_unavailable_until_it_is_promoted(void **state)
{
    ask(&server, "REPLICAOF 127.0.0.1 1");
    rig_create(&rig, server.url, &quick);
    expect(&rig, "down READONLY: this Redis is a replica\n", 3);
    ask(&server, "REPLICAOF NO ONE");
    expect(&rig, "up", 6);
    forget_heard(&rig);
    ask(&server, "REPLICAOF 127.0.0.1 1");
    expect(&rig, "down READONLY: this Redis is a replica\n", 3);
    rig_free(&rig);
}

static void a_wrong_password_is_told_without_the_password(void **state)
{
    char url[128];
    ask(&server, "CONFIG SET requirepass right-one");
    snprintf(url, sizeof(url), "redis://:wrong-one@127.0.0.1:%d", server.port);
    rig_create(&rig, url, &quick);
    expect(&rig, "down WRONGPASS", 3);
    assert_null(strstr(buf_cstr(&rig.heard), "wrong-one"));
    rig_free(&rig);
    rig_create(&rig, server.url, &quick);
    expect(&rig, "down NOAUTH", 3);
    rig_free(&rig);
    snprintf(url, sizeof(url), "redis://:right%%2Done@127.0.0.1:%d/7", server.port);
    rig_create(&rig, url, &quick);
    expect(&rig, "up", 3);
    rig_free(&rig);
}

static void a_database_that_is_not_there_is_told(void **state)
{
    char url[128];
    snprintf(url, sizeof(url), "%s/99", server.url);
    rig_create(&rig, url, &quick);
    expect(&rig, "down SELECT: ERR DB index is out of range\n", 3);
    rig_free(&rig);
}

static void a_redis_with_too_many_clients_is_told(void **state)
{
    ask(&server, "CONFIG SET maxclients 1");
    rig_create(&rig, server.url, &quick);
    expect(&rig, "down ERR max number of clients reached\n", 3);
    rig_free(&rig);
}

static void a_user_who_may_not_beat_is_told_what_is_needed(void **state)
{
    char url[128];
    ask(&server, "ACL SETUSER bob on >pass ~* resetchannels &ok.* +@all");
    snprintf(url, sizeof(url), "redis://bob:pass@127.0.0.1:%d", server.port);
    rig_create(&rig, url, &quick);
    expect(&rig, "(the gateway must PUBLISH and SUBSCRIBE to sluice:beat:*)\n", 3);
    rig_free(&rig);
}

static void a_name_that_is_looked_up_leads_to_the_address_that_answers(void **state)
{
    char url[128];
    snprintf(url, sizeof(url), "redis://localhost:%d", server.port);
    rig_create(&rig, url, &quick);
    expect(&rig, "up", 3);
    rig_free(&rig);
    rig_create(&rig, url, &quick); /* ended while the look-up is under way */
    rig_free(&rig);
}

static void a_reason_is_told_once_however_many_tries_fail(void **state)
{
    char url[64];
    snprintf(url, sizeof(url), "redis://127.0.0.1:%d", free_port());
    rig_create(&rig, url, &quick);
    settle(&rig, 1.5);
    assert_int_equal(heard_times(&rig, "down"), 1);
    assert_non_null(strstr(buf_cstr(&rig.heard), "Connection refused"));
    publish(&rig, "c", span_of("x"));
    assert_non_null(strstr(buf_cstr(&rig.heard), "published unavailable|cannot connect to"));
    rig_free(&rig);
}

static void a_connect_that_nobody_answers_is_given_up(void **state)
{
    char url[64];
    int port, clients[4];
    int listener = listen_somewhere(&port, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    /* With a full queue the kernel drops every further SYN without a word. */
    for (int i = 0; i < 4; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(clients[i], (struct sockaddr *)&to, sizeof(to));
    }
    snprintf(url, sizeof(url), "redis://127.0.0.1:%d", port);
    rig_create(&rig, url, &quick);
    expect(&rig, "Connection timed out\n", 6);
    rig_free(&rig);
    for (int i = 0; i < 4; i++)
        close(clients[i]);
    close(listener);
}

static void a_server_that_accepts_and_never_answers_is_given_up(void **state)
{
    char url[64];
    int port, listener = listen_somewhere(&port, 16);
    snprintf(url, sizeof(url), "redis://127.0.0.1:%d", port);
    rig_create(&rig, url, &quick);
    expect(&rig, "down waited 500 ms in vain for an answer\n", 6);
    rig_free(&rig);
    close(listener);
}

static void a_redis_that_loads_is_waited_for(void **state)
{
    struct fake *fake = fake_start(NULL);
    fake_replace(fake, "PING", "-LOADING Redis is loading the dataset in memory\r\n");
    rig_create(&rig, fake->url, &quick);
    expect(&rig, "down LOADING Redis is loading the dataset in memory\n", 3);
    fake_replace(fake, "PING", "-MISCONF Errors writing to the AOF file\r\n");
    expect(&rig, "up", 5); /* Redis cannot save; pub/sub is as good as ever */
    rig_free(&rig);
    fake_stop(fake);
}

static void a_role_that_may_not_be_asked_for_is_no_obstacle(void **state)
{
    struct fake *fake = fake_start(NULL);
    fake_replace(fake, "ROLE",
                 "-NOPERM this user has no permissions to run the 'role' command\r\n");
    rig_create(&rig, fake->url, &quick);
    expect(&rig, "up", 3);
    settle(&rig, 0.5);
    assert_int_equal(heard_times(&rig, "down"), 0);
    rig_free(&rig);
    fake_stop(fake);
}

static void a_sentinel_is_recognised(void **state)
{
    struct fake *fake = fake_start(NULL);
    fake_replace(fake, "ROLE", "*2\r\n$8\r\nsentinel\r\n*0\r\n");
    rig_create(&rig, fake->url, &quick);
    expect(&rig, "down this is a Redis Sentinel", 3);
    rig_free(&rig);
    fake_stop(fake);
}

static void an_error_said_before_the_reset_is_the_reason(void **state)
{
    struct fake *fake = fake_start("-ERR max number of clients reached\r\n");
    char url[96];
    snprintf(url, sizeof(url), "redis://u:secret-one@127.0.0.1:%d", fake->port);
    rig_create(&rig, url, &quick);
    expect(&rig, "down ERR max number of clients reached\n", 3);
    rig_free(&rig);
    fake_stop(fake);
}

static void an_answer_that_repeats_the_password_is_left_out(void **state)
{
    struct fake *fake = fake_start(NULL);
    char url[96];
    snprintf(url, sizeof(url), "redis://:secret-one@127.0.0.1:%d", fake->port);
    fake_replace(fake, "AUTH", "-ERR unknown command 'AUTH', with args: 'secret-one'\r\n");
    rig_create(&rig, url, &quick);
    expect(&rig, "down Redis refused AUTH\n", 3);
    fake_replace(fake, "PING", "-ERR what is secret-one?\r\n");
    expect(&rig, "down Redis refused (its words are left out", 3);
    assert_null(strstr(buf_cstr(&rig.heard), "secret-one"));
    rig_free(&rig);
    fake_stop(fake);
}

static void inject(const char *bytes)
{
    publish(&rig, "inject", span_of(bytes));
}

static void a_beat_that_does_not_come_back_ends_the_connections(void **state)
{
    struct fake *fake = fake_start(NULL);
    rig_create(&rig, fake->url, &quick);
    expect(&rig, "up", 3);
    fake->swallow_beats = true;
    expect(&rig, "down no answer for 600 ms\n", 1.5);
    fake->swallow_beats = false;
    forget_heard(&rig);
    expect(&rig, "up", 3);
    fake_replace(fake, "PUBLISH", ":0\r\n");
    expect(&rig, "down a beat reached nobody", 6);
    rig_free(&rig);
    fake_stop(fake);
}

static void a_beat_that_waits_behind_messages_is_waited_for(void **state)
{
    struct fake *fake = fake_start(NULL);
    rig_create(&rig, fake->url, &quick);
    expect(&rig, "up", 3);
    fake->swallow_beats = true;
    for (int i = 0; i < 60; i++) { /* 1.5 s, far past beat_timeout_ms */
        inject("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nok\r\n");
        settle(&rig, 0.025);
    }
    assert_int_equal(heard_times(&rig, "down"), 0);
    assert_int_equal(heard_times(&rig, "message c|-|ok\n"), 60);
    expect(&rig, "down no answer for 600 ms\n", 1.5);
    rig_free(&rig);
    fake_stop(fake);
}

static void messages_of_odd_shape_are_left_out(void **state)
{
    struct fake *fake = fake_start(NULL);
    rig_create(&rig, fake->url, &quick);
    expect(&rig, "up", 3);
    inject("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$-1\r\n");
    inject("*3\r\n$7\r\nmessage\r\n$-1\r\n$1\r\nx\r\n");
    inject("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n*1\r\n$1\r\nk\r\n");
    inject("*4\r\n$8\r\npmessage\r\n:1\r\n$-1\r\n*-1\r\n");
    inject("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nok\r\n");
    expect(&rig, "message c|-|ok\n", 3);
    assert_int_equal(heard_times(&rig, "message"), 1);
    assert_int_equal(heard_times(&rig, "down"), 0);
    rig_free(&rig);
    fake_stop(fake);
}

static void what_is_no_pubsub_reply_ends_the_connection_and_it_comes_back(void **state)
{
    static const char *const bytes[] = {
        "*-1\r\n",
        "*0\r\n",
        "$-1\r\n",
        ":5\r\n",
        "+OK\r\n",
        "-ERR something else\r\n",
        "*1\r\n*0\r\n",
        "*2\r\n$7\r\nmessage\r\n$1\r\nc\r\n",
        "*3\r\n$9\r\nsubscribe\r\n$-1\r\n:1\r\n",
        "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n",
        "*3\r\n$12\r\npunsubscribe\r\n$1\r\nx\r\n:1\r\n",
        "*99999999999\r\n",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
    };
    struct fake *fake = fake_start(NULL);
    for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
        rig_create(&rig, fake->url, &quick);
        expect(&rig, "up", 3);
        inject(bytes[i]);
        expect(&rig, "down ", 3);
        forget_heard(&rig);
        expect(&rig, "up", 3);
        rig_free(&rig);
    }
    fake_stop(fake);
}

static void an_error_in_answer_to_a_publish_is_told_to_its_publisher_alone(void **state)
{
    struct fake *fake = fake_start(NULL);
    rig_create(&rig, fake->url, &quick);
    expect(&rig, "up", 3);
    /* Between two beats; the beat that follows it ends the connection. */
    fake_replace(fake, "PUBLISH", "-MISCONF Errors writing to the AOF file\r\n");
    publish(&rig, "c", span_of("x"));
    expect(&rig, "published unavailable|MISCONF Errors writing to the AOF file\n", 3);
    rig_free(&rig);
    fake_stop(fake);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, with_server, stop_server)
        T(a_frozen_redis_is_noticed_within_ten_seconds_and_found_again),
        T(a_loop_that_stood_still_does_not_blame_redis),
        T(a_replica_is_unavailable_until_it_is_promoted),
        T(a_wrong_password_is_told_without_the_password),
        T(a_database_that_is_not_there_is_told),
        T(a_redis_with_too_many_clients_is_told),
        T(a_user_who_may_not_beat_is_told_what_is_needed),
        T(a_name_that_is_looked_up_leads_to_the_address_that_answers),
        cmocka_unit_test(a_reason_is_told_once_however_many_tries_fail),
        cmocka_unit_test(a_connect_that_nobody_answers_is_given_up),
        cmocka_unit_test(a_server_that_accepts_and_never_answers_is_given_up),
        cmocka_unit_test(a_redis_that_loads_is_waited_for),
        cmocka_unit_test(a_role_that_may_not_be_asked_for_is_no_obstacle),
        cmocka_unit_test(a_sentinel_is_recognised),
        cmocka_unit_test(an_error_said_before_the_reset_is_the_reason),
        cmocka_unit_test(an_answer_that_repeats_the_password_is_left_out),
        cmocka_unit_test(a_beat_that_does_not_come_back_ends_the_connections),
        cmocka_unit_test(a_beat_that_waits_behind_messages_is_waited_for),
        cmocka_unit_test(messages_of_odd_shape_are_left_out),
        cmocka_unit_test(what_is_no_pubsub_reply_ends_the_connection_and_it_comes_back),
        cmocka_unit_test(an_error_in_answer_to_a_publish_is_told_to_its_publisher_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
