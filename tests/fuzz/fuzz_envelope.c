/*
 * An envelope's event is fit for a message, its data valid UTF-8; written again it is read to the
 * same. A payload that is none leaves the output alone.
 */
#include "base/err.h"
#include "fuzz.h"
#include "proto/envelope.h"
#include "proto/sse.h"
#include "proto/utf8.h"

static void check_write(struct span event, struct span data)
{
    struct buf text = {0};
    struct envelope e;
    envelope_write(&text, event, data);
    FUZZ_CHECK(envelope_parse(buf_view(&text), &e) == 0);
    FUZZ_CHECK(span_eq(buf_view(&e.event), event) && span_eq(buf_view(&e.data), data));
    envelope_free(&e);
    buf_free(&text);
}

static void check_parse(struct span payload)
{
    struct envelope e = {.event = {.len = 4711}};
    int rc = envelope_parse(payload, &e);
    if (rc) {
        FUZZ_CHECK(rc == ERR_INVALID && e.event.len == 4711 && !e.event.data && !e.data.data);
        return;
    }
    FUZZ_CHECK(!sse_event_error(buf_view(&e.event)) && utf8_valid(buf_view(&e.event)));
    FUZZ_CHECK(utf8_valid(buf_view(&e.data)) && e.event.len + e.data.len < payload.len);
    check_write(buf_view(&e.event), buf_view(&e.data));
    envelope_free(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span payload = span_make((const char *)data, size);
    check_parse(payload);
    struct span rest = payload;
    struct span event = fuzz_field(&rest, SIZE_MAX);
    if (!event.len)
        event.ptr = NULL;
    if (!sse_event_error(event) && utf8_valid(event) && utf8_valid(rest))
        check_write(event, rest);
    return 0;
}
