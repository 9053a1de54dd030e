#include "proto/notice.h"

#include "proto/event_id.h"
#include "proto/sse.h"

static const char no_epoch[] = "has no epoch of 16 hexadecimal digits";

/* The word up to the first `end`, which is taken off the front too; false: there is no `end`. */
static bool take_word(struct span *rest, char end, struct span *out)
{
    const char *at = rest->len ? memchr(rest->ptr, end, rest->len) : NULL;
    if (!at)
        return false;
    size_t len = (size_t)(at - rest->ptr);
    *out = span_make(rest->ptr, len);
    *rest = span_make(at + 1, rest->len - len - 1);
    return true;
}

bool notice_is_epoch(struct span s)
{
    if (s.len != NOTICE_EPOCH_BYTES)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!(s.ptr[i] >= '0' && s.ptr[i] <= '9') && !(s.ptr[i] >= 'a' && s.ptr[i] <= 'f'))
            return false;
    return true;
}

/* A length that is at most max, without leading zeros. */
static bool read_length(struct span word, size_t max, size_t *out)
{
    size_t value = 0;
    if (word.len == 0 || (word.len > 1 && word.ptr[0] == '0'))
        return false;
    for (size_t i = 0; i < word.len; i++) {
        if (word.ptr[i] < '0' || word.ptr[i] > '9')
            return false;
        size_t digit = (size_t)(word.ptr[i] - '0');
        if (digit > max || value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

static const char *read_body(struct span rest, struct span length, struct notice *out)
{
    size_t len;
    if (!read_length(length, rest.len, &len))
        return "has an event length that is malformed or more than there is";
    if (len == 0) {
        out->event = span_make(NULL, 0);
    } else {
        out->event = span_make(rest.ptr, len);
        const char *error = sse_event_error(out->event);
        if (error)
            return error;
    }
    out->data = span_make(rest.ptr + len, rest.len - len);
    return NULL;
}

const char *notice_parse(struct span payload, struct notice *out)
{
    struct notice notice;
    struct span rest = payload, id, previous, length;
    if (!take_word(&rest, ' ', &notice.epoch) || !notice_is_epoch(notice.epoch))
        return no_epoch;
    if (!take_word(&rest, ' ', &id) || event_id_parse(id, &notice.id) != 0 || notice.id == 0)
        return "has a malformed id";
    if (!take_word(&rest, ' ', &previous) || event_id_parse(previous, &notice.previous) != 0 ||
        notice.previous >= notice.id)
        return "has a malformed previous id, or one that is not before its own";
    if (!take_word(&rest, '\n', &length))
        return "has no line end behind its event length";
    const char *error = read_body(rest, length, &notice);
    if (!error)
        *out = notice;
    return error;
}

const char *beat_parse(struct span payload, struct beat *out)
{
    struct beat beat;
    struct span rest = payload, id;
    if (!take_word(&rest, ' ', &beat.epoch) || !notice_is_epoch(beat.epoch))
        return no_epoch;
    if (!take_word(&rest, ' ', &id) || event_id_parse(id, &beat.id) != 0 || beat.id == 0)
        return "has a malformed id";
    if (event_id_parse(rest, &beat.floor) != 0 || beat.floor > beat.id)
        return "has a malformed floor, or one beyond its id";
    *out = beat;
    return NULL;
}

static void write_id(struct buf *out, uint64_t id)
{
    char text[EVENT_ID_TEXT];
    buf_byte(out, ' ');
    buf_append(out, text, event_id_format(text, id));
}

void notice_write(struct buf *out, const struct notice *notice)
{
    buf_span(out, notice->epoch);
    write_id(out, notice->id);
    write_id(out, notice->previous);
    buf_printf(out, " %zu\n", notice->event.len);
    buf_span(out, notice->event);
    buf_span(out, notice->data);
}

void beat_write(struct buf *out, const struct beat *beat)
{
    buf_span(out, beat->epoch);
    write_id(out, beat->id);
    write_id(out, beat->floor);
}
