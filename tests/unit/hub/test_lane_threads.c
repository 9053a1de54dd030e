/*
 * The core's side and a worker's side of a downlink on two threads, with the sleep and wake of real
 * loops: what ThreadSanitizer is to look at. A lost wake or a lost "drained" ends in a sleep that
 * times out, which fails the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lane_reader.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <time.h>

enum {
    ITEMS = 200000,
    SLEEP_SECONDS = 60, /* longer than any pause of a busy machine, shorter than the test's limit */
};

struct pair {
    struct downlink *down;
    struct uplink up;
    sem_t worker, core; /* what their loops sleep on */
    struct lane_reader reader;
    uint64_t next;                      /* the number of the item that the worker must have next */
    uint64_t frames, messages;          /* what the worker has had */
    uint64_t wrong;                     /* items out of order, as the worker saw it */
    uint64_t refused, drained, foreign; /* counted by the core */
    bool timed_out;
};

static void wake(void *ctx)
{
    sem_post(ctx);
}

static bool sleep_until_woken(sem_t *sem)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += SLEEP_SECONDS;
    int err = 0;
    do
        err = sem_timedwait(sem, &until);
    while (err && errno == EINTR);
    return err == 0;
}

static void expect(struct pair *p, uint64_t number)
{
    p->wrong += number != p->next;
    p->next = number + 1;
}

static void on_frame(void *ctx, const struct lane_entry *e)
{
    struct pair *p = ctx;
    uint64_t number = 0;
    memcpy(&number, e->frame->bytes, sizeof(number));
    p->frames++;
    p->wrong += e->pub != number;
    expect(p, number);
}

static void on_msg(void *ctx, struct msg *m)
{
    struct pair *p = ctx;
    p->messages++;
    expect(p, m->fence.ticket);
}

static void *run_worker(void *arg)
{
    struct pair *p = arg;
    while (p->next < ITEMS && !p->timed_out) {
        p->timed_out = !sleep_until_woken(&p->worker);
        while (lane_read(&p->reader, 64))
            if (lane_drained(&p->down->frames))
                mailbox_post(&p->up.control, msg_create(MSG_DRAINED, 0));
        mailbox_flush(&p->up.control);
    }
    return NULL;
}

/* One may be left over from an earlier refusal that a second look revoked. */
static bool hear_drained(struct pair *p)
{
    struct msg *m;
    while (!(m = mailbox_take(&p->up.control)))
        if (!sleep_until_woken(&p->core))
            return false;
    for (struct msg *next; m; m = next) {
        next = m->next;
        p->foreign += m->type != MSG_DRAINED;
        p->drained++;
        msg_free(m);
    }
    return true;
}

static bool post_frame(struct pair *p, uint64_t number)
{
    struct frame *f = frame_create(span_make((const char *)&number, sizeof(number)), 1);
    struct lane_entry e = {.frame = f, .pub = number};
    bool posted = false, told = true;
    while (!posted && told) {
        posted = downlink_post_frame(p->down, &e);
        if (posted)
            break;
        p->refused++;
        downlink_flush(p->down);
        told = hear_drained(p);
    }
    frame_unref(f);
    return posted;
}

static void post_msg(struct pair *p, uint64_t number)
{
    struct msg *m = msg_create(MSG_FENCE, 0);
    m->fence.ticket = number;
    downlink_post(p->down, m);
}

/* Turns of varying length, each with its frames and messages, a flush at the end of each. */
static void run_core(struct pair *p)
{
    uint32_t random = 2463534242;
    for (uint64_t i = 0; i < ITEMS; i++) {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        if (random % 8 == 0)
            post_msg(p, i);
        else if (!post_frame(p, i))
            break;
        if (random % 64 < 4 || i + 1 == ITEMS)
            downlink_flush(p->down);
    }
}

static void run_pair(uint64_t byte_limit, struct pair *p)
{
    pthread_t worker;
    *p = (struct pair){.down = downlinks_alloc(1)};
    sem_init(&p->worker, 0, 0);
    sem_init(&p->core, 0, 0);
    downlink_init(p->down, (struct lane_wake){.wake = wake, .ctx = &p->worker}, byte_limit);
    mailbox_init(&p->up.control, (struct lane_wake){.wake = wake, .ctx = &p->core});
    p->reader =
        (struct lane_reader){.down = p->down, .on_frame = on_frame, .on_msg = on_msg, .ctx = p};
    assert_int_equal(pthread_create(&worker, NULL, run_worker, p), 0);
    run_core(p);
    pthread_join(worker, NULL);
    lane_reader_drop(&p->reader);
    mailbox_fini(&p->up.control);
    downlink_fini(p->down);
    free(p->down);
    sem_destroy(&p->worker);
    sem_destroy(&p->core);
}

static void check_all_arrived(const struct pair *p)
{
    assert_false(p->timed_out);
    assert_int_equal(p->wrong, 0);
    assert_int_equal(p->foreign, 0);
    assert_int_equal(p->next, ITEMS);
    assert_int_equal(p->frames + p->messages, ITEMS);
    assert_true(p->messages > ITEMS / 16);
}

static void two_hundred_thousand_frames_and_messages_arrive_whole_and_in_order(void **state)
{
    struct pair p;
    run_pair(UINT64_MAX, &p);
    check_all_arrived(&p);
}

/* Room for 64 frames: the core is refused again and again, and each time it is told of room. */
static void a_core_that_is_refused_again_and_again_is_told_of_room_each_time(void **state)
{
    struct pair p;
    run_pair(64 * sizeof(uint64_t), &p);
    check_all_arrived(&p);
    assert_true(p.refused > 0);
    assert_true(p.drained >= p.refused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_hundred_thousand_frames_and_messages_arrive_whole_and_in_order),
        cmocka_unit_test(a_core_that_is_refused_again_and_again_is_told_of_room_each_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
