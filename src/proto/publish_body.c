#include "proto/publish_body.h"

#include "base/err.h"
#include "base/mem.h"
#include "proto/json_read.h"
#include "proto/sse.h"
#include "proto/utf8.h"

#include <stdio.h>

#define NO_INDEX SIZE_MAX

enum { MOST_KEY = 200 }; /* bytes */

/* One parse. The first thing that is wrong is told; after it nothing more is read. */
struct parse {
    struct json_reader json;
    struct publish_batch batch;
    size_t capacity; /* of batch.items */
    size_t max_items;
    size_t index; /* of the message at hand, NO_INDEX for a body that is one object */
    int err;
    char *why; /* borrowed */
    size_t why_size;
};

/* The message at hand, as far as it has been read. */
struct draft {
    size_t first; /* its channels are the items from here on */
    bool has_channel, has_event, has_data, has_key;
    struct span event, data, key;
};

/* `path: what`; a member's name may be any string, so it is cut to what is useful. */
static void complain(struct parse *p, struct span member, const char *what)
{
    char path[32] = "";
    if (p->err)
        return;
    p->err = ERR_INVALID;
    if (p->index != NO_INDEX)
        snprintf(path, sizeof path, "[%zu]", p->index);
    int len = member.len > 64 ? 64 : (int)member.len;
    snprintf(p->why, p->why_size, "%s%s%.*s: %s", path, *path && member.len ? "." : "", len,
             member.len ? member.ptr : "", what);
}

static bool is_ok(struct parse *p)
{
    if (p->json.error && !p->err) {
        p->err = ERR_INVALID;
        snprintf(p->why, p->why_size, "body is not JSON: %s at byte %zu", p->json.error,
                 p->json.error_at);
    }
    return !p->err;
}

/* A value that is of no use here. It is read all the same: that the body is no JSON goes first. */
static void refuse_value(struct parse *p, struct span member, const char *expected)
{
    json_read_value(&p->json, NULL);
    if (is_ok(p))
        complain(p, member, expected);
}

/*
 * Keeps one decoded value. The text was reserved whole at the start, and a decoded string or a
 * compact value is never longer than what it is read from, so these spans stay where they are.
 */
static struct span keep_string(struct parse *p)
{
    size_t from = p->batch.text.len;
    json_read_string(&p->json, &p->batch.text);
    return span_make(p->batch.text.data + from, p->batch.text.len - from);
}

static struct span keep_value(struct parse *p)
{
    size_t from = p->batch.text.len;
    if (json_read_peek(&p->json) == JSON_STRING)
        return keep_string(p);
    json_read_value(&p->json, &p->batch.text);
    return span_make(p->batch.text.data + from, p->batch.text.len - from);
}

static void add_item(struct parse *p, struct span channel)
{
    struct publish_batch *b = &p->batch;
    if (!is_ok(p))
        return;
    if (b->count == p->max_items) {
        p->err = ERR_TOO_LARGE;
        snprintf(p->why, p->why_size, "body: more than %zu messages", p->max_items);
        return;
    }
    if (b->count == p->capacity) {
        p->capacity = p->capacity ? p->capacity * 2 : 4;
        b->items = mem_realloc(b->items, p->capacity * sizeof *b->items);
    }
    b->items[b->count++] = (struct publish_item){.channel = channel};
}

static void read_channel(struct parse *p, struct draft *d, struct span name)
{
    static const char expected[] = "expected a string or an array of strings";
    enum json_kind kind = json_read_peek(&p->json);
    if (kind == JSON_STRING) {
        add_item(p, keep_string(p));
        return;
    }
    p->batch.single = false;
    if (kind != JSON_ARRAY) {
        refuse_value(p, name, expected);
        return;
    }
    json_read_enter(&p->json);
    while (!p->err && json_read_element(&p->json)) {
        if (json_read_peek(&p->json) == JSON_STRING)
            add_item(p, keep_string(p));
        else
            refuse_value(p, name, expected);
    }
    if (is_ok(p) && p->batch.count == d->first)
        complain(p, name, "expected at least one channel");
}

/* A string, or null, which is as if the member were not there: then ptr stays NULL. */
static struct span read_string_or_null(struct parse *p, struct span name)
{
    enum json_kind kind = json_read_peek(&p->json);
    if (kind == JSON_STRING)
        return keep_string(p);
    if (kind == JSON_NULL)
        json_read_value(&p->json, NULL);
    else
        refuse_value(p, name, "expected a string");
    return (struct span){0};
}

static void read_event(struct parse *p, struct draft *d, struct span name)
{
    struct span event = read_string_or_null(p, name);
    const char *wrong = sse_event_error(event);
    if (wrong && is_ok(p))
        complain(p, name, wrong);
    if (event.len)
        d->event = event;
}

static void read_data(struct parse *p, struct draft *d, struct span name)
{
    d->data = keep_value(p);
}

static void read_key(struct parse *p, struct draft *d, struct span name)
{
    d->key = read_string_or_null(p, name);
    const char *wrong = d->key.ptr ? publish_key_error(d->key) : NULL;
    if (wrong && is_ok(p))
        complain(p, name, wrong);
}

static const struct member {
    const char *name;
    size_t seen; /* where in the draft */
    void (*read)(struct parse *p, struct draft *d, struct span name);
} members[] = {
    {"channel", offsetof(struct draft, has_channel), read_channel},
    {"event", offsetof(struct draft, has_event), read_event},
    {"data", offsetof(struct draft, has_data), read_data},
    {"key", offsetof(struct draft, has_key), read_key},
};

static void read_member(struct parse *p, struct draft *d, struct span name)
{
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        bool *seen = (bool *)(void *)((char *)d + members[i].seen);
        if (!span_is(name, members[i].name))
            continue;
        if (*seen)
            complain(p, name, "given twice");
        else
            members[i].read(p, d, name);
        *seen = true;
        return;
    }
    complain(p, name, "unknown member");
}

/* Gives the channels of this message what was read before and after them. */
static void finish_message(struct parse *p, const struct draft *d)
{
    if (!d->has_channel)
        complain(p, span_of("channel"), "missing");
    else if (!d->has_data)
        complain(p, span_of("data"), "missing");
    for (size_t i = d->first; i < p->batch.count; i++) {
        p->batch.items[i].event = d->event;
        p->batch.items[i].data = d->data;
        p->batch.items[i].key = d->key;
    }
}

static void read_message(struct parse *p)
{
    struct draft d = {.first = p->batch.count};
    struct buf name = {0};
    if (json_read_peek(&p->json) != JSON_OBJECT) {
        refuse_value(p, (struct span){0}, "expected an object");
        return;
    }
    json_read_enter(&p->json);
    while (!p->err && json_read_member(&p->json, &name))
        read_member(p, &d, buf_view(&name));
    if (is_ok(p))
        finish_message(p, &d);
    buf_free(&name);
}

static void read_body(struct parse *p)
{
    enum json_kind kind = json_read_peek(&p->json);
    if (kind == JSON_OBJECT) {
        p->batch.single = true;
        read_message(p);
    } else if (kind == JSON_ARRAY) {
        p->index = 0;
        json_read_enter(&p->json);
        for (; !p->err && json_read_element(&p->json); p->index++)
            read_message(p);
        p->index = NO_INDEX;
    } else {
        refuse_value(p, span_of("body"), "expected an object or an array of objects");
    }
    if (p->err)
        return;
    json_read_end(&p->json);
    if (is_ok(p) && p->batch.count == 0)
        complain(p, span_of("body"), "expected at least one message");
}

const char *publish_key_error(struct span s)
{
    if (s.len == 0)
        return "is empty";
    if (s.len > MOST_KEY)
        return "is longer than 200 bytes";
    if (!utf8_valid(s))
        return "is not valid UTF-8";
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
            return "has a control character";
    return NULL;
}

int publish_body_parse(struct span body, size_t max_items, struct publish_batch *out, char *why,
                       size_t why_size)
{
    struct parse p = {.max_items = max_items, .index = NO_INDEX, .why = why, .why_size = why_size};
    json_read_begin(&p.json, body);
    buf_reserve(&p.batch.text, body.len + 1);
    read_body(&p);
    if (p.err)
        publish_batch_free(&p.batch);
    else
        *out = p.batch;
    return p.err;
}

void publish_batch_free(struct publish_batch *b)
{
    mem_free(b->items);
    buf_free(&b->text);
    *b = (struct publish_batch){0};
}
