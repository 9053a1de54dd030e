#include "http/exchange.h"

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/cors.h"
#include "http/router.h"
#include "proto/forwarded.h"
#include "proto/http1_text.h"
#include "proto/json_text.h"

#include <stdarg.h>
#include <stdio.h>

enum {
    QUERY_PARAMS = 512,
    UNASKED_BODY_BYTES = 4096, /* of one that nobody will read: strangers fill no memory */
};

static const struct status_text {
    int status;
    const char *text;
} status_texts[] = {
    {200, "OK"},
    {202, "Accepted"},
    {204, "No Content"},
    {304, "Not Modified"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {505, "HTTP Version Not Supported"},
};

static const char *status_text(int status)
{
    for (size_t i = 0; i < sizeof(status_texts) / sizeof(status_texts[0]); i++)
        if (status_texts[i].status == status)
            return status_texts[i].text;
    return "Unknown";
}

/* The parser's spans point into the connection's input, which moves: make them point into our copy.
 */
static struct span rebase(struct span s, const char *from, const char *to)
{
    return s.ptr ? span_make(to + (s.ptr - from), s.len) : s;
}

static void rebase_request(struct http1_request *req, const char *from, const char *to)
{
    req->method_name = rebase(req->method_name, from, to);
    req->target = rebase(req->target, from, to);
    req->path = rebase(req->path, from, to);
    req->query = rebase(req->query, from, to);
    for (size_t i = 0; i < req->header_count; i++) {
        req->headers[i].name = rebase(req->headers[i].name, from, to);
        req->headers[i].value = rebase(req->headers[i].value, from, to);
    }
}

struct exchange *exchange_create(struct conn *c, struct span head, const struct http1_request *req)
{
    struct exchange *x = mem_zalloc(sizeof(*x));
    x->number = ++c->worker->exchange_number;
    x->conn = c;
    buf_span(&x->head, head);
    if (!req) { /* for an answer to what could not be read */
        x->req.minor = 1;
        return x;
    }
    x->req = *req;
    rebase_request(&x->req, head.ptr, x->head.data);
    x->body_left = req->content_length;
    return x;
}

void exchange_destroy(struct exchange **px)
{
    struct exchange *x = *px;
    if (!x)
        return;
    if (x->waiting)
        map_del(exchange_worker(x)->exchanges,
                span_make((const char *)&x->number, sizeof(x->number)));
    query_free(&x->query);
    buf_free(&x->head);
    buf_free(&x->body);
    mem_free(x);
    *px = NULL;
}

static bool strip_base(struct exchange *x)
{
    const char *base = exchange_worker(x)->options->base_path;
    x->path = x->req.path;
    size_t n = strlen(base);
    if (!span_starts(x->path, base) || (n && x->path.len > n && x->path.ptr[n] != '/'))
        return false;
    x->path = span_make(x->path.ptr + n, x->path.len - n);
    return true;
}

static void identify(struct exchange *x)
{
    struct access_request request = {
        .authorization = http1_header(&x->req, "authorization"),
        .origin = http1_header(&x->req, "origin"),
        .host = http1_header(&x->req, "host"),
        .unix_socket = x->conn->origin.is_unix,
    };
    x->who = access_identify(exchange_worker(x)->options->access, &request);
}

enum {
    FIELDS_MOST = 16
}; /* of one name; more is nobody's honest proxy, and what is left out is the leftmost */

static size_t collect_fields(const struct http1_request *req, const char *name, struct span *out)
{
    size_t n = 0, skip = 0, all = 0;
    for (size_t i = 0; i < req->header_count; i++)
        all += http1_is_word(req->headers[i].name, name);
    skip = all > FIELDS_MOST ? all - FIELDS_MOST : 0;
    for (size_t i = 0; i < req->header_count; i++)
        if (http1_is_word(req->headers[i].name, name) && (skip == 0 || skip-- == 0))
            out[n++] = req->headers[i].value;
    return n;
}

/* Behind a trusted proxy the limit for an address is the client's, not the proxy's. */
static void find_client(struct exchange *x)
{
    const struct http_options *o = exchange_worker(x)->options;
    struct conn *c = x->conn;
    if (!c->origin.behind_proxy || !o->max_per_address)
        return;
    struct span forwarded[FIELDS_MOST], x_forwarded_for[FIELDS_MOST];
    struct forwarded_fields fields = {
        .forwarded = forwarded,
        .forwarded_count = collect_fields(&x->req, "forwarded", forwarded),
        .x_forwarded_for = x_forwarded_for,
        .x_forwarded_for_count = collect_fields(&x->req, "x-forwarded-for", x_forwarded_for),
    };
    struct net_address client;
    /* The proxy's own requests, such as its health checks, are not limited. */
    if (forwarded_client(&fields, o->trusted, o->trusted_count, &c->origin.peer, &client) !=
        FORWARDED_PEER)
        conn_set_client(c, &client);
}

static void method_refused(struct exchange *x)
{
    struct buf allow = {0};
    buf_str(&allow, "Allow: ");
    router_allow(x->route, &allow);
    buf_str(&allow, "\r\n");
    struct buf json = {0}, text = {0};
    buf_printf(&text, "%.*s is not allowed here", (int)x->req.method_name.len,
               x->req.method_name.ptr);
    json_text_error(&json, buf_view(&text));
    exchange_reply(x, &(struct reply){.status = 405,
                                      .type = "application/json",
                                      .body = buf_view(&json),
                                      .headers = buf_cstr(&allow)});
    buf_free(&json);
    buf_free(&text);
    buf_free(&allow);
}

static bool admit_query(struct exchange *x)
{
    const char *why = NULL;
    struct span text = x->req.query.ptr ? x->req.query : span_make("", 0);
    int err = query_parse(text, QUERY_PARAMS, &x->query, &why);
    if (!err)
        return true;
    exchange_error(x, 400, "the query string %s",
                   err == ERR_TOO_LARGE ? "has too many parameters" : why);
    return false;
}

/* Only a POST's body is for anybody, and only a POST is asked for a key before its body comes. */
static uint64_t body_limit(const struct exchange *x)
{
    uint64_t limit = exchange_worker(x)->options->body_bytes;
    uint64_t own = x->route ? x->route->body_bytes : 0;
    uint64_t most = x->req.method == HTTP1_POST ? own : UNASKED_BODY_BYTES;
    return most && most < limit ? most : limit;
}

static bool admit_body(struct exchange *x)
{
    uint64_t limit = body_limit(x);
    if (x->req.content_length > limit) {
        exchange_error(x, 413, "the body of %llu bytes is over %llu (limits.body_bytes at most)",
                       (unsigned long long)x->req.content_length, (unsigned long long)limit);
        return false;
    }
    if (x->req.expect_continue && (x->req.chunked || x->req.content_length)) {
        static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        conn_answer(x->conn, span_of(go_on), strlen(go_on), false);
    }
    return true;
}

bool exchange_begin(struct exchange *x)
{
    bool has_body = x->req.chunked || x->req.content_length > 0;
    if (!x->req.keep_alive || exchange_worker(x)->draining)
        x->conn->close_next = true;
    bool close_after = x->conn->close_next;
    /* Until the body is read, an answer must also end the connection. */
    if (has_body)
        x->conn->close_next = true;
    identify(x);
    x->route = strip_base(x) ? router_find(x->path) : NULL;
    find_client(x);
    if (conn_too_many(x->conn) && !(x->route && x->route->always)) {
        x->conn->close_next = true;
        metrics_add(&exchange_worker(x)->metrics->refused, 1);
        exchange_error(x, 503, "%s", conn_too_many(x->conn));
        return false;
    }
    if (!x->route && x->req.method != HTTP1_OPTIONS) {
        exchange_error(x, 404, "nothing is here: %.*s",
                       (int)(x->req.path.len > 100 ? 100 : x->req.path.len), x->req.path.ptr);
        return false;
    }
    if (x->route && x->req.method != HTTP1_OPTIONS &&
        !(x->route->methods & METHOD(x->req.method))) {
        method_refused(x);
        return false;
    }
    if (!admit_query(x))
        return false;
    if (x->req.method != HTTP1_OPTIONS && x->route->admit && !x->route->admit(x))
        return false;
    if (!admit_body(x))
        return false;
    x->conn->close_next = close_after;
    return true;
}

static ssize_t chunked_body(struct exchange *x, struct span bytes, bool *done)
{
    struct http1_error error;
    size_t used = bytes.len;
    int r = http1_chunked_feed(&x->chunked, bytes, &used, &x->body, body_limit(x), &error);
    if (r < 0) {
        x->conn->close_next = true;
        exchange_error(x, error.status, "%s", error.text);
        return -1;
    }
    *done = r == 0;
    return (ssize_t)used;
}

ssize_t exchange_body(struct exchange *x, struct span bytes, bool *done)
{
    if (x->req.chunked)
        return chunked_body(x, bytes, done);
    size_t n = bytes.len < x->body_left ? bytes.len : (size_t)x->body_left;
    buf_append(&x->body, bytes.ptr, n);
    x->body_left -= n;
    *done = x->body_left == 0;
    return (ssize_t)n;
}

void exchange_data(struct exchange *x, struct span bytes)
{
    uint64_t limit = body_limit(x);
    if (x->body.len + bytes.len > limit)
        exchange_error(x, 413, "the body is over its limit of %llu bytes",
                       (unsigned long long)limit);
    else
        buf_span(&x->body, bytes);
}

void exchange_run(struct exchange *x)
{
    /* While the body came the keys may have been loaded anew, and an identity is a place among
     * them. */
    if (x->req.chunked || x->req.content_length)
        identify(x);
    if (x->req.method == HTTP1_OPTIONS)
        cors_options(x);
    else
        x->route->run(x);
}

void exchange_wait(struct exchange *x)
{
    x->waiting = true;
    map_put(exchange_worker(x)->exchanges, span_make((const char *)&x->number, sizeof(x->number)),
            x);
}

struct exchange *worker_exchange(struct worker *w, uint64_t number)
{
    return map_get(w->exchanges, span_make((const char *)&number, sizeof(number)));
}

static void count_status(struct metrics *m, int status)
{
    atomic_uint_fast64_t *classes[] = {&m->requests_2xx, &m->requests_3xx, &m->requests_4xx,
                                       &m->requests_5xx};
    metrics_add(classes[status / 100 - 2], 1);
}

void exchange_head(struct exchange *x, struct buf *out, int status)
{
    buf_printf(out, "HTTP/1.1 %d %s\r\nDate: %s\r\n", status, status_text(status),
               worker_date(exchange_worker(x)));
    cors_headers(x, out);
    count_status(exchange_worker(x)->metrics, status);
}

void exchange_reply(struct exchange *x, const struct reply *reply)
{
    struct conn *c = x->conn;
    struct buf out = {0};
    bool no_body = reply->status == 204 || reply->status == 304;
    exchange_head(x, &out, reply->status);
    if (reply->type)
        buf_printf(&out, "Content-Type: %s\r\n", reply->type);
    if (!no_body && !reply->endless)
        buf_printf(&out, "Content-Length: %zu\r\n", reply->body.len);
    if (!reply->cache)
        buf_str(&out, "Cache-Control: no-store\r\n");
    if (reply->headers)
        buf_str(&out, reply->headers);
    /* HTTP/1.0 closes unless told otherwise, HTTP/1.1 the other way round. */
    buf_str(&out, c->close_next       ? "Connection: close\r\n"
                  : x->req.minor == 0 ? "Connection: keep-alive\r\n"
                                      : "");
    buf_str(&out, "\r\n");
    size_t head_len = out.len;
    if (!no_body && x->req.method != HTTP1_HEAD)
        buf_span(&out, reply->body);
    conn_answer(c, buf_view(&out), head_len, true);
    buf_free(&out);
    conn_answered(c);
}

void exchange_json(struct exchange *x, int status, struct span json)
{
    exchange_reply(x, &(struct reply){.status = status, .type = "application/json", .body = json});
}

void exchange_error(struct exchange *x, int status, const char *fmt, ...)
{
    struct buf text = {0}, json = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    json_text_error(&json, buf_view(&text));
    const char *headers = NULL;
    if (status == 401)
        headers = "WWW-Authenticate: Bearer realm=\"sluice\"\r\n";
    else if (status == 503 || status == 429)
        headers = "Retry-After: 1\r\n";
    exchange_reply(x, &(struct reply){.status = status,
                                      .type = "application/json",
                                      .body = buf_view(&json),
                                      .headers = headers});
    buf_free(&text);
    buf_free(&json);
}

void exchange_refuse(struct exchange *x, int err, const char *why)
{
    log_debug("http", "refused to %s: %s",
              access_name(exchange_worker(x)->options->access, &x->who), why);
    exchange_error(x, err == ERR_UNKNOWN_ID ? 401 : 403, "%s", why);
}

bool exchange_may(struct exchange *x, enum access_action action, struct span channel)
{
    const char *why = NULL;
    int err = access_decide(exchange_worker(x)->options->access, &x->who, action, channel, &why);
    if (err)
        exchange_refuse(x, err, why);
    return err == 0;
}
