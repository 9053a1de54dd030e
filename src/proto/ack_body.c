#include "proto/ack_body.h"

#include "base/buf.h"
#include "base/err.h"
#include "proto/event_id.h"
#include "proto/json_read.h"

#include <stdio.h>

/* One parse. The first thing that is wrong is told; after it nothing more is read. */
struct parse {
    struct json_reader json;
    struct ack_body ack;
    struct buf text; /* owned: the string at hand, decoded */
    bool has_session, has_id, has_peer, has_close;
    int err;
    char *why; /* borrowed */
    size_t why_size;
};

static void complain(struct parse *p, struct span place, const char *what)
{
    if (p->err)
        return;
    p->err = ERR_INVALID;
    snprintf(p->why, p->why_size, "%.*s: %s", place.len > 64 ? 64 : (int)place.len,
             place.len ? place.ptr : "", what);
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

static void refuse_value(struct parse *p, const char *place, const char *expected)
{
    json_read_value(&p->json, NULL);
    if (is_ok(p))
        complain(p, span_of(place), expected);
}

/* False when it is no string, or the text is no JSON; then that was told. */
static bool read_string(struct parse *p, const char *place)
{
    if (json_read_peek(&p->json) != JSON_STRING) {
        refuse_value(p, place, "expected a string");
        return false;
    }
    buf_reset(&p->text);
    json_read_string(&p->json, &p->text);
    return is_ok(p);
}

static void read_session(struct parse *p)
{
    if (!read_string(p, "session"))
        return;
    const char *wrong = p->text.len > ACK_SESSION_BYTES ? "is longer than 32 bytes"
                                                        : peer_name_error(buf_view(&p->text));
    if (wrong)
        complain(p, span_of("session"), wrong);
    else
        snprintf(p->ack.session, sizeof(p->ack.session), "%s", buf_cstr(&p->text));
}

static void read_peer(struct parse *p)
{
    if (!read_string(p, "peer"))
        return;
    const char *wrong = peer_name_error(buf_view(&p->text));
    if (wrong)
        complain(p, span_of("peer"), wrong);
    else
        snprintf(p->ack.peer, sizeof(p->ack.peer), "%s", buf_cstr(&p->text));
}

static void read_id(struct parse *p)
{
    if (read_string(p, "id") && event_id_parse(buf_view(&p->text), &p->ack.id) != 0)
        complain(p, span_of("id"), "is not an id such as 1760000000000-123");
}

static void read_close(struct parse *p)
{
    if (json_read_peek(&p->json) != JSON_LITERAL) {
        refuse_value(p, "close", "expected true or false");
        return;
    }
    buf_reset(&p->text);
    json_read_value(&p->json, &p->text);
    p->ack.close = is_ok(p) && span_is(buf_view(&p->text), "true");
}

static const struct member {
    const char *name;
    size_t seen; /* where in the parse */
    void (*read)(struct parse *p);
} members[] = {
    {"session", offsetof(struct parse, has_session), read_session},
    {"id", offsetof(struct parse, has_id), read_id},
    {"peer", offsetof(struct parse, has_peer), read_peer},
    {"close", offsetof(struct parse, has_close), read_close},
};

static void read_member(struct parse *p, struct span name)
{
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        bool *seen = (bool *)(void *)((char *)p + members[i].seen);
        if (!span_is(name, members[i].name))
            continue;
        if (*seen)
            complain(p, name, "given twice");
        else
            members[i].read(p);
        *seen = true;
        return;
    }
    complain(p, name, "unknown member");
}

static void check_whole(struct parse *p)
{
    if (!p->has_session)
        complain(p, span_of("session"), "missing");
    else if (!p->has_id && !p->ack.close)
        complain(p, span_of("id"), "missing");
    else if (!p->has_peer && p->ack.close)
        complain(p, span_of("peer"), "missing: who closes says its name");
}

int ack_body_parse(struct span body, struct ack_body *out, char *why, size_t why_size)
{
    struct parse p = {.why = why, .why_size = why_size};
    struct buf name = {0};
    json_read_begin(&p.json, body);
    if (json_read_peek(&p.json) == JSON_OBJECT) {
        json_read_enter(&p.json);
        while (!p.err && json_read_member(&p.json, &name))
            read_member(&p, buf_view(&name));
        if (!p.err)
            json_read_end(&p.json);
        if (is_ok(&p))
            check_whole(&p);
    } else {
        refuse_value(&p, "body", "expected an object");
    }
    if (!p.err)
        *out = p.ack;
    buf_free(&name);
    buf_free(&p.text);
    return p.err;
}
