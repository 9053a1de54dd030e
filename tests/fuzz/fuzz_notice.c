/*
 * What is taken for a notice or a beat is written as it was read, byte for byte, and its spans lie
 * within it; what is not leaves the struct alone and says why.
 */
#include "fuzz.h"
#include "proto/event_id.h"
#include "proto/notice.h"

static bool within(struct span part, struct span whole)
{
    return part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

static void check_notice(struct span payload)
{
    struct notice notice = {.id = UINT64_MAX};
    struct buf out = {0};
    const char *error = notice_parse(payload, &notice);
    if (error) {
        FUZZ_CHECK(*error && notice.id == UINT64_MAX);
        return;
    }
    FUZZ_CHECK(notice_is_epoch(notice.epoch));
    FUZZ_CHECK(notice.previous < notice.id && notice.id <= EVENT_ID_MAX);
    FUZZ_CHECK(within(notice.event, payload) && within(notice.data, payload));
    notice_write(&out, &notice);
    FUZZ_CHECK(span_eq(buf_view(&out), payload));
    buf_free(&out);
}

static void check_beat(struct span payload)
{
    struct beat beat = {.id = UINT64_MAX};
    struct buf out = {0};
    const char *error = beat_parse(payload, &beat);
    if (error) {
        FUZZ_CHECK(*error && beat.id == UINT64_MAX);
        return;
    }
    FUZZ_CHECK(notice_is_epoch(beat.epoch) && beat.floor <= beat.id && beat.id <= EVENT_ID_MAX);
    beat_write(&out, &beat);
    FUZZ_CHECK(span_eq(buf_view(&out), payload));
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span payload = span_make((const char *)data, size);
    check_notice(payload);
    check_beat(payload);
    return 0;
}
