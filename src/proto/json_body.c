#include "proto/json_body.h"

#include "base/err.h"

#include <stdint.h>
#include <stdio.h>

enum { MOST_PLACE = 64 }; /* bytes of it that are told */

void json_body_begin(struct json_body *b, struct span body, char *why, size_t why_size)
{
    *b = (struct json_body){.index = JSON_BODY_WHOLE, .why = why, .why_size = why_size};
    json_read_begin(&b->json, body);
}

bool json_body_ok(struct json_body *b)
{
    if (b->json.error && !b->err) {
        b->err = ERR_INVALID;
        snprintf(b->why, b->why_size, "body is not JSON: %s at byte %zu", b->json.error,
                 b->json.error_at);
    }
    return !b->err;
}

void json_body_complain(struct json_body *b, struct span place, const char *what)
{
    char element[32] = "";
    if (b->err)
        return;
    b->err = ERR_INVALID;
    if (b->index != JSON_BODY_WHOLE)
        snprintf(element, sizeof(element), "[%zu]%s", b->index, place.len ? "." : "");
    snprintf(b->why, b->why_size, "%s%.*s: %s", element,
             place.len > MOST_PLACE ? MOST_PLACE : (int)place.len, place.len ? place.ptr : "",
             what);
}

void json_body_too_many(struct json_body *b, size_t most, const char *things)
{
    if (b->err)
        return;
    b->err = ERR_TOO_LARGE;
    snprintf(b->why, b->why_size, "body: more than %zu %s", most, things);
}

void json_body_refuse(struct json_body *b, struct span place, const char *expected)
{
    json_read_value(&b->json, NULL);
    if (json_body_ok(b))
        json_body_complain(b, place, expected);
}

bool json_body_enter(struct json_body *b, struct span place)
{
    bool is_object = json_read_peek(&b->json) == JSON_OBJECT;
    if (is_object)
        json_read_enter(&b->json);
    else
        json_body_refuse(b, place, "expected an object");
    return is_object;
}

bool json_body_member(struct json_body *b, struct buf *name)
{
    return !b->err && json_read_member(&b->json, name);
}

bool json_body_first(struct json_body *b, struct span name, bool *seen)
{
    if (*seen)
        json_body_complain(b, name, "given twice");
    *seen = true;
    return !b->err;
}

bool json_body_string(struct json_body *b, struct span place, struct buf *text)
{
    buf_reset(text);
    if (json_read_peek(&b->json) == JSON_STRING)
        json_read_string(&b->json, text);
    else
        json_body_refuse(b, place, "expected a string");
    return json_body_ok(b);
}

bool json_body_end(struct json_body *b)
{
    if (!b->err)
        json_read_end(&b->json);
    return json_body_ok(b);
}
