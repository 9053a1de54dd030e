/* GET /events: the stream. */
#include "base/mem.h"
#include "http/router.h"
#include "http/stream.h"
#include "proto/channel.h"
#include "proto/resume.h"

static const char default_channel[] = "default";

/* What the query asks for, in its order. */
static size_t collect(const struct query *q, struct shard_want *wants)
{
    size_t n = 0;
    for (size_t i = 0; i < q->count; i++) {
        const struct query_param *p = &q->params[i];
        if (span_is(p->name, "channel"))
            wants[n++] = (struct shard_want){TOPIC_CHANNEL, p->value};
        else if (span_is(p->name, "pattern"))
            wants[n++] = (struct shard_want){TOPIC_PATTERN, p->value};
    }
    if (n == 0)
        wants[n++] = (struct shard_want){TOPIC_CHANNEL, span_of(default_channel)};
    return n;
}

static bool want_ok(struct exchange *x, const struct shard_want *want)
{
    const struct http_options *o = exchange_worker(x)->options;
    const char *wrong = want->kind == TOPIC_CHANNEL
                            ? channel_name_error(want->name, o->name_bytes)
                            : channel_pattern_error(want->name, o->name_bytes);
    if (!wrong)
        return exchange_may(x, ACCESS_READ, want->name);
    exchange_error(x, channel_reserved(want->name) ? 403 : 400, "%s: the name %s",
                   want->kind == TOPIC_CHANNEL ? "channel" : "pattern", wrong);
    return false;
}

/* A parameter that is "0" or "1"; answers 400 for anything else. */
static bool flag(struct exchange *x, const char *name, bool absent, bool *out)
{
    struct span s = query_get(&x->query, name);
    *out = s.ptr ? span_is(s, "1") : absent;
    if (!s.ptr || *out || span_is(s, "0"))
        return true;
    exchange_error(x, 400, "%s: expected 0 or 1", name);
    return false;
}

static bool read_heartbeat(struct exchange *x, bool *ping)
{
    struct span s = query_get(&x->query, "heartbeat");
    *ping = s.ptr && span_is(s, "event");
    if (!s.ptr || *ping || span_is(s, "comment"))
        return true;
    exchange_error(x, 400, "heartbeat: expected \"event\" or \"comment\"");
    return false;
}

static bool is_durable(const struct namespaces *n, const struct shard_want *want)
{
    return want->kind == TOPIC_CHANNEL ? namespaces_find(n, want->name)->durable
                                       : namespaces_durable(n);
}

struct span endpoint_last_id(struct exchange *x)
{
    static const char *const names[] = {"lastEventId", "lastEventID", "last_event_id"};
    struct span id = http1_header(&x->req, "Last-Event-ID");
    for (size_t i = 0; !id.len && i < sizeof(names) / sizeof(names[0]); i++)
        id = query_get(&x->query, names[i]);
    return id;
}

static bool read_resume(struct exchange *x, struct shard_resume *out)
{
    struct resume resume;
    char why[RESUME_WHY_BYTES];
    if (resume_parse(endpoint_last_id(x), query_get(&x->query, "since"),
                     query_get(&x->query, "last"), &resume, why)) {
        exchange_error(x, 400, "%s", why);
        return false;
    }
    static const enum replay_from from[] = {
        [RESUME_NOW] = REPLAY_NOW,         [RESUME_AFTER] = REPLAY_AFTER,
        [RESUME_UNKNOWN] = REPLAY_UNKNOWN, [RESUME_SINCE] = REPLAY_SINCE,
        [RESUME_LAST] = REPLAY_LAST,
    };
    *out = (struct shard_resume){.from = from[resume.from], .value = resume.value};
    return true;
}

static bool read_options(struct exchange *x, struct stream_options *options)
{
    const struct namespaces *n = exchange_worker(x)->options->namespaces;
    bool live = true;
    if (!flag(x, "wrap", false, &options->wrapped) || !flag(x, "live", true, &live) ||
        !read_heartbeat(x, &options->ping) || !read_resume(x, &options->resume))
        return false;
    for (size_t i = 0; !options->durable && i < options->count; i++)
        options->durable = is_durable(n, &options->wants[i]);
    options->replay_only = options->resume.fenced = !live;
    if (live || options->durable)
        return true;
    exchange_error(x, 400, "live=0 asks for a replay, and these channels keep no history");
    return false;
}

static void answer_head(struct exchange *x)
{
    exchange_reply(x, &(struct reply){.status = 200,
                                      .type = "text/event-stream",
                                      .cache = true,
                                      .endless = true,
                                      .headers = "Cache-Control: no-cache, no-transform\r\n"
                                                 "X-Accel-Buffering: no\r\n"});
}

void endpoint_events(struct exchange *x)
{
    const struct http_options *o = exchange_worker(x)->options;
    struct shard_want *wants = mem_alloc((x->query.count + 1) * sizeof(*wants));
    struct stream_options options = {.wants = wants, .count = collect(&x->query, wants)};
    bool ok = options.count <= o->max_channels;
    if (!ok)
        exchange_error(x, 400, "%zu channels and patterns are over the limit of %u for one stream",
                       options.count, o->max_channels);
    for (size_t i = 0; ok && i < options.count; i++)
        ok = want_ok(x, &wants[i]);
    ok = ok && read_options(x, &options);
    if (ok && x->req.method == HTTP1_HEAD)
        answer_head(x);
    else if (ok && exchange_worker(x)->draining)
        stream_busy(x, "the gateway is being drained");
    else if (ok && conn_too_many(x->conn))
        stream_busy(x, conn_too_many(x->conn));
    else if (ok)
        stream_open(x, &options);
    mem_free(wants);
}
