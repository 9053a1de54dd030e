#include "h2.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>

enum { STREAM_WINDOW = 4 << 20, LINK_WINDOW = 256 << 20 };

struct h2 {
    struct link *link;
    const struct h2_events *events;
    void *ctx;
    nghttp2_session *session;
    const uint8_t *out; /* nghttp2's: valid until it is asked for more */
    size_t out_len;
};

/* The client's streams are 1, 3, 5 and so on. */
static uint32_t request_of(int32_t stream)
{
    return (uint32_t)(stream - 1) / 2;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    struct h2 *h2 = user;
    (void)session, (void)flags;
    if (name_len == 7 && memcmp(name, ":status", 7) == 0)
        h2->events->head(h2->ctx, request_of(frame->hd.stream_id),
                         value_len == 3 && memcmp(value, "200", 3) == 0);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data,
                   size_t len, void *user)
{
    struct h2 *h2 = user;
    (void)session, (void)flags;
    h2->events->body(h2->ctx, request_of(stream), (const char *)data, len);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t code, void *user)
{
    struct h2 *h2 = user;
    (void)session, (void)code;
    h2->events->end(h2->ctx, request_of(stream));
    return 0;
}

static void greet(struct h2 *h2)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
    };
    if (nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings, 2) != 0 ||
        nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0, LINK_WINDOW) != 0)
        abort();
}

struct h2 *h2_create(struct link *link, const struct h2_events *events, void *ctx)
{
    nghttp2_session_callbacks *calls;
    struct h2 *h2 = calloc(1, sizeof(*h2));
    if (!h2 || nghttp2_session_callbacks_new(&calls) != 0)
        abort();
    *h2 = (struct h2){.link = link, .events = events, .ctx = ctx};
    nghttp2_session_callbacks_set_on_header_callback(calls, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(calls, on_close);
    if (nghttp2_session_client_new(&h2->session, calls, h2) != 0)
        abort();
    nghttp2_session_callbacks_del(calls);
    greet(h2);
    return h2;
}

void h2_destroy(struct h2 **h2)
{
    if (!*h2)
        return;
    nghttp2_session_del((*h2)->session);
    free(*h2);
    *h2 = NULL;
}

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){.name = (uint8_t *)name,
                        .value = (uint8_t *)value,
                        .namelen = strlen(name),
                        .valuelen = strlen(value)};
}

void h2_request(struct h2 *h2, const char *target)
{
    const nghttp2_nv fields[] = {
        field(":method", "GET"),
        field(":scheme", "https"),
        field(":authority", "127.0.0.1"),
        field(":path", target),
        field("accept", "text/event-stream"),
        field("user-agent", "swarm"),
    };
    if (nghttp2_submit_request(h2->session, NULL, fields, sizeof(fields) / sizeof(*fields), NULL,
                               NULL) < 0)
        abort();
}

bool h2_feed(struct h2 *h2, const char *bytes, size_t len)
{
    return nghttp2_session_mem_recv(h2->session, (const uint8_t *)bytes, len) == (ssize_t)len;
}

bool h2_flush(struct h2 *h2)
{
    for (;;) {
        if (h2->out_len == 0) {
            ssize_t n = nghttp2_session_mem_send(h2->session, &h2->out);
            if (n <= 0)
                return n == 0;
            h2->out_len = (size_t)n;
        }
        ssize_t sent = link_send(h2->link, (const char *)h2->out, h2->out_len);
        if (sent <= 0)
            return sent < 0 && errno == EAGAIN;
        h2->out += sent;
        h2->out_len -= (size_t)sent;
    }
}

bool h2_wants_write(const struct h2 *h2)
{
    return h2->out_len > 0 || nghttp2_session_want_write(h2->session);
}
