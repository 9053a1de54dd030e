#include "proto/publish_body.h"

#include "base/mem.h"
#include "proto/json_body.h"
#include "proto/sse.h"
#include "proto/utf8.h"

enum { MOST_KEY = 200 }; /* bytes */

struct parse {
    struct json_body body;
    struct publish_batch batch;
    size_t capacity; /* of batch.items */
    size_t max_items;
};

/* The message at hand, as far as it has been read. */
struct draft {
    size_t first; /* its channels are the items from here on */
    bool has_channel, has_event, has_data, has_key;
    struct span event, data, key;
};

/*
 * Keeps one decoded value. The text was reserved whole at the start, and a decoded string or a
 * compact value is never longer than what it is read from, so these spans stay where they are.
 */
static struct span keep_string(struct parse *p)
{
    size_t from = p->batch.text.len;
    json_read_string(&p->body.json, &p->batch.text);
    return span_make(p->batch.text.data + from, p->batch.text.len - from);
}

static struct span keep_value(struct parse *p)
{
    size_t from = p->batch.text.len;
    if (json_read_peek(&p->body.json) == JSON_STRING)
        return keep_string(p);
    json_read_value(&p->body.json, &p->batch.text);
    return span_make(p->batch.text.data + from, p->batch.text.len - from);
}

static void add_item(struct parse *p, struct span channel)
{
    struct publish_batch *b = &p->batch;
    if (!json_body_ok(&p->body))
        return;
    if (b->count == p->max_items) {
        json_body_too_many(&p->body, p->max_items, "messages");
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
    enum json_kind kind = json_read_peek(&p->body.json);
    if (kind == JSON_STRING) {
        add_item(p, keep_string(p));
        return;
    }
    p->batch.single = false;
    if (kind != JSON_ARRAY) {
        json_body_refuse(&p->body, name, expected);
        return;
    }
    json_read_enter(&p->body.json);
    while (!p->body.err && json_read_element(&p->body.json)) {
        if (json_read_peek(&p->body.json) == JSON_STRING)
            add_item(p, keep_string(p));
        else
            json_body_refuse(&p->body, name, expected);
    }
    if (json_body_ok(&p->body) && p->batch.count == d->first)
        json_body_complain(&p->body, name, "expected at least one channel");
}

/* A string, or null, which is as if the member were not there: then ptr stays NULL. */
static struct span read_string_or_null(struct parse *p, struct span name)
{
    enum json_kind kind = json_read_peek(&p->body.json);
    if (kind == JSON_STRING)
        return keep_string(p);
    if (kind == JSON_NULL)
        json_read_value(&p->body.json, NULL);
    else
        json_body_refuse(&p->body, name, "expected a string");
    return (struct span){0};
}

static void read_event(struct parse *p, struct draft *d, struct span name)
{
    struct span event = read_string_or_null(p, name);
    const char *wrong = sse_event_error(event);
    if (wrong && json_body_ok(&p->body))
        json_body_complain(&p->body, name, wrong);
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
    if (wrong && json_body_ok(&p->body))
        json_body_complain(&p->body, name, wrong);
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
        if (json_body_first(&p->body, name, seen))
            members[i].read(p, d, name);
        return;
    }
    json_body_complain(&p->body, name, "unknown member");
}

/* Gives the channels of this message what was read before and after them. */
static void finish_message(struct parse *p, const struct draft *d)
{
    if (!d->has_channel)
        json_body_complain(&p->body, span_of("channel"), "missing");
    else if (!d->has_data)
        json_body_complain(&p->body, span_of("data"), "missing");
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
    if (!json_body_enter(&p->body, (struct span){0}))
        return;
    while (json_body_member(&p->body, &name))
        read_member(p, &d, buf_view(&name));
    if (json_body_ok(&p->body))
        finish_message(p, &d);
    buf_free(&name);
}

static void read_messages(struct parse *p)
{
    struct json_body *b = &p->body;
    json_read_enter(&b->json);
    for (b->index = 0; !b->err && json_read_element(&b->json); b->index++)
        read_message(p);
    b->index = JSON_BODY_WHOLE;
}

static void read_body(struct parse *p)
{
    struct json_body *b = &p->body;
    enum json_kind kind = json_read_peek(&b->json);
    p->batch.single = kind == JSON_OBJECT;
    if (kind == JSON_OBJECT)
        read_message(p);
    else if (kind == JSON_ARRAY)
        read_messages(p);
    else
        json_body_refuse(b, span_of("body"), "expected an object or an array of objects");
    if (json_body_end(b) && p->batch.count == 0)
        json_body_complain(b, span_of("body"), "expected at least one message");
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
    struct parse p = {.max_items = max_items};
    json_body_begin(&p.body, body, why, why_size);
    buf_reserve(&p.batch.text, body.len + 1);
    read_body(&p);
    if (p.body.err)
        publish_batch_free(&p.batch);
    else
        *out = p.batch;
    return p.body.err;
}

void publish_batch_free(struct publish_batch *b)
{
    mem_free(b->items);
    buf_free(&b->text);
    *b = (struct publish_batch){0};
}
