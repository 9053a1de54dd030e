/*
 * What the encoder makes the parser reads back, line ends made LF; the wrapped form is one line of
 * JSON that reads back whole; and any bytes, in any chunks, tell the same as in one.
 */
#include "base/err.h"
#include "fuzz.h"
#include "proto/json_read.h"
#include "proto/sse.h"
#include "proto/utf8.h"

/* What a parser said; each part with its length before it, so that no two stories read the same. */
struct story {
    struct buf text;
    size_t events;
    int err;
};

static void tell(struct story *s, const char *what, struct span part)
{
    buf_printf(&s->text, "%s %zu ", what, part.len);
    buf_span(&s->text, part);
}

static void on_event(void *ctx, const struct sse_received *e)
{
    struct story *s = ctx;
    FUZZ_CHECK(utf8_valid(e->event) && utf8_valid(e->data) && utf8_valid(e->last_id));
    FUZZ_CHECK(e->event.len &&
               !sse_field_error(e->event) == !memchr(e->event.ptr, 0, e->event.len));
    FUZZ_CHECK(!sse_field_error(e->last_id));
    tell(s, "event", e->event);
    tell(s, "data", e->data);
    tell(s, "id", e->last_id);
    s->events++;
}

static void on_retry(void *ctx, uint32_t ms)
{
    buf_printf(&((struct story *)ctx)->text, "retry %u ", (unsigned)ms);
}

static void on_comment(void *ctx, struct span text)
{
    tell(ctx, "comment", text);
}

/* step 0: all in one chunk; else chunks of 1..16 bytes by a generator that starts from it. */
static struct story read_stream(struct span bytes, uint32_t step, size_t max)
{
    struct story s = {0};
    struct sse_handler handler = {on_event, on_retry, on_comment, &s};
    struct sse_parser *parser = sse_parser_create(&handler, max);
    while (bytes.len && !s.err) {
        step = step * 1103515245u + 12345u * (step != 0);
        size_t len = step ? 1 + (step >> 16) % 16 : bytes.len;
        if (len > bytes.len)
            len = bytes.len;
        s.err = sse_parser_feed(parser, span_make(bytes.ptr, len));
        FUZZ_CHECK(s.err == 0 || s.err == ERR_TOO_LARGE);
        bytes = span_make(bytes.ptr + len, bytes.len - len);
    }
    tell(&s, "last", sse_parser_last_id(parser));
    sse_parser_restart(parser);
    FUZZ_CHECK(sse_parser_feed(parser, span_of("\n")) == 0);
    tell(&s, "kept", sse_parser_last_id(parser));
    sse_parser_destroy(&parser);
    FUZZ_CHECK(!parser);
    return s;
}

static void check_chunks(struct span bytes, size_t max)
{
    struct story whole = read_stream(bytes, 0, max);
    for (uint32_t step = 1; step < 4; step++) {
        struct story pieces = read_stream(bytes, step * 7919, max);
        FUZZ_CHECK(pieces.err == whole.err && pieces.events == whole.events);
        FUZZ_CHECK(span_eq(buf_view(&pieces.text), buf_view(&whole.text)));
        buf_free(&pieces.text);
    }
    buf_free(&whole.text);
}

static void normalise(struct buf *out, struct span data)
{
    for (size_t i = 0; i < data.len; i++) {
        if (data.ptr[i] == '\n' && i && data.ptr[i - 1] == '\r')
            continue;
        buf_byte(out, data.ptr[i] == '\r' ? '\n' : data.ptr[i]);
    }
}

static void check_encoding(const struct sse_event *event)
{
    struct buf stream = {0}, data = {0};
    struct story want = {0};
    sse_retry(&stream, 2000);
    sse_comment(&stream, "subscribed");
    sse_encode(&stream, event);
    normalise(&data, event->data);
    buf_str(&want.text, "retry 2000 ");
    tell(&want, "comment", span_of("subscribed"));
    on_event(&want,
             &(struct sse_received){.event = event->event.len ? event->event : span_of("message"),
                                    .data = buf_view(&data),
                                    .last_id = event->id});
    tell(&want, "last", event->id);
    tell(&want, "kept", event->id);
    struct story got = read_stream(buf_view(&stream), 0, stream.len);
    FUZZ_CHECK(got.err == 0 && got.events == 1);
    FUZZ_CHECK(span_eq(buf_view(&got.text), buf_view(&want.text)));
    check_chunks(buf_view(&stream), stream.len);
    buf_free(&got.text);
    buf_free(&want.text);
    buf_free(&stream);
    buf_free(&data);
}

static void check_member(struct json_reader *r, const char *name, struct span want)
{
    struct buf got = {0};
    FUZZ_CHECK(json_read_member(r, &got) && span_is(buf_view(&got), name));
    buf_reset(&got);
    FUZZ_CHECK(json_read_peek(r) == (want.ptr ? JSON_STRING : JSON_NULL));
    if (want.ptr)
        json_read_string(r, &got);
    else
        json_read_value(r, NULL);
    FUZZ_CHECK(!r->error && span_eq(buf_view(&got), want));
    buf_free(&got);
}

static void check_wrapping(const struct sse_event *event)
{
    struct buf out = {0}, none = {0};
    struct json_reader r;
    sse_wrap(&out, event->event.ptr ? event->event : span_of("c"), event);
    FUZZ_CHECK(!sse_field_error(buf_view(&out)));
    json_read_begin(&r, buf_view(&out));
    json_read_enter(&r);
    check_member(&r, "channel", event->event.ptr ? event->event : span_of("c"));
    check_member(&r, "event", event->event);
    check_member(&r, "data", event->data);
    check_member(&r, "id", event->id);
    FUZZ_CHECK(!json_read_member(&r, &none));
    json_read_end(&r);
    FUZZ_CHECK(!r.error);
    buf_free(&out);
    buf_free(&none);
}

/* event 0xff id 0xff data; an empty event or id is taken as absent. */
static void check_event(struct span rest)
{
    struct sse_event event = {.event = fuzz_field(&rest, SIZE_MAX),
                              .id = fuzz_field(&rest, SIZE_MAX)};
    event.data = rest.ptr ? rest : span_of("");
    if (!event.event.len)
        event.event.ptr = NULL;
    if (!event.id.len)
        event.id.ptr = NULL;
    if (sse_field_error(event.event) || sse_field_error(event.id))
        return;
    if (!utf8_valid(event.event) || !utf8_valid(event.id) || !utf8_valid(event.data))
        return;
    check_encoding(&event);
    check_wrapping(&event);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = span_make((const char *)data, size);
    check_chunks(bytes, SIZE_MAX / 2);
    check_chunks(bytes, 16);
    check_event(bytes);
    return 0;
}
