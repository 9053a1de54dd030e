#include "bus/webhook.h"

#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "proto/json_path.h"
#include "proto/publish_body.h"
#include "proto/template.h"

#include <stdio.h>

/* A field of the body, looked for once. */
struct value {
    enum json_kind kind;
    struct buf text; /* owned */
};

/* One webhook. The first thing that is wrong is told; after it nothing more is made. */
struct evaluation {
    struct span body;
    struct map *values; /* by path; of owned struct value */
    struct map *names;  /* that are there already, with their list's number before them; owned */
    struct invalidation inv;
    struct buf name; /* owned: the one at hand, with its list's number before it */
    int err;
    char *why; /* borrowed */
    size_t why_size;
};

/* Which template is at hand. */
struct place {
    size_t rule, index;
    enum invalidation_list list;
};

static void complain(struct evaluation *e, const struct place *at, struct span field,
                     const char *what)
{
    e->err = ERR_NOT_FOUND;
    snprintf(e->why, e->why_size, "rules[%zu].%s[%zu]: %.*s%s%s", at->rule,
             invalidation_list_name(at->list), at->index, (int)field.len,
             field.len ? field.ptr : "", field.len ? ": " : "", what);
}

static const struct value *value_of(struct evaluation *e, struct span path)
{
    struct value *v = map_get(e->values, path);
    if (!v) {
        v = mem_zalloc(sizeof(*v));
        v->kind = json_path_find(e->body, path, &v->text);
        map_put(e->values, path, v);
    }
    return v;
}

static bool is_met(struct evaluation *e, const struct webhook_rule *rule)
{
    for (size_t i = 0; i < rule->when_count; i++) {
        const struct webhook_condition *c = &rule->when[i];
        const struct value *v = value_of(e, span_of(c->field));
        if (v->kind != c->kind || !span_is(buf_view(&v->text), c->value))
            return false;
    }
    return true;
}

static const char *value_error(const struct value *v)
{
    static const char *const wrong[] = {[JSON_BAD] = "missing",
                                        [JSON_OBJECT] = "is an object, not a string or a number",
                                        [JSON_ARRAY] = "is an array, not a string or a number",
                                        [JSON_STRING] = NULL,
                                        [JSON_NUMBER] = NULL,
                                        [JSON_LITERAL] = "is no string and no number",
                                        [JSON_NULL] = "is null, not a string or a number"};
    return v->kind == JSON_STRING && v->text.len == 0 ? "is empty" : wrong[v->kind];
}

static void append_escaped(struct buf *out, struct span value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] && strchr("*?[]\\", value.ptr[i]))
            buf_byte(out, '\\');
        buf_byte(out, value.ptr[i]);
    }
}

static void fill_field(struct evaluation *e, const struct place *at, struct span path)
{
    const struct value *v = value_of(e, path);
    const char *wrong = value_error(v);
    if (wrong)
        complain(e, at, path, wrong);
    else if (at->list == INVALIDATION_PATTERNS)
        append_escaped(&e->name, buf_view(&v->text));
    else
        buf_span(&e->name, buf_view(&v->text));
}

/* Is the name at hand new? */
static bool remember(struct evaluation *e)
{
    if (map_get(e->names, buf_view(&e->name)))
        return false;
    char *copy = mem_dup(e->name.data, e->name.len);
    map_put(e->names, span_make(copy, e->name.len), copy);
    return true;
}

static void add_name(struct evaluation *e, const struct place *at)
{
    if (!remember(e))
        return;
    if (e->inv.count == INVALIDATION_NAMES) {
        e->err = ERR_TOO_LARGE;
        snprintf(e->why, e->why_size, "the rules make more than %d names", INVALIDATION_NAMES);
        return;
    }
    struct span name = span_make(e->name.data + 1, e->name.len - 1);
    const char *wrong = invalidation_add(&e->inv, at->list, name);
    char line[96];
    if (wrong) {
        snprintf(line, sizeof(line), "the name that it makes %s", wrong);
        complain(e, at, span_make(NULL, 0), line);
    }
}

static void fill(struct evaluation *e, const struct place *at, struct span text)
{
    struct template_part part;
    buf_reset(&e->name);
    buf_byte(&e->name, (char)('0' + at->list));
    while (!e->err && template_next(&text, &part)) {
        if (part.field)
            fill_field(e, at, part.text);
        else
            buf_span(&e->name, part.text);
    }
    if (!e->err)
        add_name(e, at);
}

static void apply_rule(struct evaluation *e, const struct webhook_rule *rule, size_t number)
{
    struct place at = {.rule = number};
    for (at.list = 0; at.list < INVALIDATION_LISTS; at.list++) {
        const struct webhook_list *list = &rule->lists[at.list];
        for (at.index = 0; at.index < list->count && !e->err; at.index++)
            fill(e, &at, span_of(list->templates[at.index]));
    }
}

static void check_json(struct evaluation *e)
{
    struct json_reader r;
    json_read_begin(&r, e->body);
    json_read_value(&r, NULL);
    json_read_end(&r);
    if (!r.error)
        return;
    e->err = ERR_INVALID;
    snprintf(e->why, e->why_size, "body is not JSON: %s at byte %zu", r.error, r.error_at);
}

static void evaluation_end(struct evaluation *e)
{
    size_t cursor = 0;
    for (struct value *v; (v = map_next(e->values, &cursor)) != NULL;) {
        buf_free(&v->text);
        mem_free(v);
    }
    cursor = 0;
    for (char *name; (name = map_next(e->names, &cursor)) != NULL;)
        mem_free(name);
    map_destroy(&e->values);
    map_destroy(&e->names);
    buf_free(&e->name);
}

int webhook_evaluate(const struct webhook_rule *rules, size_t count, struct span body,
                     struct invalidation *out, char *why, size_t why_size)
{
    struct evaluation e = {.body = body,
                           .values = map_create(),
                           .names = map_create(),
                           .why = why,
                           .why_size = why_size};
    check_json(&e);
    for (size_t i = 0; i < count && !e.err; i++)
        if (is_met(&e, &rules[i]))
            apply_rule(&e, &rules[i], i);
    if (e.err)
        invalidation_free(&e.inv);
    else
        *out = e.inv;
    evaluation_end(&e);
    return e.err;
}

int webhook_delivery_key(const struct webhook_delivery *delivery, const char *name,
                         struct span header, struct span body, struct buf *key, char *why,
                         size_t why_size)
{
    const char *where = delivery->header[0] ? delivery->header : delivery->field;
    struct value v = {0};
    const char *wrong = NULL;
    if (!where[0])
        return 0;
    if (!delivery->header[0]) {
        v.kind = json_path_find(body, span_of(where), &v.text);
        wrong = value_error(&v);
        header = buf_view(&v.text);
    } else if (!header.ptr) {
        wrong = "missing";
    }
    if (!wrong)
        wrong = publish_key_error(header);
    if (wrong)
        snprintf(why, why_size, "delivery: %s: %s", where, wrong);
    else
        buf_printf(key, "webhook:%s:%.*s", name, (int)header.len, header.ptr);
    buf_free(&v.text);
    return wrong ? ERR_NOT_FOUND : 0;
}
