/* From answers to frames: heads, and data straight from the parts' queues. */
#include "http/h2_private.h"
#include "http/stream.h"

#include <ctype.h>

enum { HEADERS_MOST = 24 };

/* What explains a client's window updates: some send two for each frame of data, for the stream and
 * for the connection. */
enum { UPDATES_A_FRAME = 4 };

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *out, size_t len,
                       uint32_t *flags, nghttp2_data_source *source, void *user)
{
    const struct conn *c = h2_part(session, id);
    if (!c)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    uint64_t waiting = outq_waiting(&c->out);
    bool last = c->state == CONN_ENDING && waiting <= len;
    if (!waiting && !last)
        return NGHTTP2_ERR_DEFERRED;
    *flags = NGHTTP2_DATA_FLAG_NO_COPY | (last ? (uint32_t)NGHTTP2_DATA_FLAG_EOF : 0);
    return (ssize_t)(waiting < len ? waiting : len);
}

static void gather(struct h2_common *common, const void *bytes, size_t len)
{
    memcpy(common->gather + common->gathered, bytes, len);
    common->gathered += len;
}

static void gather_queue(struct h2_common *common, struct conn *c, size_t len)
{
    struct iovec iov[64];
    while (len > 0) {
        int n = outq_vector(&c->out, iov, 64);
        size_t part = 0;
        for (int i = 0; i < n && part < len; i++) {
            size_t more = iov[i].iov_len < len - part ? iov[i].iov_len : len - part;
            gather(common, iov[i].iov_base, more);
            part += more;
        }
        metrics_add(&c->worker->metrics->deliveries, outq_written(&c->out, part));
        len -= part;
    }
    c->blocked = c->blocked && !outq_empty(&c->out);
    if (c->hungry && !c->stream->feeding)
        stream_room(c->stream);
}

static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                        size_t len, nghttp2_data_source *source, void *user)
{
    struct h2 *h2 = user;
    struct h2_common *common = h2_common_of(h2);
    struct conn *c = h2_part(session, frame->hd.stream_id);
    if (!c)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (common->gathered > H2_GATHER) {
        common->full = true;
        return NGHTTP2_ERR_WOULDBLOCK;
    }
    gather(common, head, 9);
    gather_queue(common, c, len);
    h2->allowance.updates += UPDATES_A_FRAME;
    return 0;
}

/* An answer that is whole before its request is: the rest of that is not wanted (RFC 9113 8.1). */
static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    int32_t id = frame->hd.stream_id;
    bool data = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
    if (data && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) && h2_part(session, id) &&
        nghttp2_session_get_stream_remote_close(session, id) == 0)
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
    return 0;
}

void h2_set_answer_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
}

static nghttp2_nv field(char *name, size_t name_len, char *value, size_t value_len)
{
    return (nghttp2_nv){.name = (uint8_t *)name,
                        .namelen = name_len,
                        .value = (uint8_t *)value,
                        .valuelen = value_len,
                        .flags = NGHTTP2_NV_FLAG_NONE};
}

/* One line of our own HTTP/1.1 head, "Name: value"; false for one that HTTP/2 has no place for. */
static bool take_line(char *line, size_t len, nghttp2_nv *out)
{
    char *colon = memchr(line, ':', len);
    size_t name = (size_t)(colon - line), skip = name + 2;
    for (size_t i = 0; i < name; i++)
        line[i] = (char)tolower((unsigned char)line[i]);
    if (span_is(span_make(line, name), "connection"))
        return false;
    *out = field(line, name, line + skip, len - skip);
    return true;
}

/* The lines of `head` behind the first, in place; how many fields they make. */
static size_t take_lines(struct buf *head, nghttp2_nv *fields)
{
    size_t n = 0;
    char *end = head->data + head->len;
    char *line = memchr(head->data, '\n', head->len);
    for (line++; line < end && *line != '\r' && n < HEADERS_MOST;) {
        char *stop = memchr(line, '\r', (size_t)(end - line));
        n += take_line(line, (size_t)(stop - line), &fields[n]);
        line = stop + 2;
    }
    return n;
}

void h2_answer(struct conn *part, struct span head, bool whole)
{
    static char status_name[] = ":status";
    nghttp2_nv fields[HEADERS_MOST + 1];
    nghttp2_data_provider provider = {.read_callback = on_read};
    struct buf text = {0};
    if (!part->h2 || part->state == CONN_DEAD)
        return;
    nghttp2_session *session = part->h2->session;
    buf_span(&text, head);
    char *status = text.data + strlen("HTTP/1.1 ");
    fields[0] = field(status_name, strlen(status_name), status, 3);
    size_t n = 1 + take_lines(&text, fields + 1);
    if (*status == '1')
        nghttp2_submit_headers(session, NGHTTP2_FLAG_NONE, part->stream_id, NULL, fields, n, NULL);
    else
        nghttp2_submit_response(session, part->stream_id, fields, n, whole ? NULL : &provider);
    buf_free(&text);
    h2_mark(part->h2);
}
