#include "cli/tail_line.h"

#include "cli/json_fields.h"
#include "cli/printable.h"

enum tail_kind tail_kind_of(const struct sse_received *event)
{
    if (!span_starts(event->event, "sluice."))
        return TAIL_MESSAGE;
    if (span_is(event->event, "sluice.gap"))
        return TAIL_GAP;
    if (span_is(event->event, "sluice.busy") || span_is(event->event, "sluice.expired"))
        return TAIL_CLOSING;
    return TAIL_SILENT;
}

static void put_readable(struct buf *out, struct span channel, const struct sse_event *event)
{
    if (channel.ptr) {
        printable(out, channel);
        buf_byte(out, ' ');
    }
    if (event->id.len) {
        buf_byte(out, '#');
        printable(out, event->id);
        buf_byte(out, ' ');
    }
    if (event->event.len) {
        buf_byte(out, '[');
        printable(out, event->event);
        buf_str(out, "] ");
    }
    printable(out, event->data);
}

static void put_line(struct buf *out, struct span channel, const struct sse_event *event, bool json)
{
    if (json)
        sse_wrap(out, channel, event);
    else
        put_readable(out, channel, event);
    buf_byte(out, '\n');
}

/* The event as it came, for a stream that does not wrap. */
static struct sse_event plain(const struct sse_received *event)
{
    bool named = !span_is(event->event, "message");
    return (struct sse_event){
        .event = named ? event->event : (struct span){0},
        .id = event->last_id.len ? event->last_id : (struct span){0},
        .data = event->data,
    };
}

void tail_line(struct buf *out, const struct sse_received *event, bool json)
{
    enum { CHANNEL, EVENT, DATA, ID, FIELDS };
    struct json_field fields[FIELDS] = {
        {.name = "channel"}, {.name = "event"}, {.name = "data"}, {.name = "id"}};
    struct span channel = {0};
    struct sse_event shown = plain(event);
    if (span_is(event->event, "message") && json_fields_read(event->data, fields, FIELDS) == 0 &&
        fields[CHANNEL].given && fields[DATA].given) {
        channel = json_field_view(&fields[CHANNEL]);
        shown.event = json_field_view(&fields[EVENT]);
        shown.data = json_field_view(&fields[DATA]);
        shown.id = json_field_view(&fields[ID]);
    }
    put_line(out, channel, &shown, json);
    json_fields_free(fields, FIELDS);
}

static void gap_notice(struct buf *out, const struct sse_received *event)
{
    enum { CHANNEL, PATTERN, REASON, FIELDS };
    struct json_field fields[FIELDS] = {
        {.name = "channel"}, {.name = "pattern"}, {.name = "reason"}};
    json_fields_read(event->data, fields, FIELDS);
    buf_str(out, "warning: gap");
    if (fields[CHANNEL].given || fields[PATTERN].given) {
        buf_str(out, " in ");
        printable(out, json_field_view(&fields[fields[CHANNEL].given ? CHANNEL : PATTERN]));
    }
    if (fields[REASON].given) {
        buf_str(out, " (");
        printable(out, json_field_view(&fields[REASON]));
        buf_byte(out, ')');
    }
    buf_str(out, ": messages may have been missed");
    json_fields_free(fields, FIELDS);
}

void tail_notice(struct buf *out, const struct sse_received *event)
{
    struct json_field error = {.name = "error"};
    if (tail_kind_of(event) == TAIL_GAP) {
        gap_notice(out, event);
        return;
    }
    json_fields_read(event->data, &error, 1);
    printable(out, error.given ? json_field_view(&error) : event->event);
    json_fields_free(&error, 1);
}
