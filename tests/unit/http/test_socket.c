#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "http/socket.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct sockets all;
static struct ev_loop *loop;
static struct socket ours;
static int theirs;       /* the other end */
static struct buf heard; /* what `input` told */
static unsigned ends, rooms, secured;
static bool clean, pause_on_input;

static void on_secured(struct socket *s)
{
    secured++;
}

static void on_input(struct socket *s, struct span bytes)
{
    assert_ptr_equal(s, &ours);
    buf_span(&heard, bytes);
    if (pause_on_input)
        socket_pause(s);
}

static void on_writable(struct socket *s)
{
    rooms++;
}

static void on_end(struct socket *s, bool was_clean)
{
    ends++;
    clean = was_clean;
}

static const struct socket_events events = {on_secured, on_input, on_writable, on_end};

static void turn(void)
{
    ev_run(loop, EVRUN_NOWAIT);
}

static void open_pair(bool tls)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    theirs = fds[1];
    assert_true(socket_open(&ours, &all, fds[0], tls));
}

static int start(void **state)
{
    struct buf why = {0};
    loop = ev_loop_new(EVFLAG_AUTO);
    ends = rooms = secured = 0;
    clean = pause_on_input = false;
    assert_int_equal(sockets_init(&all, loop, &events, NULL, NULL, &why), 0);
    open_pair(false);
    return 0;
}

static int stop(void **state)
{
    socket_close(&ours);
    sockets_fini(&all);
    close(theirs);
    buf_free(&heard);
    ev_loop_destroy(loop);
    return 0;
}

static void say(const char *text)
{
    assert_int_equal(write(theirs, text, strlen(text)), (ssize_t)strlen(text));
}

static void test_what_the_other_end_says_is_told(void **state)
{
    say("hello");
    turn();
    say(", you");
    turn();
    assert_string_equal(buf_cstr(&heard), "hello, you");
}

static void test_a_paused_socket_tells_no_input_but_still_tells_of_room(void **state)
{
    socket_pause(&ours);
    say("later");
    socket_want_write(&ours);
    turn();
    turn();
    assert_int_equal(heard.len, 0);
    assert_int_equal(rooms, 1);
    socket_resume(&ours);
    turn();
    assert_string_equal(buf_cstr(&heard), "later");
}

static void test_one_that_is_paused_by_its_own_input_hears_no_more_of_this_turn(void **state)
{
    char *much = calloc(1, 100000);
    int size = 400000;
    setsockopt(theirs, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    assert_int_equal(write(theirs, much, 100000), 100000);
    pause_on_input = true;
    turn();
    size_t first = heard.len;
    assert_true(first > 0 && first < 100000);
    turn();
    assert_int_equal(heard.len, first);
    free(much);
}

static void test_room_is_told_once_for_each_time_it_is_wanted(void **state)
{
    socket_want_write(&ours);
    turn();
    turn();
    assert_int_equal(rooms, 1);
}

static void test_a_full_socket_would_block_and_tells_when_there_is_room(void **state)
{
    char bytes[65536] = {0};
    ssize_t n = 1;
    while (n > 0) {
        struct iovec parts[2] = {{bytes, sizeof(bytes)}, {bytes, 1}};
        n = socket_write(&ours, parts, 2);
    }
    assert_int_equal(errno, EAGAIN);
    socket_want_write(&ours);
    turn();
    assert_int_equal(rooms, 0);
    while (read(theirs, bytes, sizeof(bytes)) > 0)
        ;
    turn();
    assert_int_equal(rooms, 1);
}

static void test_a_half_closed_peer_is_told_once_and_can_still_be_written_to(void **state)
{
    char bytes[8] = {0};
    say("bye");
    shutdown(theirs, SHUT_WR);
    turn();
    turn();
    assert_string_equal(buf_cstr(&heard), "bye");
    assert_int_equal(ends, 1);
    assert_true(clean);
    assert_int_equal(socket_send(&ours, "answer", 6), 6);
    assert_int_equal(read(theirs, bytes, sizeof(bytes)), 6);
    socket_resume(&ours);
    turn();
    assert_int_equal(ends, 1);
}

static void on_timer(struct ev_loop *l, ev_timer *timer, int revents)
{
}

static void test_at_its_end_a_socket_wakes_the_loop_no_more(void **state)
{
    shutdown(theirs, SHUT_WR);
    turn();
    turn(); /* libev learns of a descriptor that nobody watches by one more event */
    unsigned before = ev_iteration(loop);
    ev_timer end;
    ev_timer_init(&end, on_timer, 0.05, 0.);
    ev_timer_start(loop, &end);
    while (ev_is_active(&end))
        ev_run(loop, EVRUN_ONCE);
    assert_true(ev_iteration(loop) - before <= 3);
}

static void test_a_peer_that_is_gone_fails_the_write_and_raises_no_signal(void **state)
{
    close(theirs);
    theirs = -1;
    assert_int_equal(socket_send(&ours, "x", 1), -1);
    assert_int_equal(errno, EPIPE);
}

static void test_a_stopped_socket_tells_nothing(void **state)
{
    socket_want_write(&ours);
    socket_stop(&ours);
    say("x");
    shutdown(theirs, SHUT_WR);
    turn();
    assert_int_equal(heard.len + rooms + ends, 0);
}

/* Over TLS, with a client of OpenSSL's own on the other end. */

static char cert[64], key[64];
static SSL_CTX *client_ctx;
static SSL *client;

static void make_pair(void)
{
    char command[512];
    snprintf(cert, sizeof(cert), "/tmp/sluice-unit-%d.crt", (int)getpid());
    snprintf(key, sizeof(key), "/tmp/sluice-unit-%d.key", (int)getpid());
    snprintf(command, sizeof(command),
             "openssl req -x509 -nodes -days 2 -subj /CN=x -newkey ec "
             "-pkeyopt ec_paramgen_curve:prime256v1 -keyout %s -out %s 2>/dev/null",
             key, cert);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a test's own words */
}

static int start_tls(void **state)
{
    struct buf why = {0};
    loop = ev_loop_new(EVFLAG_AUTO);
    ends = rooms = secured = 0;
    clean = pause_on_input = false;
    make_pair();
    assert_int_equal(sockets_init(&all, loop, &events, cert, key, &why), 0);
    unlink(cert);
    unlink(key);
    open_pair(true);
    client_ctx = SSL_CTX_new(TLS_client_method());
    client = SSL_new(client_ctx);
    SSL_set_fd(client, theirs);
    SSL_set_connect_state(client);
    return 0;
}

static int stop_tls(void **state)
{
    SSL_free(client);
    SSL_CTX_free(client_ctx);
    return stop(state);
}

static void shake_hands(void)
{
    for (int i = 0; i < 10 && !secured; i++) {
        SSL_do_handshake(client);
        turn();
    }
    assert_int_equal(secured, 1);
}

static void test_bytes_go_both_ways_over_tls(void **state)
{
    char bytes[16] = {0};
    shake_hands();
    assert_int_equal(SSL_write(client, "hello", 5), 5);
    turn();
    assert_string_equal(buf_cstr(&heard), "hello");
    struct iovec parts[2] = {{(char *)"one, ", 5}, {(char *)"two", 3}};
    assert_int_equal(socket_write(&ours, parts, 2), 8);
    assert_int_equal(SSL_read(client, bytes, sizeof(bytes)), 8);
    assert_string_equal(bytes, "one, two");
}

static void
test_a_record_is_told_whole_so_that_nothing_is_left_where_no_event_tells_of_it(void **state)
{
    static char record[16384];
    shake_hands();
    int size = 400000;
    setsockopt(theirs, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    for (int i = 0; i < 3; i++)
        assert_int_equal(SSL_write(client, record, sizeof(record)), sizeof(record));
    pause_on_input = true;
    for (int i = 1; i <= 3; i++) {
        turn();
        assert_int_equal(heard.len, (size_t)i * sizeof(record));
        assert_int_equal(SSL_pending(ours.ssl), 0);
        socket_resume(&ours);
    }
}

static void test_close_notify_is_a_clean_end_and_ours_is_told_too(void **state)
{
    char bytes[16];
    shake_hands();
    SSL_shutdown(client);
    turn();
    assert_int_equal(ends, 1);
    assert_true(clean);
    assert_int_equal(socket_send(&ours, "answer", 6), 6);
    socket_shutdown(&ours);
    assert_int_equal(SSL_read(client, bytes, sizeof(bytes)), 6);
    assert_int_equal(SSL_read(client, bytes, sizeof(bytes)), 0);
    assert_int_equal(SSL_get_error(client, 0), SSL_ERROR_ZERO_RETURN);
}

static void test_a_client_that_asks_for_new_keys_goes_on_being_heard(void **state)
{
    char bytes[16];
    shake_hands();
    for (int i = 0; i < 20; i++) {
        SSL_key_update(client, SSL_KEY_UPDATE_REQUESTED);
        assert_int_equal(SSL_write(client, "x", 1), 1);
        for (int k = 0; k < 4; k++)
            turn();
        assert_int_equal(socket_send(&ours, "y", 1), 1);
        assert_int_equal(SSL_read(client, bytes, sizeof(bytes)), 1);
    }
    assert_int_equal(heard.len, 20);
    assert_int_equal(ends, 0);
}

static void test_bytes_that_are_no_handshake_end_it_uncleanly(void **state)
{
    say("GET / HTTP/1.1\r\n\r\n");
    turn();
    assert_int_equal(ends, 1);
    assert_false(clean);
    assert_int_equal(secured, 0);
}

#define CLEAR(test) cmocka_unit_test_setup_teardown(test, start, stop)
#define TLS(test)   cmocka_unit_test_setup_teardown(test, start_tls, stop_tls)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLEAR(test_what_the_other_end_says_is_told),
        CLEAR(test_a_paused_socket_tells_no_input_but_still_tells_of_room),
        CLEAR(test_one_that_is_paused_by_its_own_input_hears_no_more_of_this_turn),
        CLEAR(test_room_is_told_once_for_each_time_it_is_wanted),
        CLEAR(test_a_full_socket_would_block_and_tells_when_there_is_room),
        CLEAR(test_a_half_closed_peer_is_told_once_and_can_still_be_written_to),
        CLEAR(test_at_its_end_a_socket_wakes_the_loop_no_more),
        CLEAR(test_a_peer_that_is_gone_fails_the_write_and_raises_no_signal),
        CLEAR(test_a_stopped_socket_tells_nothing),
        TLS(test_bytes_go_both_ways_over_tls),
        TLS(test_a_record_is_told_whole_so_that_nothing_is_left_where_no_event_tells_of_it),
        TLS(test_close_notify_is_a_clean_end_and_ours_is_told_too),
        TLS(test_a_client_that_asks_for_new_keys_goes_on_being_heard),
        TLS(test_bytes_that_are_no_handshake_end_it_uncleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
