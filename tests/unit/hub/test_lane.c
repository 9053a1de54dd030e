#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "lane_reader.h"

#include <stdio.h>
#include <string.h>

static struct downlink *down;
static struct lane_reader reader;
static struct buf heard; /* "f1 m2 ": what the reader had, in order */
static unsigned wakes;

static void count_wake(void *ctx)
{
    ++*(unsigned *)ctx;
}

static void hear_frame(void *ctx, const struct lane_entry *e)
{
    buf_printf(&heard, "f%u ", (unsigned)e->pub);
}

static void hear_msg(void *ctx, struct msg *m)
{
    buf_printf(&heard, "m%u ", (unsigned)m->fence.pub);
}

static void start_with(uint64_t byte_limit)
{
    down = downlinks_alloc(1);
    wakes = 0;
    downlink_init(down, (struct lane_wake){.wake = count_wake, .ctx = &wakes}, byte_limit);
    reader = (struct lane_reader){.down = down, .on_frame = hear_frame, .on_msg = hear_msg};
}

static int start(void **state)
{
    start_with(UINT64_MAX);
    return 0;
}

static int stop(void **state)
{
    lane_reader_drop(&reader);
    downlink_fini(down);
    free(down);
    buf_free(&heard);
    return 0;
}

static int restart(uint64_t byte_limit)
{
    stop(NULL);
    start_with(byte_limit);
    return 0;
}

static bool post_bytes(unsigned number, size_t bytes)
{
    static char filler[4096];
    struct frame *f = frame_create(span_make(filler, bytes), 1);
    bool ok = downlink_post_frame(down, &(struct lane_entry){.frame = f, .pub = number});
    frame_unref(f);
    return ok;
}

static void post_frame(unsigned number)
{
    assert_true(post_bytes(number, 10));
}

static void post_msg(unsigned number)
{
    struct msg *m = msg_create(MSG_FENCE, 0);
    m->fence.pub = number;
    downlink_post(down, m);
}

static const char *heard_all(void)
{
    buf_reset(&heard);
    lane_read(&reader, SIZE_MAX);
    return buf_cstr(&heard);
}

static void messages_of_a_mailbox_come_in_order_and_just_once(void **state)
{
    post_msg(1);
    post_msg(2);
    struct msg *m = mailbox_take(&down->control);
    assert_int_equal(m->fence.pub, 1);
    assert_int_equal(m->next->fence.pub, 2);
    assert_null(m->next->next);
    assert_null(mailbox_take(&down->control));
    msg_free(m->next);
    msg_free(m);
}

static void posting_wakes_nobody_and_a_flush_wakes_the_reader_once_for_all(void **state)
{
    post_msg(1);
    post_msg(2);
    assert_int_equal(wakes, 0);
    mailbox_flush(&down->control);
    mailbox_flush(&down->control);
    assert_int_equal(wakes, 1);
    heard_all();
    post_msg(3);
    mailbox_flush(&down->control);
    assert_int_equal(wakes, 2);
}

static void a_reader_that_was_woken_and_has_not_read_is_not_woken_again(void **state)
{
    post_msg(1);
    mailbox_flush(&down->control);
    post_msg(2);
    mailbox_flush(&down->control);
    assert_int_equal(wakes, 1);
}

/* It may have slept on since: what it read before came by another wake. */
static void a_reader_that_has_read_before_the_flush_is_woken_all_the_same(void **state)
{
    post_msg(1);
    heard_all();
    post_msg(2);
    mailbox_flush(&down->control);
    assert_int_equal(wakes, 1);
}

static void what_was_never_read_is_freed_with_the_mailbox(void **state)
{
    struct msg *m = msg_create(MSG_TOPIC_GAP, 0);
    m->frame = frame_create(span_of("gap"), 0);
    downlink_post(down, m);
    post_frame(1);
}

static void a_message_comes_behind_the_frames_before_it_and_before_those_after_it(void **state)
{
    post_msg(1);
    post_frame(2);
    post_frame(3);
    post_msg(4);
    post_msg(5);
    post_frame(6);
    post_msg(7);
    assert_string_equal(heard_all(), "m1 f2 f3 m4 m5 f6 m7 ");
    post_frame(8);
    post_msg(9);
    assert_string_equal(heard_all(), "f8 m9 ");
}

static void the_order_holds_wherever_the_reader_stops(void **state)
{
    for (size_t most = 1; most < 8; most++) {
        buf_reset(&heard);
        for (unsigned i = 0; i < 12; i++)
            i % 3 ? post_frame(i) : post_msg(i);
        while (lane_read(&reader, most))
            ;
        assert_string_equal(buf_cstr(&heard), "m0 f1 f2 m3 f4 f5 m6 f7 f8 m9 f10 f11 ");
    }
}

static void a_message_that_was_read_early_waits_for_its_frames(void **state)
{
    post_frame(1);
    post_msg(2);
    lane_take_mail(&reader);
    assert_false(lane_read_msg(&reader));
    lane_read_frame(&reader);
    assert_true(lane_read_msg(&reader));
    assert_string_equal(buf_cstr(&heard), "f1 m2 ");
}

static void a_flush_wakes_the_reader_once_and_only_when_it_is_due(void **state)
{
    downlink_flush(down);
    assert_int_equal(wakes, 0);
    post_frame(1);
    post_msg(2);
    post_frame(3);
    assert_int_equal(wakes, 0);
    downlink_flush(down);
    downlink_flush(down);
    assert_int_equal(wakes, 1);
}

static void each_turn_that_posts_a_frame_wakes_the_reader(void **state)
{
    post_frame(1);
    downlink_flush(down);
    post_frame(2);
    downlink_flush(down);
    assert_int_equal(wakes, 2);
}

static void a_frame_that_was_refused_wakes_nobody(void **state)
{
    restart(10);
    post_frame(1);
    downlink_flush(down);
    assert_false(post_bytes(2, 10));
    downlink_flush(down);
    assert_int_equal(wakes, 1);
}

static void the_lane_holds_a_reference_until_its_reader_is_done(void **state)
{
    struct frame *f = frame_create(span_of("x"), 1);
    struct lane_entry e = {.frame = f, .pub = 1};
    assert_true(frame_lane_post(&down->frames, &e));
    assert_int_equal(atomic_load(&f->refs), 2);
    assert_ptr_equal(frame_lane_peek(&down->frames)->frame, f);
    assert_int_equal(atomic_load(&f->refs), 2);
    frame_lane_done(&down->frames);
    assert_int_equal(atomic_load(&f->refs), 1);
    assert_null(frame_lane_peek(&down->frames));
    frame_unref(f);
}

static void a_full_lane_takes_no_more_and_loses_nothing(void **state)
{
    for (unsigned i = 0; i < LANE_ENTRIES; i++)
        post_frame(i);
    assert_false(atomic_load(&down->frames.starved));
    assert_false(post_bytes(LANE_ENTRIES, 10));
    assert_true(atomic_load(&down->frames.starved));
    assert_int_equal(frame_lane_posted(&down->frames), LANE_ENTRIES);
    for (unsigned i = 0; i < LANE_ENTRIES; i++) {
        assert_int_equal(frame_lane_peek(&down->frames)->pub, i);
        frame_lane_done(&down->frames);
    }
    assert_null(frame_lane_peek(&down->frames));
}

static void a_refused_frame_is_not_referenced(void **state)
{
    restart(20);
    struct frame *f = frame_create(span_of("0123456789"), 1);
    struct lane_entry e = {.frame = f, .pub = 1};
    assert_true(frame_lane_post(&down->frames, &e));
    assert_true(frame_lane_post(&down->frames, &e));
    assert_false(frame_lane_post(&down->frames, &e));
    assert_int_equal(atomic_load(&f->refs), 3);
    frame_unref(f);
}

static void the_ring_goes_round_for_ever(void **state)
{
    for (unsigned i = 0; i < 3 * LANE_ENTRIES; i++) {
        post_frame(i);
        assert_int_equal(frame_lane_peek(&down->frames)->pub, i);
        frame_lane_done(&down->frames);
    }
    for (unsigned i = 0; i < LANE_ENTRIES; i++)
        post_frame(i);
    assert_false(post_bytes(0, 1));
}

static void bytes_are_bounded_too_and_to_the_byte(void **state)
{
    restart(100);
    assert_true(post_bytes(1, 60));
    assert_false(post_bytes(2, 41));
    assert_true(post_bytes(3, 40));
    assert_false(post_bytes(4, 1));
    frame_lane_done(&down->frames);
    assert_true(post_bytes(5, 60));
    assert_false(post_bytes(6, 1));
}

static void an_empty_lane_takes_one_frame_of_any_size(void **state)
{
    restart(100);
    assert_true(post_bytes(1, 4000));
    assert_false(post_bytes(2, 1));
    frame_lane_done(&down->frames);
    assert_true(post_bytes(3, 4000));
}

static void there_is_room_when_half_the_entries_are_free(void **state)
{
    for (unsigned i = 0; i < LANE_ENTRIES / 2 + 1; i++)
        post_frame(i);
    assert_false(frame_lane_has_room(&down->frames));
    frame_lane_done(&down->frames);
    assert_true(frame_lane_has_room(&down->frames));
}

/* Otherwise a lane that is full of a few large frames would say at once that it has drained, and
 * each refusal would bring a gap of its own. */
static void there_is_room_only_when_half_the_bytes_are_free_too(void **state)
{
    restart(100);
    post_bytes(1, 30);
    post_bytes(2, 30);
    post_bytes(3, 40);
    assert_false(frame_lane_has_room(&down->frames));
    frame_lane_done(&down->frames);
    assert_false(frame_lane_has_room(&down->frames));
    frame_lane_done(&down->frames);
    assert_true(frame_lane_has_room(&down->frames));
}

static void a_lane_with_one_frame_over_the_limit_has_room_when_it_is_taken(void **state)
{
    restart(100);
    post_bytes(1, 400);
    assert_false(frame_lane_has_room(&down->frames));
    frame_lane_done(&down->frames);
    assert_true(frame_lane_has_room(&down->frames));
}

static void a_refused_writer_is_told_of_room_once(void **state)
{
    restart(100);
    for (unsigned i = 0; i < 10; i++)
        post_bytes(i, 10);
    assert_false(lane_drained(&down->frames));
    assert_false(post_bytes(10, 10));
    assert_false(lane_drained(&down->frames));
    for (unsigned i = 0; i < 5; i++)
        frame_lane_done(&down->frames);
    assert_true(lane_drained(&down->frames));
    assert_false(lane_drained(&down->frames));
}

static void a_writer_that_was_never_refused_is_told_nothing(void **state)
{
    post_frame(1);
    frame_lane_done(&down->frames);
    assert_false(lane_drained(&down->frames));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
        T(messages_of_a_mailbox_come_in_order_and_just_once),
        T(posting_wakes_nobody_and_a_flush_wakes_the_reader_once_for_all),
        T(a_reader_that_was_woken_and_has_not_read_is_not_woken_again),
        T(a_reader_that_has_read_before_the_flush_is_woken_all_the_same),
        T(what_was_never_read_is_freed_with_the_mailbox),
        T(a_message_comes_behind_the_frames_before_it_and_before_those_after_it),
        T(the_order_holds_wherever_the_reader_stops),
        T(a_message_that_was_read_early_waits_for_its_frames),
        T(a_flush_wakes_the_reader_once_and_only_when_it_is_due),
        T(each_turn_that_posts_a_frame_wakes_the_reader),
        T(a_frame_that_was_refused_wakes_nobody),
        T(the_lane_holds_a_reference_until_its_reader_is_done),
        T(a_full_lane_takes_no_more_and_loses_nothing),
        T(a_refused_frame_is_not_referenced),
        T(the_ring_goes_round_for_ever),
        T(bytes_are_bounded_too_and_to_the_byte),
        T(an_empty_lane_takes_one_frame_of_any_size),
        T(there_is_room_when_half_the_entries_are_free),
        T(there_is_room_only_when_half_the_bytes_are_free_too),
        T(a_lane_with_one_frame_over_the_limit_has_room_when_it_is_taken),
        T(a_refused_writer_is_told_of_room_once),
        T(a_writer_that_was_never_refused_is_told_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
