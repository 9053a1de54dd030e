/*
 * What was parsed and is written again with every byte as %XX parses to the same. Failure leaves
 * the output alone. The input is also taken as a path segment.
 */
#include "base/err.h"
#include "fuzz.h"
#include "proto/query.h"
#include "proto/utf8.h"

enum { MAX_PARAMS = 40 };

static void put_percent(struct buf *out, struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        buf_printf(out, i % 2 ? "%%%02x" : "%%%02X", (unsigned)(uint8_t)s.ptr[i]);
}

static void write_again(struct buf *out, const struct query *q)
{
    for (size_t i = 0; i < q->count; i++) {
        if (i)
            buf_byte(out, '&');
        put_percent(out, q->params[i].name);
        buf_byte(out, '=');
        put_percent(out, q->params[i].value);
    }
}

static void check_same(const struct query *a, const struct query *b)
{
    FUZZ_CHECK(a->count == b->count);
    for (size_t i = 0; i < a->count; i++) {
        FUZZ_CHECK(span_eq(a->params[i].name, b->params[i].name));
        FUZZ_CHECK(span_eq(a->params[i].value, b->params[i].value));
        FUZZ_CHECK(utf8_valid(a->params[i].name) && utf8_valid(a->params[i].value));
    }
}

static void check_first_wins(const struct query *q)
{
    char name[64];
    if (q->count == 0 || q->params[0].name.len >= sizeof(name))
        return;
    snprintf(name, sizeof(name), "%.*s", (int)q->params[0].name.len, q->params[0].name.ptr);
    struct span first = query_get(q, name);
    if (strlen(name) == q->params[0].name.len)
        FUZZ_CHECK(first.ptr && first.ptr == q->params[0].value.ptr);
}

static void check_query(struct span text)
{
    const struct query marked = {.count = 4711};
    struct query q = marked, again;
    const char *why = NULL;
    int rc = query_parse(text, MAX_PARAMS, &q, &why);
    if (rc) {
        FUZZ_CHECK(rc == ERR_INVALID || rc == ERR_TOO_LARGE);
        FUZZ_CHECK(why && q.count == marked.count && !q.params && !q.bytes.data);
        return;
    }
    struct buf text_again = {0};
    FUZZ_CHECK(q.count <= MAX_PARAMS);
    write_again(&text_again, &q);
    FUZZ_CHECK(query_parse(buf_view(&text_again), q.count, &again, &why) == 0);
    check_same(&q, &again);
    check_first_wins(&q);
    FUZZ_CHECK(!query_get(&q, "no parameter has this name\n").ptr || q.count);
    query_free(&again);
    query_free(&q);
    buf_free(&text_again);
}

static void check_segment(struct span text)
{
    struct buf out = {0}, encoded = {0}, again = {0};
    buf_str(&out, "before");
    int rc = percent_decode(&out, text);
    FUZZ_CHECK(span_starts(buf_view(&out), "before"));
    struct span decoded = span_make(out.data + 6, out.len - 6);
    if (rc) {
        FUZZ_CHECK(rc == ERR_INVALID && decoded.len == 0);
    } else {
        put_percent(&encoded, decoded);
        FUZZ_CHECK(percent_decode(&again, buf_view(&encoded)) == 0);
        FUZZ_CHECK(span_eq(buf_view(&again), decoded));
    }
    buf_free(&out);
    buf_free(&encoded);
    buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_make((const char *)data, size);
    check_query(text);
    check_segment(text);
    return 0;
}
