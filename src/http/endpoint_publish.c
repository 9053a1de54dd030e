/* POST /publish and POST /publish/{channel}. All of a request is validated before any of it is
 * published. */
#include "base/err.h"
#include "base/mem.h"
#include "http/router.h"
#include "proto/channel.h"
#include "proto/event_id.h"
#include "proto/json_text.h"
#include "proto/publish_body.h"
#include "proto/sse.h"

#include <inttypes.h>
#include <stdio.h>

enum { MAX_ITEMS = 1000 };

/* One thing to publish, checked; spans are borrowed. */
struct item {
    struct span channel, event, data, key;
};

static bool name_ok(struct exchange *x, const struct item *item, const char *where)
{
    const char *wrong = channel_name_error(item->channel, exchange_worker(x)->options->name_bytes);
    if (wrong)
        exchange_error(x, channel_reserved(item->channel) ? 403 : 400, "%schannel: the name %s",
                       where, wrong);
    return !wrong;
}

static bool limits_hold(struct exchange *x, const struct item *item, const char *where)
{
    const struct http_options *o = exchange_worker(x)->options;
    const char *wrong = item->event.ptr ? sse_event_error(item->event) : NULL;
    const char *bad_key = item->key.ptr ? publish_key_error(item->key) : NULL;
    if (wrong)
        exchange_error(x, 400, "%sevent: %s", where, wrong);
    else if (bad_key)
        exchange_error(x, 400, "%skey: %s", where, bad_key);
    else if (item->data.len > o->message_bytes)
        exchange_error(x, 413, "%sdata: %zu bytes are over message_bytes (%" PRIu64 ")", where,
                       item->data.len, o->message_bytes);
    else
        return true;
    return false;
}

/* An event name needs a payload form that can carry it; a key, a history that knows it again. */
static bool form_fits(struct exchange *x, const struct item *item, const char *where)
{
    const struct namespace_settings *ns =
        namespaces_find(exchange_worker(x)->options->namespaces, item->channel);
    if (ns->durable)
        return true;
    if (item->event.ptr && !ns->envelope)
        exchange_error(x, 400,
                       "%sevent: the channel's namespace has raw payloads, which carry no event "
                       "name; configure \"payload\":\"envelope\" for it",
                       where);
    else if (item->key.ptr)
        exchange_error(x, 400,
                       "%skey: the channel's namespace has no history, so a message cannot be "
                       "known again; configure \"history\" for it",
                       where);
    else
        return true;
    return false;
}

static bool item_ok(struct exchange *x, const struct item *item, size_t index, bool single)
{
    char where[32] = "";
    if (!single)
        snprintf(where, sizeof(where), "[%zu].", index);
    /* Who may not publish there learns nothing of the channel's settings. */
    return name_ok(x, item, where) && exchange_may(x, ACCESS_PUBLISH, item->channel) &&
           limits_hold(x, item, where) && form_fits(x, item, where);
}

static struct span keep(struct buf *bytes, struct span s)
{
    struct span kept = span_make(bytes->data + bytes->len, s.len);
    buf_span(bytes, s);
    return s.ptr ? kept : s;
}

static bool same_span(struct span a, struct span b)
{
    return a.ptr == b.ptr && a.len == b.len;
}

/* Items that one member of the body makes share all but the channel, which is kept once. */
static bool shares(const struct item *items, size_t i)
{
    return i > 0 && same_span(items[i].data, items[i - 1].data) &&
           same_span(items[i].event, items[i - 1].event) &&
           same_span(items[i].key, items[i - 1].key);
}

static size_t block_size(const struct item *items, size_t count)
{
    size_t total = 1;
    for (size_t i = 0; i < count; i++) {
        total += items[i].channel.len;
        if (!shares(items, i))
            total += items[i].event.len + items[i].data.len + items[i].key.len;
    }
    return total;
}

/* Copies the items into one block that travels to the core. */
static void send_items(struct exchange *x, const struct item *items, size_t count, bool single)
{
    struct worker *w = exchange_worker(x);
    struct publish_request *r = publish_request_create(count);
    buf_reserve(&r->bytes, block_size(items, count));
    for (size_t i = 0; i < count; i++) {
        struct publish_order *o = &r->orders[i];
        o->channel = keep(&r->bytes, items[i].channel);
        o->event = shares(items, i) ? o[-1].event : keep(&r->bytes, items[i].event);
        o->data = shares(items, i) ? o[-1].data : keep(&r->bytes, items[i].data);
        o->key = shares(items, i) ? o[-1].key : keep(&r->bytes, items[i].key);
    }
    r->single = single;
    r->exchange = x->number;
    struct msg *m = msg_create(MSG_PUBLISH, w->index);
    m->publish = r;
    exchange_wait(x);
    worker_core(w, m);
}

bool endpoint_publish_admit(struct exchange *x)
{
    const char *why = NULL;
    const struct access *access = exchange_worker(x)->options->access;
    /* Somebody who may publish nothing at all need not send a megabyte first. */
    int err = access_decide(access, &x->who, ACCESS_PUBLISH, span_make("", 0), &why);
    if (err != ERR_UNKNOWN_ID && !x->who.foreign)
        return true;
    exchange_refuse(x, err, why);
    return false;
}

void endpoint_publish(struct exchange *x)
{
    struct publish_batch batch = {0};
    char why[256];
    int err = publish_body_parse(buf_view(&x->body), MAX_ITEMS, &batch, why, sizeof(why));
    if (err) {
        exchange_error(x, err == ERR_TOO_LARGE ? 413 : 400, "%s", why);
        return;
    }
    struct item *items = mem_zalloc(batch.count * sizeof(*items));
    size_t i = 0;
    for (; i < batch.count; i++) {
        const struct publish_item *p = &batch.items[i];
        items[i] = (struct item){p->channel, p->event, p->data, p->key};
        if (!item_ok(x, &items[i], i, batch.single))
            break;
    }
    if (i == batch.count)
        send_items(x, items, batch.count, batch.single);
    mem_free(items);
    publish_batch_free(&batch);
}

/* Of a path with a slash: a channel that is called just ".." leads nowhere. */
static bool has_dot_segment(struct span path)
{
    const char *end = path.ptr + path.len, *slash = memchr(path.ptr, '/', path.len);
    for (const char *at = path.ptr; slash && at <= end; at = slash + 1) {
        slash = memchr(at, '/', (size_t)(end - at));
        slash = slash ? slash : end;
        struct span segment = span_make(at, (size_t)(slash - at));
        if (span_is(segment, ".") || span_is(segment, ".."))
            return true;
    }
    return false;
}

/*
 * The channel's name from the path, decoded into `name`; answers when it is none. A proxy takes
 * secret/../public for public, also where %2e or %2f stand in it, and by that decides whom it lets
 * through or adds a key to, but sends on what it got: to us it is a channel below secret/.
 */
static bool path_channel(struct exchange *x, struct buf *name)
{
    struct span raw =
        span_make(x->path.ptr + strlen(x->route->path), x->path.len - strlen(x->route->path));
    if (percent_decode(name, raw))
        exchange_error(x, 400, "the path has a %% that is not followed by two hex digits");
    else if (has_dot_segment(buf_view(name)))
        exchange_error(x, 400,
                       "the path has a segment . or .., which proxies read differently: publish to "
                       "such a channel by JSON");
    else
        return true;
    return false;
}

/* What POST /publish/{channel} asks for, judged; its name is decoded into `name`. Answers when it
 * is not good. */
static bool path_item(struct exchange *x, struct buf *name, struct item *item)
{
    if (!path_channel(x, name))
        return false;
    struct span event = query_get(&x->query, "event");
    *item = (struct item){.channel = buf_view(name), .data = buf_view(&x->body)};
    if (event.len > 0)
        item->event = event;
    item->key = query_get(&x->query, "key");
    if (!item->key.ptr)
        item->key = http1_header(&x->req, "Idempotency-Key");
    return item_ok(x, item, 0, true);
}

bool endpoint_publish_channel_admit(struct exchange *x)
{
    struct buf name = {0};
    struct item item;
    bool ok = path_item(x, &name, &item);
    buf_free(&name);
    return ok;
}

void endpoint_publish_channel(struct exchange *x)
{
    struct buf name = {0};
    struct item item;
    /* All of it once more: the keys and settings may have changed while the body came. */
    if (path_item(x, &name, &item))
        send_items(x, &item, 1, true);
    buf_free(&name);
}

static int answer_status(const struct publish_order *o)
{
    switch (o->err) {
    case 0:
        return 200;
    case ERR_TOO_LARGE:
        return 413;
    case ERR_DENIED:
        return 403;
    default:
        return 503;
    }
}

static void write_order(struct buf *out, const struct publish_order *o, bool with_channel)
{
    buf_byte(out, '{');
    if (with_channel) {
        buf_str(out, "\"channel\":");
        json_text_string(out, o->channel);
        buf_byte(out, ',');
    }
    if (o->err) {
        buf_str(out, "\"error\":");
        json_text_string(out, span_of(o->why));
    } else if (o->id) {
        char id[EVENT_ID_TEXT];
        event_id_format(id, o->id);
        buf_printf(out, "\"id\":\"%s\"", id);
    } else {
        buf_printf(out, "\"receivers\":%" PRId64, o->receivers);
    }
    buf_byte(out, '}');
}

/* The status of a batch is its first failure's when all failed, 200 when any went out. */
static int batch_status(const struct publish_request *r)
{
    for (size_t i = 0; i < r->count; i++)
        if (!r->orders[i].err)
            return 200;
    return r->count ? answer_status(&r->orders[0]) : 200;
}

void endpoint_published(struct worker *w, struct msg *m)
{
    const struct publish_request *r = m->publish;
    struct exchange *x = worker_exchange(w, r->exchange);
    if (!x)
        return; /* the client has gone meanwhile */
    int status = batch_status(r);
    if (r->single && status != 200) {
        exchange_error(x, status, "%s", r->orders[0].why);
        return;
    }
    struct buf out = {0};
    if (!r->single)
        buf_byte(&out, '[');
    for (size_t i = 0; i < r->count; i++) {
        if (i)
            buf_byte(&out, ',');
        write_order(&out, &r->orders[i], !r->single);
    }
    if (!r->single)
        buf_byte(&out, ']');
    exchange_reply(x, &(struct reply){.status = status,
                                      .type = "application/json",
                                      .body = buf_view(&out),
                                      .headers = status == 503 ? "Retry-After: 1\r\n" : NULL});
    buf_free(&out);
}
