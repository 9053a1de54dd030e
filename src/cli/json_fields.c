#include "cli/json_fields.h"

#include "base/err.h"
#include "proto/json_read.h"

static struct json_field *find(struct json_field *fields, size_t count, struct span name)
{
    for (size_t i = 0; i < count; i++) {
        if (span_is(name, fields[i].name))
            return &fields[i];
    }
    return NULL;
}

static void read_value(struct json_reader *r, struct json_field *field)
{
    if (!field || json_read_peek(r) != JSON_STRING) {
        json_read_value(r, NULL);
        return;
    }
    buf_reset(&field->value);
    json_read_string(r, &field->value);
    field->given = !r->error;
}

int json_fields_read(struct span text, struct json_field *fields, size_t count)
{
    struct json_reader r;
    struct buf name = {0};
    json_read_begin(&r, text);
    if (json_read_peek(&r) != JSON_OBJECT)
        return ERR_INVALID;
    json_read_enter(&r);
    while (json_read_member(&r, &name))
        read_value(&r, find(fields, count, buf_view(&name)));
    json_read_end(&r);
    buf_free(&name);
    return r.error ? ERR_INVALID : 0;
}

void json_fields_free(struct json_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_free(&fields[i].value);
        fields[i].given = false;
    }
}

struct span json_field_view(const struct json_field *field)
{
    if (!field->given)
        return (struct span){0};
    return field->value.len ? buf_view(&field->value) : span_of("");
}
