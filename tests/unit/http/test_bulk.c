#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/conn.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNS = 20,
    SLICE = 64 * 1024, /* a connection's share of a turn */
    TURN = 4 * SLICE,  /* what a turn writes */
    HUGE_BYTES = 5 * SLICE,
};

static struct http_server server;
static struct worker w;
static struct metrics metrics;
static struct conn *conns[CONNS];
static int peers[CONNS];
static size_t had[CONNS]; /* bytes that the peer has read */
static char last[CONNS];  /* the last of them */

static uint64_t now_us,
    away_us; /* what the worker's clock says; how long others keep the processor */
static int ways_given;

/* Stands before that of the C library. */
int sched_yield(void)
{
    ways_given++;
    now_us += away_us;
    return 0;
}

static uint64_t read_clock(void *ctx)
{
    return now_us;
}

static const struct clock steady = {.mono_us = read_clock, .wall_us = read_clock};

static void open_pair(int i)
{
    int pair[2], room = 4 * HUGE_BYTES;
    struct conn_origin origin = {.is_unix = true};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    peers[i] = pair[1];
    had[i] = 0;
    conn_accept(&w, pair[0], &origin);
    conns[i] = LIST_ENTRY(w.conns.prev, struct conn, node);
    conns[i]->state = CONN_STREAM;
}

static void on_due(void *ctx, struct wheel_entry *e)
{
}

static int start(void **state)
{
    struct buf why = {0};
    memset(&w, 0, sizeof(w));
    memset(&metrics, 0, sizeof(metrics));
    now_us = 1000000;
    away_us = 0;
    ways_given = 0;
    w.settings = (struct http_options){.clock = &steady, .max_connections = CONNS};
    w.options = &w.settings;
    w.server = &server;
    w.metrics = &metrics;
    w.loop = ev_loop_new(EVFLAG_AUTO);
    list_init(&w.conns);
    list_init(&w.reap);
    list_init(&w.dirty);
    list_init(&w.bulk);
    wheel_init(&w.wheel, w.loop, &clock_system, on_due, NULL);
    assert_int_equal(sockets_init(&w.sockets, w.loop, &conn_socket_events, NULL, NULL, &why), 0);
    for (int i = 0; i < CONNS; i++)
        open_pair(i);
    conn_write_bulk(&w);
    return 0;
}

static int stop(void **state)
{
    for (int i = 0; i < CONNS; i++) {
        conn_kill(conns[i]);
        close(peers[i]);
    }
    conn_reap_all(&w);
    sockets_fini(&w.sockets);
    wheel_fini(&w.wheel);
    ev_loop_destroy(w.loop);
    return 0;
}

static void send_bytes(int i, size_t bytes, char fill)
{
    char *text = malloc(bytes);
    memset(text, fill, bytes);
    struct frame *f = frame_create(span_make(text, bytes), 1);
    assert_int_equal(conn_send(conns[i], f, UINT64_MAX), 0);
    frame_unref(f);
    free(text);
}

static void read_peer(int i)
{
    static char bytes[HUGE_BYTES];
    for (ssize_t n; (n = read(peers[i], bytes, sizeof(bytes))) > 0;) {
        had[i] += (size_t)n;
        last[i] = bytes[n - 1];
    }
}

static void send_huge_to_all(void)
{
    for (int i = 0; i < CONNS; i++)
        send_bytes(i, HUGE_BYTES, 'h');
}

/* A turn of the loop, in which every peer has read all there is. */
static void turn(void)
{
    for (int i = 0; i < CONNS; i++)
        read_peer(i);
    conn_write_bulk(&w);
    for (int i = 0; i < CONNS; i++)
        read_peer(i);
}

static void a_huge_message_to_many_is_written_no_further_than_a_turns_budget(void **state)
{
    send_huge_to_all();
    assert_int_equal(metrics_get(&metrics.sent_bytes), TURN);
    for (int i = 0; i < CONNS; i++) {
        read_peer(i);
        assert_int_equal(had[i], i < TURN / SLICE ? SLICE : 0);
    }
}

static void each_turn_writes_its_budget_and_nobody_is_more_than_two_slices_ahead(void **state)
{
    uint64_t before = TURN;
    send_huge_to_all();
    while (!list_empty(&w.bulk)) {
        size_t least = SIZE_MAX, most = 0;
        turn();
        assert_in_range(metrics_get(&metrics.sent_bytes) - before, 1, TURN);
        before = metrics_get(&metrics.sent_bytes);
        for (int i = 0; i < CONNS; i++) {
            least = had[i] < least ? had[i] : least;
            most = had[i] > most ? had[i] : most;
        }
        /* Two, since the first ones had a slice before the others came. */
        assert_true(most - least <= 2 * SLICE);
    }
    for (int i = 0; i < CONNS; i++)
        assert_int_equal(had[i], HUGE_BYTES);
    assert_int_equal(metrics_get(&metrics.deliveries), CONNS);
}

static void a_small_message_to_another_is_written_while_the_huge_one_waits(void **state)
{
    for (int i = 1; i < CONNS; i++)
        send_bytes(i, HUGE_BYTES, 'h');
    send_bytes(0, 100, 's');
    read_peer(0);
    assert_int_equal(had[0], 100);
    assert_false(list_empty(&w.bulk));
}

static void what_comes_behind_a_huge_message_is_written_after_it(void **state)
{
    send_huge_to_all();
    for (int i = 0; i < CONNS; i++)
        send_bytes(i, 100, 's');
    while (!list_empty(&w.bulk))
        turn();
    for (int i = 0; i < CONNS; i++) {
        assert_int_equal(had[i], HUGE_BYTES + 100);
        assert_int_equal(last[i], 's');
    }
}

static void a_huge_message_that_comes_later_waits_behind_those_who_wait_already(void **state)
{
    for (int i = 1; i < CONNS; i++)
        send_bytes(i, HUGE_BYTES, 'h');
    conn_write_bulk(&w);
    send_bytes(0, HUGE_BYTES, 'h');
    read_peer(0);
    assert_int_equal(had[0], 0);
    assert_ptr_equal(LIST_ENTRY(w.bulk.prev, struct conn, mark), conns[0]);
}

static void a_client_that_reads_nothing_leaves_the_round_until_there_is_room(void **state)
{
    int little = SLICE;
    setsockopt(socket_fd(&conns[0]->socket), SOL_SOCKET, SO_SNDBUF, &little, sizeof(little));
    send_huge_to_all();
    for (int i = 0; i < 200 && !list_empty(&w.bulk); i++) {
        conn_write_bulk(&w);
        for (int k = 1; k < CONNS; k++)
            read_peer(k);
    }
    assert_true(list_empty(&w.bulk));
    assert_true(conns[0]->blocked);
    for (int k = 1; k < CONNS; k++)
        assert_int_equal(had[k], HUGE_BYTES);
    for (int i = 0; i < 200 && !outq_empty(&conns[0]->out); i++) {
        read_peer(0);
        ev_run(w.loop, EVRUN_NOWAIT);
        conn_write_bulk(&w);
    }
    read_peer(0);
    assert_int_equal(had[0], HUGE_BYTES);
}

/* It would be called slow though its socket takes all that it is given. */
static void who_waits_for_a_turn_is_written_to_before_it_has_too_much_queued(void **state)
{
    static char text[SLICE];
    struct frame *f = frame_create(span_make(text, sizeof(text)), 1);
    send_huge_to_all();
    assert_true(conns[CONNS - 1]->yielded);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(conn_queue(conns[CONNS - 1], f, SLICE), 0);
        read_peer(CONNS - 1);
    }
    frame_unref(f);
    while (!list_empty(&w.bulk))
        turn();
    assert_int_equal(had[CONNS - 1], HUGE_BYTES + 20 * SLICE);
}

static void who_is_killed_while_it_waits_is_waited_for_no_more(void **state)
{
    send_huge_to_all();
    for (int i = 0; i < CONNS; i++)
        conn_kill(conns[i]);
    assert_true(list_empty(&w.bulk));
    conn_write_bulk(&w);
    assert_int_equal(metrics_get(&metrics.sent_bytes), TURN);
}

static void the_end_of_a_connection_waits_for_its_last_slice(void **state)
{
    send_huge_to_all();
    for (int i = 0; i < CONNS; i++)
        conn_end(conns[i]);
    assert_int_equal(conns[CONNS - 1]->state, CONN_ENDING);
    while (!list_empty(&w.bulk))
        turn();
    for (int i = 0; i < CONNS; i++) {
        assert_int_equal(had[i], HUGE_BYTES);
        assert_int_equal(conns[i]->state, CONN_LINGER);
    }
}

static void after_each_turn_of_bulk_others_may_have_the_processor(void **state)
{
    turn();
    assert_int_equal(ways_given, 0);
    send_huge_to_all();
    assert_int_equal(ways_given, 0);
    for (int turns = 1; turns <= 10; turns++) {
        now_us += 50;
        turn();
        assert_int_equal(ways_given, turns);
    }
}

static void who_was_kept_from_it_for_long_gives_no_way_for_four_times_as_long(void **state)
{
    send_huge_to_all();
    away_us = 3000;
    turn();
    assert_int_equal(ways_given, 1);
    now_us += 4 * away_us - 1;
    turn();
    assert_int_equal(ways_given, 1);
    now_us += 1;
    turn();
    assert_int_equal(ways_given, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
        T(a_huge_message_to_many_is_written_no_further_than_a_turns_budget),
        T(each_turn_writes_its_budget_and_nobody_is_more_than_two_slices_ahead),
        T(a_small_message_to_another_is_written_while_the_huge_one_waits),
        T(what_comes_behind_a_huge_message_is_written_after_it),
        T(a_huge_message_that_comes_later_waits_behind_those_who_wait_already),
        T(a_client_that_reads_nothing_leaves_the_round_until_there_is_room),
        T(who_waits_for_a_turn_is_written_to_before_it_has_too_much_queued),
        T(who_is_killed_while_it_waits_is_waited_for_no_more),
        T(the_end_of_a_connection_waits_for_its_last_slice),
        T(after_each_turn_of_bulk_others_may_have_the_processor),
        T(who_was_kept_from_it_for_long_gives_no_way_for_four_times_as_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
