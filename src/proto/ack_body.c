#include "proto/ack_body.h"

#include "base/buf.h"
#include "base/err.h"
#include "proto/event_id.h"
#include "proto/json_body.h"

#include <stdio.h>

struct parse {
    struct json_body body;
    struct ack_body ack;
    struct buf text; /* owned: the string at hand, decoded */
    bool has_session, has_id, has_peer, has_close;
};

static bool read_string(struct parse *p, const char *place)
{
    return json_body_string(&p->body, span_of(place), &p->text);
}

static void read_session(struct parse *p)
{
    if (!read_string(p, "session"))
        return;
    const char *wrong = p->text.len > ACK_SESSION_BYTES ? "is longer than 32 bytes"
                                                        : peer_name_error(buf_view(&p->text));
    if (wrong)
        json_body_complain(&p->body, span_of("session"), wrong);
    else
        snprintf(p->ack.session, sizeof(p->ack.session), "%s", buf_cstr(&p->text));
}

static void read_peer(struct parse *p)
{
    if (!read_string(p, "peer"))
        return;
    const char *wrong = peer_name_error(buf_view(&p->text));
    if (wrong)
        json_body_complain(&p->body, span_of("peer"), wrong);
    else
        snprintf(p->ack.peer, sizeof(p->ack.peer), "%s", buf_cstr(&p->text));
}

/* One that is too large for an id is not malformed, but later than all that was delivered. */
static void read_id(struct parse *p)
{
    if (!read_string(p, "id"))
        return;
    int err = event_id_parse(buf_view(&p->text), &p->ack.id);
    if (err == ERR_TOO_LARGE)
        p->ack.id = EVENT_ID_MAX;
    else if (err)
        json_body_complain(&p->body, span_of("id"), "is not an id such as 1760000000000-123");
}

static void read_close(struct parse *p)
{
    if (json_read_peek(&p->body.json) != JSON_LITERAL) {
        json_body_refuse(&p->body, span_of("close"), "expected true or false");
        return;
    }
    buf_reset(&p->text);
    json_read_value(&p->body.json, &p->text);
    p->ack.close = json_body_ok(&p->body) && span_is(buf_view(&p->text), "true");
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
        if (json_body_first(&p->body, name, seen))
            members[i].read(p);
        return;
    }
    json_body_complain(&p->body, name, "unknown member");
}

static void check_whole(struct parse *p)
{
    struct json_body *b = &p->body;
    if (!p->has_session)
        json_body_complain(b, span_of("session"), "missing");
    else if (!p->has_id && !p->ack.close)
        json_body_complain(b, span_of("id"), "missing");
    else if (!p->has_peer && p->ack.close)
        json_body_complain(b, span_of("peer"), "missing: who closes says its name");
}

int ack_body_parse(struct span body, struct ack_body *out, char *why, size_t why_size)
{
    struct parse p = {0};
    struct buf name = {0};
    json_body_begin(&p.body, body, why, why_size);
    if (json_body_enter(&p.body, span_of("body"))) {
        while (json_body_member(&p.body, &name))
            read_member(&p, buf_view(&name));
        if (json_body_end(&p.body))
            check_whole(&p);
    }
    if (!p.body.err)
        *out = p.ack;
    buf_free(&name);
    buf_free(&p.text);
    return p.body.err;
}
