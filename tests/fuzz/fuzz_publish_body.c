/*
 * A batch that was read has at least one item and no more than allowed, all within its own bytes;
 * written again as JSON it is read to the same. A body that is refused leaves the output alone and
 * says why in one line.
 */
#include "base/err.h"
#include "fuzz.h"
#include "proto/json_text.h"
#include "proto/publish_body.h"
#include "proto/sse.h"
#include "proto/utf8.h"

enum { MAX_ITEMS = 5 };

static void put_member(struct buf *out, const char *name, struct span value)
{
    if (!value.ptr)
        return;
    buf_str(out, name);
    json_text_string(out, value);
}

static void write_again(struct buf *out, const struct publish_batch *b)
{
    buf_byte(out, '[');
    for (size_t i = 0; i < b->count; i++) {
        put_member(out, i ? ",{\"channel\":" : "{\"channel\":", b->items[i].channel);
        put_member(out, ",\"data\":", b->items[i].data);
        put_member(out, ",\"event\":", b->items[i].event);
        put_member(out, ",\"key\":", b->items[i].key);
        buf_byte(out, '}');
    }
    buf_byte(out, ']');
}

static bool same(struct span a, struct span b)
{
    return !a.ptr == !b.ptr && span_eq(a, b);
}

static void check_span(const struct publish_batch *b, struct span s)
{
    FUZZ_CHECK(!s.ptr || (s.ptr >= b->text.data && s.ptr + s.len <= b->text.data + b->text.len));
    FUZZ_CHECK(utf8_valid(s));
}

static void check_items(const struct publish_batch *b)
{
    FUZZ_CHECK(b->count >= 1 && b->count <= MAX_ITEMS && (!b->single || b->count == 1));
    for (size_t i = 0; i < b->count; i++) {
        const struct publish_item *item = &b->items[i];
        check_span(b, item->channel);
        check_span(b, item->event);
        check_span(b, item->data);
        check_span(b, item->key);
        FUZZ_CHECK(item->channel.ptr && item->data.ptr);
        FUZZ_CHECK(!item->event.ptr == !item->event.len && !sse_field_error(item->event));
        FUZZ_CHECK(!item->key.ptr == !item->key.len);
    }
}

static void check_again(const struct publish_batch *b)
{
    struct buf text = {0};
    struct publish_batch again;
    char why[100];
    write_again(&text, b);
    FUZZ_CHECK(publish_body_parse(buf_view(&text), b->count, &again, why, sizeof why) == 0);
    FUZZ_CHECK(again.count == b->count && !again.single);
    for (size_t i = 0; i < b->count; i++) {
        FUZZ_CHECK(same(b->items[i].channel, again.items[i].channel));
        FUZZ_CHECK(same(b->items[i].event, again.items[i].event));
        FUZZ_CHECK(same(b->items[i].data, again.items[i].data));
        FUZZ_CHECK(same(b->items[i].key, again.items[i].key));
    }
    publish_batch_free(&again);
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct publish_batch b = {.count = 4711};
    char why[100] = "";
    int rc =
        publish_body_parse(span_make((const char *)data, size), MAX_ITEMS, &b, why, sizeof why);
    if (rc) {
        FUZZ_CHECK(rc == ERR_INVALID || rc == ERR_TOO_LARGE);
        FUZZ_CHECK(*why && b.count == 4711 && !b.items && !b.text.data);
        return 0;
    }
    FUZZ_CHECK(!*why);
    check_items(&b);
    check_again(&b);
    publish_batch_free(&b);
    return 0;
}
