#include "proto/invalidation.h"

#include "proto/json_body.h"
#include "proto/json_text.h"
#include "proto/utf8.h"

#include <stdio.h>

struct parse {
    struct json_body body;
    struct invalidation inv;
    bool seen[INVALIDATION_LISTS], seen_origin;
    struct buf text; /* owned: the string at hand, decoded */
};

static const char *const list_names[] = {
    [INVALIDATION_KEYS] = "keys",
    [INVALIDATION_TAGS] = "tags",
    [INVALIDATION_PATHS] = "paths",
    [INVALIDATION_PATTERNS] = "patterns",
};

const char *invalidation_list_name(enum invalidation_list list)
{
    return list_names[list];
}

/* Of valid UTF-8: U+0080..U+009F are C2 80..C2 9F. */
static bool has_control(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c < 0x20 || c == 0x7f)
            return true;
        if (c == 0xc2 && i + 1 < s.len && (unsigned char)s.ptr[i + 1] < 0xa0)
            return true;
    }
    return false;
}

const char *invalidation_name_error(enum invalidation_list list, struct span name)
{
    if (name.len == 0)
        return "is empty";
    if (name.len > INVALIDATION_NAME_BYTES)
        return "is longer than 1024 bytes";
    if (!utf8_valid(name))
        return "is not valid UTF-8";
    if (has_control(name))
        return "has a control character";
    if (list == INVALIDATION_KEYS && span_starts(name, "sluice:"))
        return "begins with sluice:, as the gateways' own keys do";
    return NULL;
}

static bool is_peer_byte(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '_' || c == '-';
}

const char *peer_name_error(struct span name)
{
    if (name.len == 0)
        return "is empty";
    if (name.len > INVALIDATION_PEER_BYTES)
        return "is longer than 64 bytes";
    for (size_t i = 0; i < name.len; i++)
        if (!is_peer_byte(name.ptr[i]))
            return "has something else than a-z A-Z 0-9 . _ -";
    return span_is(name, "-") ? "is - alone" : NULL;
}

const char *invalidation_add(struct invalidation *inv, enum invalidation_list list,
                             struct span name)
{
    struct buf *names = &inv->lists[list];
    const char *wrong = invalidation_name_error(list, name);
    if (wrong)
        return wrong;
    if (names->len)
        buf_byte(names, ',');
    json_text_string(names, name);
    inv->count++;
    return NULL;
}

static void read_name(struct parse *p, enum invalidation_list list, size_t index)
{
    char place[32];
    snprintf(place, sizeof(place), "%s[%zu]", list_names[list], index);
    if (!json_body_string(&p->body, span_of(place), &p->text))
        return;
    if (p->inv.count == INVALIDATION_NAMES) {
        json_body_too_many(&p->body, INVALIDATION_NAMES, "names");
        return;
    }
    const char *wrong = invalidation_add(&p->inv, list, buf_view(&p->text));
    if (wrong)
        json_body_complain(&p->body, span_of(place), wrong);
}

static void read_list(struct parse *p, enum invalidation_list list)
{
    if (json_read_peek(&p->body.json) != JSON_ARRAY) {
        json_body_refuse(&p->body, span_of(list_names[list]), "expected an array of strings");
        return;
    }
    json_read_enter(&p->body.json);
    for (size_t i = 0; !p->body.err && json_read_element(&p->body.json); i++)
        read_name(p, list, i);
    (void)json_body_ok(&p->body);
}

static void read_origin(struct parse *p)
{
    struct span place = span_of("origin");
    if (json_read_peek(&p->body.json) == JSON_NULL) {
        json_read_value(&p->body.json, NULL);
        return;
    }
    if (!json_body_string(&p->body, place, &p->text))
        return;
    const char *wrong = peer_name_error(buf_view(&p->text));
    if (wrong)
        json_body_complain(&p->body, place, wrong);
    else
        snprintf(p->inv.origin, sizeof(p->inv.origin), "%s", buf_cstr(&p->text));
}

static void read_member(struct parse *p, struct span name)
{
    for (enum invalidation_list list = 0; list < INVALIDATION_LISTS; list++) {
        if (!span_is(name, list_names[list]))
            continue;
        if (json_body_first(&p->body, name, &p->seen[list]))
            read_list(p, list);
        return;
    }
    if (!span_is(name, "origin"))
        json_body_complain(&p->body, name, "unknown member");
    else if (json_body_first(&p->body, name, &p->seen_origin))
        read_origin(p);
}

static void read_body(struct parse *p)
{
    struct buf name = {0};
    if (!json_body_enter(&p->body, span_of("body")))
        return;
    while (json_body_member(&p->body, &name))
        read_member(p, buf_view(&name));
    if (json_body_end(&p->body) && p->inv.count == 0)
        json_body_complain(&p->body, span_of("body"), "names nothing");
    buf_free(&name);
}

int invalidation_parse(struct span body, struct invalidation *out, char *why, size_t why_size)
{
    struct parse p = {0};
    json_body_begin(&p.body, body, why, why_size);
    read_body(&p);
    if (p.body.err)
        invalidation_free(&p.inv);
    else
        *out = p.inv;
    buf_free(&p.text);
    return p.body.err;
}

void invalidation_free(struct invalidation *inv)
{
    for (enum invalidation_list list = 0; list < INVALIDATION_LISTS; list++)
        buf_free(&inv->lists[list]);
    *inv = (struct invalidation){0};
}

void invalidation_write(const struct invalidation *inv, const char *cause, struct buf *out)
{
    for (enum invalidation_list list = 0; list < INVALIDATION_LISTS; list++) {
        buf_printf(out, "%s\"%s\":[", list ? "," : "{", list_names[list]);
        buf_span(out, buf_view(&inv->lists[list]));
        buf_byte(out, ']');
    }
    buf_str(out, ",\"origin\":");
    json_text_string(out, span_of(inv->origin));
    buf_str(out, ",\"cause\":");
    json_text_string(out, span_of(cause));
    buf_byte(out, '}');
}

bool invalidation_origin(struct span event, char out[INVALIDATION_PEER_BYTES + 1])
{
    struct json_reader r;
    struct buf text = {0};
    bool found = false;
    out[0] = '\0';
    json_read_begin(&r, event);
    json_read_enter(&r);
    while (!found && json_read_member(&r, &text)) {
        found = span_is(buf_view(&text), "origin") && json_read_peek(&r) == JSON_STRING;
        if (!found)
            json_read_value(&r, NULL);
    }
    if (found) {
        buf_reset(&text);
        json_read_string(&r, &text);
        found = !r.error && !peer_name_error(buf_view(&text));
    }
    if (found)
        snprintf(out, INVALIDATION_PEER_BYTES + 1, "%s", buf_cstr(&text));
    buf_free(&text);
    return found;
}
