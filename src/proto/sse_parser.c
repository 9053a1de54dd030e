/* The reading side of sse.h: section 9.2.6 of the standard, fed in pieces of any size. */
#include "proto/sse.h"

#include "base/err.h"
#include "base/mem.h"
#include "proto/utf8.h"

#include <string.h>

struct sse_parser {
    struct sse_handler handler;
    size_t max_event_bytes;
    struct buf partial;  /* the beginning of a line whose end has not come yet */
    struct buf repaired; /* the line at hand when it was no UTF-8 */
    struct buf event, data;
    struct buf id;      /* as the lines have it so far */
    struct buf last_id; /* as of the last event that ended */
    bool has_data;      /* a data line, if only an empty one */
    bool began;         /* the first line is behind us: no byte order mark any more */
    bool skip_lf;       /* the last byte was the CR of a line end: an LF now belongs to it */
    int err;            /* sticky */
};

struct sse_parser *sse_parser_create(const struct sse_handler *handler, size_t max_event_bytes)
{
    struct sse_parser *p = mem_zalloc(sizeof *p);
    p->handler = *handler;
    p->max_event_bytes = max_event_bytes;
    return p;
}

void sse_parser_destroy(struct sse_parser **parser)
{
    struct sse_parser *p = *parser;
    if (!p)
        return;
    buf_free(&p->partial);
    buf_free(&p->repaired);
    buf_free(&p->event);
    buf_free(&p->data);
    buf_free(&p->id);
    buf_free(&p->last_id);
    mem_free(p);
    *parser = NULL;
}

static void set(struct buf *b, struct span value)
{
    buf_reset(b);
    buf_span(b, value);
}

/* The blank line: an event without any data is none, but the id counts all the same. */
static void on_blank_line(struct sse_parser *p)
{
    set(&p->last_id, buf_view(&p->id));
    if (p->has_data && p->handler.on_event) {
        struct sse_received got = {
            .event = p->event.len ? buf_view(&p->event) : span_of("message"),
            .data = buf_view(&p->data),
            .last_id = buf_view(&p->last_id),
        };
        p->handler.on_event(p->handler.ctx, &got);
    }
    buf_reset(&p->event);
    buf_reset(&p->data);
    p->has_data = false;
}

static void add_data(struct sse_parser *p, struct span value)
{
    size_t have = p->data.len + (p->has_data ? 1 : 0);
    if (have > p->max_event_bytes || value.len > p->max_event_bytes - have) {
        p->err = ERR_TOO_LARGE;
        return;
    }
    if (p->has_data)
        buf_byte(&p->data, '\n');
    buf_span(&p->data, value);
    p->has_data = true;
}

/* Digits only, or the line does not count; a number beyond 32 bits is the largest one. */
static void set_retry(struct sse_parser *p, struct span value)
{
    uint64_t ms = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9')
            return;
        ms = ms * 10 + (uint64_t)(value.ptr[i] - '0');
        if (ms > UINT32_MAX)
            ms = UINT32_MAX;
    }
    if (value.len && p->handler.on_retry)
        p->handler.on_retry(p->handler.ctx, (uint32_t)ms);
}

static void on_field(struct sse_parser *p, struct span name, struct span value)
{
    if (span_is(name, "data"))
        add_data(p, value);
    else if (span_is(name, "event"))
        set(&p->event, value);
    else if (span_is(name, "retry"))
        set_retry(p, value);
    else if (span_is(name, "id") && (!value.len || !memchr(value.ptr, '\0', value.len)))
        set(&p->id, value);
}

/*
 * The standard decodes the stream before it looks for lines. Done line by line that is the same,
 * since no sequence of UTF-8 goes across a line end.
 */
static struct span decoded(struct sse_parser *p, struct span line)
{
    if (!p->began && span_starts(line, "\xef\xbb\xbf"))
        line = span_make(line.ptr + 3, line.len - 3);
    p->began = true;
    if (utf8_valid(line))
        return line;
    buf_reset(&p->repaired);
    utf8_repair(&p->repaired, line);
    return buf_view(&p->repaired);
}

static struct span without_space(struct span s)
{
    return s.len && *s.ptr == ' ' ? span_make(s.ptr + 1, s.len - 1) : s;
}

static void on_line(struct sse_parser *p, struct span bytes)
{
    struct span line = decoded(p, bytes);
    if (line.len == 0) {
        on_blank_line(p);
        return;
    }
    const char *colon = memchr(line.ptr, ':', line.len);
    size_t name_len = colon ? (size_t)(colon - line.ptr) : line.len;
    struct span value = {0};
    if (colon)
        value = without_space(span_make(colon + 1, line.len - name_len - 1));
    if (name_len)
        on_field(p, span_make(line.ptr, name_len), value);
    else if (p->handler.on_comment)
        p->handler.on_comment(p->handler.ctx, value);
}

/* How many bytes stand before the next line end; all of them when there is none. */
static size_t line_length(struct span s)
{
    size_t len = 0;
    while (len < s.len && s.ptr[len] != '\n' && s.ptr[len] != '\r')
        len++;
    return len;
}

/* The line that the `len` bytes here end: they alone, or what came before them too. */
static void end_line(struct sse_parser *p, const char *bytes, size_t len)
{
    if (p->partial.len == 0) {
        on_line(p, span_make(bytes, len));
        return;
    }
    buf_append(&p->partial, bytes, len);
    on_line(p, buf_view(&p->partial));
    buf_reset(&p->partial);
}

/* Takes what there is of one line, with its end if that is there; returns how many bytes that was.
 */
static size_t take_line(struct sse_parser *p, struct span s)
{
    size_t len = line_length(s);
    if (len > p->max_event_bytes - p->partial.len) {
        p->err = ERR_TOO_LARGE;
        return len;
    }
    if (len == s.len) {
        buf_span(&p->partial, s);
        return len;
    }
    p->skip_lf = s.ptr[len] == '\r';
    end_line(p, s.ptr, len);
    return len + 1;
}

int sse_parser_feed(struct sse_parser *p, struct span s)
{
    while (s.len && !p->err) {
        size_t used = p->skip_lf && *s.ptr == '\n' ? 1 : 0;
        p->skip_lf = false;
        if (!used)
            used = take_line(p, s);
        s = span_make(s.ptr + used, s.len - used);
    }
    return p->err;
}

void sse_parser_restart(struct sse_parser *p)
{
    buf_reset(&p->partial);
    buf_reset(&p->event);
    buf_reset(&p->data);
    set(&p->id, buf_view(&p->last_id));
    p->has_data = p->began = p->skip_lf = false;
    p->err = 0;
}

struct span sse_parser_last_id(const struct sse_parser *p)
{
    return buf_view(&p->last_id);
}
