#include "proto/envelope.h"

#include "base/err.h"
#include "proto/json_read.h"
#include "proto/json_text.h"
#include "proto/sse.h"

/* The two members as they come; where one is given twice the last counts, as with JSON.parse. */
struct draft {
    struct buf event, data;
    bool has_data, bad;
};

static void read_event(struct json_reader *r, struct draft *d)
{
    buf_reset(&d->event);
    enum json_kind kind = json_read_peek(r);
    if (kind == JSON_STRING)
        json_read_string(r, &d->event);
    else
        json_read_value(r, NULL);
    d->bad = (kind != JSON_STRING && kind != JSON_NULL) || sse_event_error(buf_view(&d->event));
}

static void read_data(struct json_reader *r, struct draft *d)
{
    buf_reset(&d->data);
    d->has_data = true;
    if (json_read_peek(r) == JSON_STRING)
        json_read_string(r, &d->data);
    else
        json_read_value(r, &d->data);
}

static void read_members(struct json_reader *r, struct draft *d)
{
    struct buf name = {0};
    json_read_enter(r);
    while (json_read_member(r, &name)) {
        if (span_is(buf_view(&name), "event"))
            read_event(r, d);
        else if (span_is(buf_view(&name), "data"))
            read_data(r, d);
        else
            json_read_value(r, NULL);
    }
    json_read_end(r);
    buf_free(&name);
}

int envelope_parse(struct span payload, struct envelope *out)
{
    struct json_reader r;
    struct draft d = {0};
    json_read_begin(&r, payload);
    if (json_read_peek(&r) != JSON_OBJECT)
        return ERR_INVALID;
    read_members(&r, &d);
    if (r.error || d.bad || !d.has_data) {
        buf_free(&d.event);
        buf_free(&d.data);
        return ERR_INVALID;
    }
    out->event = d.event;
    out->data = d.data;
    return 0;
}

void envelope_free(struct envelope *e)
{
    buf_free(&e->event);
    buf_free(&e->data);
}

void envelope_write(struct buf *out, struct span event, struct span data)
{
    buf_str(out, "{");
    if (event.ptr) {
        buf_str(out, "\"event\":");
        json_text_string(out, event);
        buf_str(out, ",");
    }
    buf_str(out, "\"data\":");
    json_text_string(out, data);
    buf_str(out, "}");
}
