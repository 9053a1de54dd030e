/*
 * What the reader takes json-c takes too; what it copies compact is taken again and copied the
 * same; and a string that is decoded and written again is decoded to the same.
 */
#include "fuzz.h"
#include "json_c.h"
#include "proto/json_read.h"
#include "proto/json_text.h"
#include "proto/utf8.h"

/* json-c stops at a NUL and knows no ill-formed UTF-8; neither gets through the reader. */
static bool json_c_takes(struct span text)
{
    struct json_tokener *tokener = json_tokener_new_ex(JSON_READ_DEPTH + 2);
    struct buf copy = {0};
    buf_span(&copy, text);
    json_tokener_set_flags(tokener, JSON_C_JUDGES);
    struct json_object *tree = json_tokener_parse_ex(tokener, buf_cstr(&copy), (int)text.len + 1);
    bool taken = json_tokener_get_error(tokener) == json_tokener_success;
    json_object_put(tree);
    json_tokener_free(tokener);
    buf_free(&copy);
    return taken;
}

static bool read_whole(struct span text, struct buf *out)
{
    struct json_reader r;
    json_read_begin(&r, text);
    json_read_value(&r, out);
    json_read_end(&r);
    FUZZ_CHECK(!r.error || r.error_at <= text.len);
    FUZZ_CHECK(r.error || r.depth == 0);
    return !r.error;
}

static void check_string(struct span text)
{
    struct json_reader r;
    struct buf once = {0}, written = {0}, twice = {0};
    json_read_begin(&r, text);
    json_read_string(&r, &once);
    FUZZ_CHECK(once.len <= text.len && utf8_valid(buf_view(&once)));
    if (!r.error) {
        json_text_string(&written, buf_view(&once));
        json_read_begin(&r, buf_view(&written));
        json_read_string(&r, &twice);
        json_read_end(&r);
        FUZZ_CHECK(!r.error && span_eq(buf_view(&once), buf_view(&twice)));
    }
    buf_free(&once);
    buf_free(&written);
    buf_free(&twice);
}

/* Steps through the outermost container by hand; the result must be that of reading it whole. */
static void check_steps(struct span text, bool taken)
{
    struct json_reader r;
    struct buf name = {0};
    json_read_begin(&r, text);
    enum json_kind kind = json_read_peek(&r);
    if (kind == JSON_OBJECT || kind == JSON_ARRAY) {
        json_read_enter(&r);
        while (kind == JSON_OBJECT ? json_read_member(&r, &name) : json_read_element(&r))
            json_read_value(&r, NULL);
        json_read_end(&r);
        FUZZ_CHECK(!r.error == taken);
    }
    json_read_begin(&r, text);
    json_read_enter(&r);
    FUZZ_CHECK(!r.error == (kind == JSON_OBJECT || kind == JSON_ARRAY));
    buf_free(&name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_make((const char *)data, size);
    struct buf compact = {0}, again = {0};
    bool taken = read_whole(text, &compact);
    FUZZ_CHECK(compact.len <= text.len);
    if (taken) {
        FUZZ_CHECK(json_c_takes(text));
        FUZZ_CHECK(read_whole(buf_view(&compact), &again));
        FUZZ_CHECK(span_eq(buf_view(&compact), buf_view(&again)));
    }
    check_string(text);
    check_steps(text, taken);
    buf_free(&compact);
    buf_free(&again);
    return 0;
}
