/* One connection of HTTP/2: its beginning, its writing, its end. */
#include "http/h2_private.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>

enum {
    IDLE_SECONDS = 75,   /* without a request */
    ENDING_SECONDS = 10, /* to take our GOAWAY */
    STUCK_SECONDS = 60,  /* the socket takes nothing, with something to be written */
    WINDOW_BYTES = 256 * 1024,
    CONNECTION_WINDOW_BYTES = 1024 * 1024,
    SLICE = 4096,      /* of input, between two looks at what it did */
    ACKS_MOST = 200,   /* answers to pings and settings that wait to be written */
    QUEUE_MOST = 1000, /* frames but data that do */
};

struct h2_common *h2_common_create(void)
{
    struct h2_common *common = mem_zalloc(sizeof(*common));
    list_init(&common->dirty);
    if (nghttp2_session_callbacks_new(&common->callbacks) != 0 ||
        nghttp2_option_new(&common->option) != 0)
        abort();
    h2_set_request_callbacks(common->callbacks);
    h2_set_answer_callbacks(common->callbacks);
    nghttp2_option_set_no_closed_streams(common->option, 1);
    nghttp2_option_set_max_outbound_ack(common->option, ACKS_MOST);
    /* Resets are judged by our own allowance, with all else that asks for nothing. */
    nghttp2_option_set_stream_reset_rate_limit(common->option, UINT32_MAX, UINT32_MAX);
    return common;
}

void h2_common_destroy(struct h2_common **common)
{
    if (!*common)
        return;
    nghttp2_session_callbacks_del((*common)->callbacks);
    nghttp2_option_del((*common)->option);
    mem_free(*common);
    *common = NULL;
}

int h2_preface(struct span bytes)
{
    size_t n = bytes.len < NGHTTP2_CLIENT_MAGIC_LEN ? bytes.len : NGHTTP2_CLIENT_MAGIC_LEN;
    if (memcmp(bytes.ptr, NGHTTP2_CLIENT_MAGIC, n) != 0)
        return 0;
    return n == NGHTTP2_CLIENT_MAGIC_LEN ? 1 : -1;
}

struct conn *h2_part(nghttp2_session *session, int32_t id)
{
    return id ? nghttp2_session_get_stream_user_data(session, id) : NULL;
}

void h2_mark(struct h2 *h2)
{
    if (!list_linked(&h2->dirty))
        list_append(&h2_common_of(h2)->dirty, &h2->dirty);
}

static int say_hello(nghttp2_session *session)
{
    static const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, HTTP2_STREAMS},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, CONN_HEAD_BYTES},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    int err = nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings,
                                      sizeof(settings) / sizeof(settings[0]));
    return err ? err
               : nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0,
                                                       CONNECTION_WINDOW_BYTES);
}

bool h2_start(struct conn *root)
{
    struct worker *w = root->worker;
    struct h2 *h2 = mem_zalloc(sizeof(*h2));
    h2->root = root;
    list_init(&h2->parts);
    root->h2 = h2;
    root->state = CONN_SESSION;
    metrics_set(&w->metrics->http2, metrics_get(&w->metrics->http2) + 1);
    if (nghttp2_session_server_new2(&h2->session, w->h2->callbacks, h2, w->h2->option) != 0 ||
        say_hello(h2->session) != 0) {
        conn_kill(root);
        return false;
    }
    h2_mark(h2);
    return true;
}

void h2_destroy(struct h2 **ph2)
{
    struct h2 *h2 = *ph2;
    if (!h2)
        return;
    struct worker *w = h2->root->worker;
    for (struct list *n; (n = list_first(&h2->parts));) {
        struct conn *c = LIST_ENTRY(n, struct conn, sibling);
        list_remove(n);
        c->h2 = NULL;
        conn_kill(c);
    }
    list_remove(&h2->dirty);
    nghttp2_session_del(h2->session);
    metrics_set(&w->metrics->http2, metrics_get(&w->metrics->http2) - 1);
    http2_head_free(&h2->head);
    buf_free(&h2->left);
    mem_free(h2);
    *ph2 = NULL;
}

/* Reading */

/* GOAWAY with this code, once; nothing is read any more. */
static void say_goodbye(struct h2 *h2, uint32_t code)
{
    if (h2->ending)
        return;
    h2->ending = true;
    nghttp2_session_terminate_session(h2->session, code);
    wheel_set(&h2->root->worker->wheel, &h2->root->deadline, ENDING_SECONDS);
    h2_mark(h2);
}

void h2_calm(struct h2 *h2)
{
    if (!h2->ending)
        metrics_add(&h2->root->worker->metrics->http2_floods, 1);
    say_goodbye(h2, NGHTTP2_ENHANCE_YOUR_CALM);
}

void h2_end(struct h2 *h2)
{
    say_goodbye(h2, NGHTTP2_NO_ERROR);
}

/* In slices: between two of them it is seen whether the peer has gone too far. */
void h2_input(struct h2 *h2, struct span bytes)
{
    h2->busy = true;
    while (bytes.len > 0 && !h2->ending) {
        size_t n = bytes.len < SLICE ? bytes.len : SLICE;
        ssize_t err = nghttp2_session_mem_recv(h2->session, (const uint8_t *)bytes.ptr, n);
        if (err == NGHTTP2_ERR_FLOODED ||
            nghttp2_session_get_outbound_queue_size(h2->session) > QUEUE_MOST)
            h2_calm(h2);
        if (err < 0 && !h2->ending) {
            metrics_add(&h2->root->worker->metrics->malformed, 1);
            say_goodbye(h2, NGHTTP2_PROTOCOL_ERROR);
        }
        bytes = span_make(bytes.ptr + n, bytes.len - n);
    }
    h2->busy = false;
    h2_mark(h2);
}

void h2_due(struct h2 *h2)
{
    if (h2->ending || h2->left.len)
        conn_kill(h2->root);
    else if (!h2->open)
        h2_end(h2);
}

void h2_stalled(struct conn *part)
{
    metrics_add(&part->worker->metrics->timeouts, 1);
    h2_end(part->h2);
}

/* Parts that are streams end in their own time; new requests are told that it drains, until the
 * peer has read that there should be none. */
void h2_drain(struct h2 *h2)
{
    h2->draining = true;
    if (!h2->open && h2->root->served)
        h2_end(h2);
    else
        nghttp2_submit_shutdown_notice(h2->session);
    h2_mark(h2);
}

/* Parts */

void h2_touch(struct conn *part)
{
    if (!part->h2 || part->closed)
        return;
    nghttp2_session_resume_data(part->h2->session, part->stream_id); /* if it was deferred */
    h2_mark(part->h2);
}

/* The socket counts for one of them: when that one goes, for another. */
static void pass_place_on(struct h2 *h2)
{
    LIST_FOREACH (n, &h2->parts) {
        struct conn *other = LIST_ENTRY(n, struct conn, sibling);
        if (conn_inherit_place(other))
            return;
    }
}

void h2_leave(struct conn *part)
{
    struct h2 *h2 = part->h2;
    if (!h2)
        return;
    list_remove(&part->sibling);
    if (!part->closed) {
        nghttp2_session_set_stream_user_data(h2->session, part->stream_id, NULL);
        nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, part->stream_id, NGHTTP2_CANCEL);
    }
    if (!part->in_all)
        pass_place_on(h2);
    h2_mark(h2);
    if (--h2->open > 0 || h2->ending || h2->left.len)
        return;
    if (h2->draining || conn_too_many(h2->root))
        h2_end(h2);
    else
        wheel_set(&part->worker->wheel, &h2->root->deadline, IDLE_SECONDS);
}

/* Writing */

/* Puts the next frames together; false when there is nothing to write. */
static bool gather(struct h2 *h2)
{
    struct h2_common *common = h2_common_of(h2);
    common->gathered = 0;
    common->full = false;
    while (common->gathered <= H2_GATHER && !common->full) {
        const uint8_t *bytes = NULL;
        ssize_t n = nghttp2_session_mem_send(h2->session, &bytes);
        if (n < 0)
            conn_kill(h2->root);
        if (n <= 0)
            break;
        memcpy(common->gather + common->gathered, bytes, (size_t)n);
        common->gathered += (size_t)n;
    }
    return common->gathered > 0;
}

/* What the socket takes of it; the rest is kept. */
static void write_out(struct h2 *h2, const char *bytes, size_t len)
{
    struct conn *root = h2->root;
    ssize_t sent = socket_send(&root->socket, bytes, len);
    if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        conn_kill(root);
        return;
    }
    size_t done = sent > 0 ? (size_t)sent : 0;
    metrics_add(&root->worker->metrics->sent_bytes, done);
    if (done == len)
        return;
    buf_append(&h2->left, bytes + done, len - done);
    socket_want_write(&root->socket);
    wheel_set(&root->worker->wheel, &root->deadline, STUCK_SECONDS);
}

static void write_left(struct h2 *h2)
{
    struct buf left = h2->left;
    h2->left = (struct buf){0};
    write_out(h2, left.data, left.len);
    buf_free(&left);
    if (h2->left.len || h2->root->state == CONN_DEAD)
        return;
    struct wheel *wheel = &h2->root->worker->wheel;
    if (h2->ending || !h2->open)
        wheel_set(wheel, &h2->root->deadline, h2->ending ? ENDING_SECONDS : IDLE_SECONDS);
    else
        wheel_clear(wheel, &h2->root->deadline);
}

/* All is said, by both or by us: what is still open has no way to its client. */
static void finish(struct h2 *h2)
{
    LIST_FOREACH (n, &h2->parts) {
        conn_kill(LIST_ENTRY(n, struct conn, sibling));
    }
    conn_linger(h2->root);
}

/* What is still queued waits for its client's window, or for the socket. */
static void note_blocked(struct h2 *h2)
{
    LIST_FOREACH (n, &h2->parts) {
        struct conn *c = LIST_ENTRY(n, struct conn, sibling);
        c->blocked = !h2->yielded && !outq_empty(&c->out);
    }
}

static bool is_bulk(const struct h2 *h2)
{
    uint64_t waiting = 0;
    LIST_FOREACH (n, &h2->parts) {
        waiting += outq_waiting(&LIST_ENTRY(n, struct conn, sibling)->out);
    }
    return waiting > CONN_BULK_FROM;
}

/* Gathers and writes until there is nothing more, the socket is full or a slice written. */
static void write_slice(struct h2 *h2, bool must)
{
    struct conn *root = h2->root;
    size_t slice = 0, gathered;
    h2->yielded = !must && !h2->left.len && root->worker->bulk_left <= 0 && is_bulk(h2);
    while (!h2->left.len && root->state == CONN_SESSION && !h2->yielded && gather(h2)) {
        gathered = h2_common_of(h2)->gathered;
        slice += gathered;
        root->worker->bulk_left -= (int64_t)gathered;
        write_out(h2, h2_common_of(h2)->gather, gathered);
        h2->yielded = !must && slice >= CONN_SLICE && !h2->left.len;
    }
}

static void write_parts(struct h2 *h2, bool must)
{
    struct conn *root = h2->root;
    if (h2->busy || root->state != CONN_SESSION || root->socket.writing)
        return;
    h2->busy = true;
    if (h2->left.len)
        write_left(h2);
    write_slice(h2, must);
    note_blocked(h2);
    h2->busy = false;
    if (h2->left.len || root->state != CONN_SESSION)
        return;
    if (h2->yielded)
        conn_yield(root);
    else if (!nghttp2_session_want_read(h2->session) && !nghttp2_session_want_write(h2->session))
        finish(h2);
}

void h2_flush(struct h2 *h2)
{
    write_parts(h2, false);
}

void h2_write_now(struct h2 *h2)
{
    write_parts(h2, true);
}

bool h2_flush_all(struct worker *w)
{
    bool any = false;
    for (struct list *n; (n = list_first(&w->h2->dirty)); any = true) {
        list_remove(n);
        h2_flush(LIST_ENTRY(n, struct h2, dirty));
    }
    return any;
}
