/* Reading what the library's functions answer: JSON that Redis wrote. */
#include "base/err.h"
#include "bus/bus_private.h"
#include "proto/event_id.h"
#include "proto/json_read.h"
#include "proto/json_text.h"

#include <stdlib.h>

/* Leaves the cursor before the member's value; false when there is none. */
static bool find(struct json_reader *r, struct span json, const char *name)
{
    struct buf member = {0};
    bool found = false;
    json_read_begin(r, json);
    json_read_enter(r);
    while (!found && json_read_member(r, &member)) {
        found = span_is(buf_view(&member), name);
        if (!found)
            json_read_value(r, NULL);
    }
    buf_free(&member);
    return found && !r->error;
}

bool answer_field(struct span json, const char *name, struct buf *out)
{
    struct json_reader r;
    if (!find(&r, json, name) || json_read_peek(&r) == JSON_NULL)
        return false;
    if (json_read_peek(&r) == JSON_STRING)
        json_read_string(&r, out);
    else
        json_read_value(&r, out);
    return r.error == NULL;
}

uint64_t answer_number(struct span json, const char *name)
{
    struct buf text = {0};
    uint64_t n = answer_field(json, name, &text) ? strtoull(buf_cstr(&text), NULL, 10) : 0;
    buf_free(&text);
    return n;
}

uint64_t answer_id(struct span json, const char *name)
{
    struct buf text = {0};
    uint64_t id = 0;
    if (answer_field(json, name, &text) && event_id_parse(buf_view(&text), &id) != 0)
        id = 0;
    buf_free(&text);
    return id;
}

static bool read_all(struct json_reader *r, void (*fn)(void *ctx, struct span element), void *ctx)
{
    struct buf element = {0};
    if (json_read_peek(r) != JSON_ARRAY)
        return false;
    json_read_enter(r);
    while (json_read_element(r)) {
        buf_reset(&element);
        json_read_value(r, &element);
        if (!r->error)
            fn(ctx, buf_view(&element));
    }
    buf_free(&element);
    return true;
}

bool answer_each(struct span json, const char *name, void (*fn)(void *ctx, struct span element),
                 void *ctx)
{
    struct json_reader r;
    return find(&r, json, name) && read_all(&r, fn, ctx);
}

void answer_all(struct span json, void (*fn)(void *ctx, struct span element), void *ctx)
{
    struct json_reader r;
    json_read_begin(&r, json);
    (void)read_all(&r, fn, ctx);
}

void bus_reply(struct bus *bus, uint32_t worker, struct bus_request *request, int status,
               struct span json)
{
    if (!request)
        return;
    if (!request->exchange) {
        bus_request_free(request);
        return;
    }
    request->status = status;
    buf_reset(&request->json);
    buf_span(&request->json, json);
    bus->options.store.answer(bus->options.store.ctx, worker, request);
}

static int status_of(int err)
{
    switch (err) {
    case ERR_INVALID:
        return 400;
    case ERR_DENIED:
        return 403;
    case ERR_TOO_LARGE:
        return 413;
    default:
        return 503;
    }
}

void bus_fail(struct bus *bus, uint32_t worker, struct bus_request *request, int err,
              const char *why)
{
    struct buf json = {0};
    json_text_error(&json, span_of(why ? why : err_name(err)));
    bus_reply(bus, worker, request, status_of(err), buf_view(&json));
    buf_free(&json);
}
