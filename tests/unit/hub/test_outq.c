#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "hub/outq.h"

#include <string.h>

enum { VECTOR = 16 };

/* Queues a message (a control frame when `born` is 0) and keeps no reference to it. */
static int push(struct outq *q, const char *text, uint64_t born, uint64_t limit)
{
    struct frame *f = frame_create(span_of(text), born);
    int err = outq_push(q, f, limit);
    frame_unref(f);
    return err;
}

static void push_bytes(struct outq *q, size_t len)
{
    struct buf text = {0};
    memset(buf_reserve(&text, len + 1), 'x', len);
    text.data[len] = '\0';
    assert_int_equal(push(q, text.data, 1, UINT64_MAX), 0);
    buf_free(&text);
}

/* What is to be written next, as text. */
static const char *next(const struct outq *q, int max)
{
    static char text[256];
    struct iovec iov[VECTOR];
    int n = outq_vector(q, iov, max);
    size_t len = 0;
    for (int i = 0; i < n; i++) {
        memcpy(text + len, iov[i].iov_base, iov[i].iov_len);
        len += iov[i].iov_len;
    }
    text[len] = '\0';
    return text;
}

static void a_zeroed_queue_is_empty_and_has_no_memory(void **state)
{
    struct outq q = {0};
    assert_true(outq_empty(&q));
    assert_string_equal(next(&q, VECTOR), "");
    outq_clear(&q);
    assert_null(q.ring);
}

static void what_waits_is_all_that_is_not_written(void **state)
{
    struct outq q = {0};
    assert_int_equal(outq_waiting(&q), 0);
    push_bytes(&q, 100);
    push_bytes(&q, 50);
    assert_int_equal(outq_waiting(&q), 150);
    outq_written(&q, 30);
    assert_int_equal(outq_waiting(&q), 120);
    outq_written(&q, 80);
    assert_int_equal(outq_waiting(&q), 40);
    outq_written(&q, 40);
    assert_int_equal(outq_waiting(&q), 0);
}

static void frames_go_out_in_the_order_in_which_they_came(void **state)
{
    struct outq q = {0};
    for (const char *const *t = (const char *const[]){"a", "bc", "def", "g", "h", "ij", NULL}; *t;
         t++)
        assert_int_equal(push(&q, *t, 1, 100), 0);
    assert_string_equal(next(&q, VECTOR), "abcdefghij");
    assert_string_equal(next(&q, 2), "abc");
    outq_clear(&q);
}

static void an_empty_queue_takes_one_frame_of_any_size(void **state)
{
    struct outq q = {0};
    assert_int_equal(push(&q, "0123456789", 1, 4), 0);
    assert_int_equal(push(&q, "x", 1, 4), 0);
    assert_string_equal(next(&q, VECTOR), "0123456789x");
    outq_clear(&q);
}

static void behind_the_first_frame_the_limit_holds_to_the_byte(void **state)
{
    struct outq q = {0};
    assert_int_equal(push(&q, "first", 1, 4), 0);
    assert_int_equal(push(&q, "ab", 1, 4), 0);
    assert_int_equal(push(&q, "cde", 1, 4), ERR_FULL);
    assert_int_equal(push(&q, "cd", 1, 4), 0);
    assert_int_equal(push(&q, "e", 1, 4), ERR_FULL);
    assert_string_equal(next(&q, VECTOR), "firstabcd");
    outq_clear(&q);
}

static void a_refused_frame_is_not_kept(void **state)
{
    struct outq q = {0};
    struct frame *f = frame_create(span_of("refused"), 1);
    assert_int_equal(push(&q, "a", 1, 1), 0);
    assert_int_equal(outq_push(&q, f, 1), ERR_FULL);
    assert_int_equal(atomic_load(&f->refs), 1);
    assert_int_equal(q.count, 1);
    frame_unref(f);
    outq_clear(&q);
}

static void room_comes_back_as_frames_are_written(void **state)
{
    struct outq q = {0};
    push(&q, "first", 1, 4);
    push(&q, "abcd", 1, 4);
    assert_int_equal(push(&q, "x", 1, 4), ERR_FULL);
    outq_written(&q, 5); /* now "abcd" is the one being written: nothing waits behind it */
    assert_int_equal(push(&q, "wxyz", 1, 4), 0);
    assert_int_equal(push(&q, "x", 1, 4), ERR_FULL);
    assert_string_equal(next(&q, VECTOR), "abcdwxyz");
    outq_clear(&q);
}

static void a_partial_write_goes_on_where_it_stopped(void **state)
{
    struct outq q = {0};
    push(&q, "abc", 1, 100);
    push(&q, "def", 1, 100);
    assert_int_equal(outq_written(&q, 2), 0);
    assert_string_equal(next(&q, VECTOR), "cdef");
    assert_int_equal(outq_written(&q, 2), 1);
    assert_string_equal(next(&q, VECTOR), "ef");
    assert_int_equal(outq_written(&q, 0), 0);
    assert_string_equal(next(&q, VECTOR), "ef");
    assert_int_equal(outq_written(&q, 2), 1);
    assert_true(outq_empty(&q));
}

static void a_frame_that_was_written_in_part_before_it_was_queued_goes_on_there(void **state)
{
    struct outq q = {0};
    struct frame *f = frame_create(span_of("abcdef"), 1);
    outq_push_part(&q, f, 4);
    frame_unref(f);
    push(&q, "gh", 1, 100);
    assert_string_equal(next(&q, VECTOR), "efgh");
    assert_int_equal(outq_written(&q, 2), 1);
    assert_string_equal(next(&q, VECTOR), "gh");
    outq_clear(&q);
}

static void only_messages_are_counted_and_only_when_they_are_whole(void **state)
{
    struct outq q = {0};
    push(&q, "m1", 5, 100);
    push(&q, "comment", 0, 100);
    push(&q, "m2", 6, 100);
    push(&q, "m3", 7, 100);
    assert_int_equal(outq_written(&q, 1), 0);
    assert_int_equal(outq_written(&q, 1 + 7 + 2), 2);
    assert_int_equal(outq_written(&q, 1), 0);
    assert_int_equal(outq_written(&q, 1), 1);
}

static void an_empty_frame_is_passed_over(void **state)
{
    struct outq q = {0};
    push(&q, "a", 1, 100);
    push(&q, "", 1, 100);
    push(&q, "b", 1, 100);
    assert_int_equal(outq_written(&q, 1), 2);
    assert_string_equal(next(&q, VECTOR), "b");
    outq_clear(&q);
}

static void a_queue_that_has_run_empty_gives_its_memory_back(void **state)
{
    struct outq q = {0};
    for (int i = 0; i < 100; i++)
        push_bytes(&q, 10);
    assert_non_null(q.ring);
    assert_int_equal(outq_written(&q, 1000), 100);
    assert_null(q.ring);
    assert_int_equal(q.cap, 0);
    assert_int_equal(q.bytes, 0);
    assert_int_equal(push(&q, "again", 1, 0), 0);
    assert_string_equal(next(&q, VECTOR), "again");
    outq_clear(&q);
    assert_null(q.ring);
}

/* The ring turns and grows while it is anywhere in its turn. */
static void order_and_account_survive_every_turn_of_the_ring(void **state)
{
    struct outq q = {0};
    unsigned in = 0, out = 0;
    for (unsigned round = 0; round < 2000; round++) {
        for (unsigned k = 0; k < (round * 7) % 5; k++) {
            struct frame *f = frame_create(span_make((const char *)&in, sizeof(in)), 1);
            assert_int_equal(outq_push(&q, f, UINT64_MAX), 0);
            frame_unref(f);
            in++;
        }
        for (unsigned k = 0; k < (round * 3) % 5 && !outq_empty(&q); k++) {
            struct iovec iov;
            assert_int_equal(outq_vector(&q, &iov, 1), 1);
            assert_memory_equal(iov.iov_base, &out, sizeof(out));
            assert_int_equal(outq_written(&q, sizeof(out)), 1);
            out++;
        }
        assert_int_equal(q.count, in - out);
        assert_int_equal(q.bytes, q.count ? (q.count - 1) * sizeof(in) : 0);
    }
    assert_true(in > 1000);
    outq_clear(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_zeroed_queue_is_empty_and_has_no_memory),
        cmocka_unit_test(what_waits_is_all_that_is_not_written),
        cmocka_unit_test(frames_go_out_in_the_order_in_which_they_came),
        cmocka_unit_test(an_empty_queue_takes_one_frame_of_any_size),
        cmocka_unit_test(behind_the_first_frame_the_limit_holds_to_the_byte),
        cmocka_unit_test(a_refused_frame_is_not_kept),
        cmocka_unit_test(room_comes_back_as_frames_are_written),
        cmocka_unit_test(a_partial_write_goes_on_where_it_stopped),
        cmocka_unit_test(a_frame_that_was_written_in_part_before_it_was_queued_goes_on_there),
        cmocka_unit_test(only_messages_are_counted_and_only_when_they_are_whole),
        cmocka_unit_test(an_empty_frame_is_passed_over),
        cmocka_unit_test(a_queue_that_has_run_empty_gives_its_memory_back),
        cmocka_unit_test(order_and_account_survive_every_turn_of_the_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
