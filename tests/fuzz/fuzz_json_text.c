/* json-c, as strict as it can be, reads back what was written. */
#include "fuzz.h"
#include "json_c.h"
#include "proto/json_text.h"
#include "proto/utf8.h"

static struct json_object *read_back(struct json_tokener *reader, const struct buf *text)
{
    json_tokener_reset(reader);
    json_tokener_set_flags(reader, JSON_C_JUDGES);
    struct json_object *json = json_tokener_parse_ex(reader, text->data, (int)text->len);
    FUZZ_CHECK(json && json_tokener_get_parse_end(reader) == text->len);
    return json;
}

static bool holds(struct json_object *json, struct span s)
{
    struct span read = {.ptr = json_object_get_string(json)};
    read.len = (size_t)json_object_get_string_len(json);
    return json_object_is_type(json, json_type_string) && span_eq(read, s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_make((const char *)data, size);
    struct json_tokener *reader = json_tokener_new();
    struct buf valid = {0}, text = {0};
    utf8_repair(&valid, input);

    json_text_string(&text, buf_view(&valid));
    struct json_object *json = read_back(reader, &text);
    FUZZ_CHECK(holds(json, buf_view(&valid)));
    json_object_put(json);
    for (size_t i = 0; i < text.len; i++)
        FUZZ_CHECK((uint8_t)text.data[i] >= 0x20);

    buf_reset(&text);
    json_text_error(&text, input);
    json = read_back(reader, &text);
    FUZZ_CHECK(json_object_object_length(json) == 1);
    FUZZ_CHECK(holds(json_object_object_get(json, "error"), buf_view(&valid)));
    json_object_put(json);

    json_tokener_free(reader);
    buf_free(&valid);
    buf_free(&text);
    return 0;
}
