#include "proto/sse.h"

#include "proto/json_text.h"

#include <string.h>

const char *sse_field_error(struct span s)
{
    if (s.len == 0)
        return NULL;
    if (memchr(s.ptr, '\n', s.len) || memchr(s.ptr, '\r', s.len))
        return "has a line end";
    return memchr(s.ptr, '\0', s.len) ? "has a NUL" : NULL;
}

const char *sse_event_error(struct span s)
{
    return span_starts(s, "sluice.") ? "begins with sluice., as only the gateway's own events do"
                                     : sse_field_error(s);
}

/* Writes into memory that has been reserved. */
static char *put(char *o, const char *bytes, size_t len)
{
    if (len)
        memcpy(o, bytes, len);
    return o + len;
}

static char *put_line(char *o, const char *name, size_t name_len, struct span value)
{
    o = put(o, name, name_len);
    o = put(o, value.ptr, value.len);
    *o++ = '\n';
    return o;
}

static char *put_data_line(char *o, const char *text, size_t len)
{
    return put_line(o, "data: ", len ? 6 : 5, span_make(text, len));
}

/*
 * Finds the line ends of a text with memchr alone: each search runs on from where the last one
 * found something, so that the text is looked at twice in all, however its lines end.
 */
struct line_ends {
    const char *end;
    const char *lf,
        *cr; /* the next of each at or after the place at hand; `end` when there is none */
};

static const char *find(const char *from, const char *end, char c)
{
    const char *at = from < end ? memchr(from, c, (size_t)(end - from)) : NULL;
    return at ? at : end;
}

static struct line_ends line_ends_of(struct span text)
{
    const char *end = text.ptr + text.len;
    return (struct line_ends){
        .end = end, .lf = find(text.ptr, end, '\n'), .cr = find(text.ptr, end, '\r')};
}

/* The end of the line at hand; *next is where the one after it begins, NULL when this was the last.
 */
static const char *line_end(struct line_ends *e, const char **next)
{
    const char *at = e->lf < e->cr ? e->lf : e->cr;
    if (at == e->end) {
        *next = NULL;
        return at;
    }
    bool crlf = at == e->cr && e->lf == at + 1 && e->lf < e->end;
    *next = at + (crlf ? 2 : 1);
    if (e->lf < *next)
        e->lf = find(*next, e->end, '\n');
    if (e->cr < *next)
        e->cr = find(*next, e->end, '\r');
    return at;
}

/* Most data is one line, and then nothing is counted; otherwise no more line ends than bytes of
 * them. */
static size_t most_lines(struct span data, const struct line_ends *e)
{
    size_t lines = 1;
    if (e->lf == e->end && e->cr == e->end)
        return lines;
    for (size_t i = 0; i < data.len; i++)
        lines += data.ptr[i] == '\n' || data.ptr[i] == '\r';
    return lines;
}

void sse_encode(struct buf *out, const struct sse_event *event)
{
    struct span data = event->data.ptr ? event->data : span_of("");
    struct line_ends ends = line_ends_of(data);
    bool named = event->event.len && !span_is(event->event, "message");
    size_t room = sizeof "id: \nevent: \n\n" + event->id.len + event->event.len + data.len +
                  most_lines(data, &ends) * (sizeof "data: \n" - 1);
    char *start = buf_reserve(out, room);
    char *o = start;
    if (event->id.ptr)
        o = put_line(o, "id: ", 4, event->id);
    if (named)
        o = put_line(o, "event: ", 7, event->event);
    for (const char *line = data.ptr, *next; line; line = next) {
        const char *end = line_end(&ends, &next);
        o = put_data_line(o, line, (size_t)(end - line));
    }
    *o++ = '\n';
    out->len += (size_t)(o - start);
}

void sse_comment(struct buf *out, const char *text)
{
    buf_printf(out, ": %s\n\n", text);
}

void sse_retry(struct buf *out, uint32_t ms)
{
    buf_printf(out, "retry: %u\n\n", (unsigned)ms);
}

static void wrap_member(struct buf *out, const char *name, struct span value)
{
    buf_str(out, name);
    if (value.ptr)
        json_text_string(out, value);
    else
        buf_str(out, "null");
}

void sse_wrap(struct buf *out, struct span channel, const struct sse_event *event)
{
    struct span data = event->data.ptr ? event->data : span_of("");
    buf_reserve(out, channel.len + event->event.len + data.len + event->id.len + 64);
    wrap_member(out, "{\"channel\":", channel);
    wrap_member(out, ",\"event\":", event->event);
    wrap_member(out, ",\"data\":", data);
    wrap_member(out, ",\"id\":", event->id);
    buf_str(out, "}");
}
