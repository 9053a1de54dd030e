/* From frames to requests: a part for each stream that the client opens. */
#include "base/mem.h"
#include "http/exchange.h"
#include "http/h2_private.h"

enum {
    ALLOWANCE = 500,         /* frames that ask for nothing, in one breath */
    ALLOWANCE_A_SECOND = 50, /* and regained */
    UPDATES = 2000,          /* window updates beyond those that our own data explain */
    UPDATES_A_SECOND = 200,
    MICROSECONDS = 1000 * 1000,
    REGAIN_MICROSECONDS = 100 * 1000, /* less is not looked at: fractions would be lost */
};

/* Most peers never use their allowance up, so time is looked at only when they have. */
static void regain(struct h2 *h2)
{
    struct h2_allowance *a = &h2->allowance;
    uint64_t now = worker_now_us(h2->root->worker);
    uint64_t passed = a->since_us ? now - a->since_us : UINT64_C(3600) * MICROSECONDS;
    if (passed < REGAIN_MICROSECONDS)
        return;
    uint64_t frames = a->frames + passed * ALLOWANCE_A_SECOND / MICROSECONDS;
    uint64_t updates = passed * UPDATES_A_SECOND / MICROSECONDS;
    a->frames = frames < ALLOWANCE ? (uint32_t)frames : ALLOWANCE;
    a->updates += updates < UPDATES ? updates : UPDATES;
    a->since_us = now;
}

/* A frame that asks for nothing. */
static void charge(struct h2 *h2)
{
    if (!h2->allowance.frames)
        regain(h2);
    if (h2->allowance.frames)
        h2->allowance.frames--;
    else
        h2_calm(h2);
}

static void charge_update(struct h2 *h2)
{
    if (!h2->allowance.updates)
        regain(h2);
    if (h2->allowance.updates)
        h2->allowance.updates--;
    else
        h2_calm(h2);
}

/* Each frame as it begins. Those that nghttp2 does not know it passes over, at no cost to speak of.
 */
static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *user)
{
    struct h2 *h2 = user;
    switch (hd->type) {
    case NGHTTP2_HEADERS:
        return 0; /* a request, or the end of one: it has its own limits */
    case NGHTTP2_DATA:
        if (hd->length > 0 || (hd->flags & NGHTTP2_FLAG_END_STREAM))
            return 0;
        break;
    case NGHTTP2_WINDOW_UPDATE:
        charge_update(h2);
        return 0;
    default:
        break;
    }
    charge(h2);
    return 0;
}

static bool is_request(const nghttp2_frame *frame)
{
    return frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
}

static void create_part(struct h2 *h2, int32_t id)
{
    struct conn *root = h2->root, *c = mem_zalloc(sizeof(*c));
    struct worker *w = root->worker;
    c->magic = CONN_MAGIC;
    c->worker = w;
    c->origin = root->origin;
    c->close_next = true; /* one request is all that it carries */
    c->h2 = h2;
    c->stream_id = id;
    list_append(&h2->parts, &c->sibling);
    list_append(&w->conns, &c->node);
    /* The socket counts for the first of them. */
    if (h2->open++ == 0)
        conn_inherit_limits(c, root);
    else
        conn_count(c);
    if (!h2->left.len)
        wheel_clear(&w->wheel, &root->deadline);
    wheel_set(&w->wheel, &c->deadline, w->options->request_seconds);
    nghttp2_session_set_stream_user_data(h2->session, id, c);
    /* All streams of one connection alike, whatever the client asks: one that always has something
     * to say must not silence the others. */
    nghttp2_extpri fair = {.urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY, .inc = 1};
    nghttp2_session_change_extpri_stream_priority(h2->session, id, &fair, 1);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2 *h2 = user;
    if (!is_request(frame))
        return 0;
    http2_head_free(&h2->head);
    create_part(h2, frame->hd.stream_id);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    struct h2 *h2 = user;
    if (!is_request(frame))
        return 0; /* trailers: nobody looks at them */
    struct span n = span_make((const char *)name, name_len);
    struct span v = span_make((const char *)value, value_len);
    /* The stream is reset then, and what else its headers hold is not told of. */
    return http2_head_add(&h2->head, &conn_head_limits, n, v)
               ? 0
               : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static void begin_request(struct h2 *h2, struct conn *c, bool body)
{
    struct http1_request req;
    struct http1_error error;
    struct buf text = {0};
    h2->root->served = true;
    if (http2_head_finish(&h2->head, &conn_head_limits, body, &text, &req, &error) == 0)
        conn_begin(c, buf_view(&text), &req);
    else
        conn_malformed(c, &error);
    buf_free(&text);
    http2_head_free(&h2->head);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct conn *c = h2_part(session, frame->hd.stream_id);
    if (!c || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
        return 0;
    bool last = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (is_request(frame) && c->state == CONN_HEAD)
        begin_request(user, c, !last);
    if (last)
        conn_body_done(c);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *user)
{
    struct conn *c = h2_part(session, id);
    if (c && c->state == CONN_BODY)
        exchange_data(c->exchange, span_make((const char *)data, len));
    return 0;
}

/* A frame that nghttp2 refuses by resetting its stream costs the peer little and us an answer. */
static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error,
                            void *user)
{
    struct h2 *h2 = user;
    if (error != NGHTTP2_ERR_REFUSED_STREAM)
        metrics_add(&h2->root->worker->metrics->malformed, 1);
    charge(h2);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct conn *c = h2_part(session, id);
    if (!c)
        return 0;
    c->closed = true;
    conn_kill(c);
    return 0;
}

void h2_set_request_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
}
