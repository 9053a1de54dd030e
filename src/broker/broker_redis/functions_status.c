/* What the command line wants to know: one connection, one question, on a loop that ends with it.
 */
#include "base/buf.h"
#include "base/cast.h"
#include "base/err.h"
#include "broker/broker_redis.h"
#include "broker/broker_redis/hello.h"
#include "broker/broker_redis/link.h"
#include "broker/broker_redis/reply.h"
#include "proto/functions.h"

#include <ev.h>
#include <hiredis/hiredis.h>
#include <stdio.h>

enum { QUESTION_MAGIC = 0x71756573, LIMIT_SECONDS = 5, WHY_BYTES = 256 };

struct question {
    uint32_t magic;
    struct ev_loop *loop;      /* owned */
    struct resolver *resolver; /* owned */
    struct redis_url url;      /* owned */
    struct tls_trust *trust;   /* owned */
    struct link *link;         /* owned */
    struct hello hello;
    ev_timer limit;
    int err;
    struct buf *out; /* borrowed */
};

static struct question *question_of(void *ctx)
{
    return CAST_CHECKED(struct question, ctx, QUESTION_MAGIC);
}

static void finish(struct question *q, int err, const char *line)
{
    q->err = err;
    buf_str(q->out, redis_url_discreet(&q->url, line));
    ev_break(q->loop, EVBREAK_ALL);
}

static void finish_refused(struct question *q, const struct redisReply *reply)
{
    char why[WHY_BYTES];
    if (reply_has_code(reply, "ERR Function not found"))
        finish(q, ERR_NOT_FOUND, "the function library is not loaded");
    else if (reply_has_code(reply, "ERR unknown command"))
        finish(q, ERR_NOT_FOUND,
               "this Redis has no functions (they came with 7.0): gateways run the script instead");
    else
        finish(q, ERR_UNAVAILABLE, reply_explain(reply, why, sizeof(why)));
}

static void finish_version(struct question *q, long long version)
{
    char line[128];
    bool older = version < SLUICE_FUNCTIONS_VERSION;
    snprintf(line, sizeof(line),
             "version %lld of the function library is loaded; this program has %d", version,
             SLUICE_FUNCTIONS_VERSION);
    finish(q, older ? ERR_NOT_FOUND : 0, line);
}

static void on_open(void *ctx)
{
    struct question *q = question_of(ctx);
    hello_begin(&q->hello, q->link, &q->url);
}

static void on_hello(struct question *q, const struct redisReply *reply)
{
    static const char *const words[] = {"FCALL", "sluice_version", "1", "sluice:"};
    char why[WHY_BYTES];
    struct span argv[4];
    enum hello_verdict verdict = hello_reply(&q->hello, reply, why, sizeof(why));
    for (size_t i = 0; i < 4; i++)
        argv[i] = span_of(words[i]);
    if (verdict == HELLO_DONE)
        link_command(q->link, 4, argv);
    else if (verdict == HELLO_REFUSED)
        finish(q, ERR_UNAVAILABLE, why);
}

static void on_reply(void *ctx, const struct redisReply *reply)
{
    struct question *q = question_of(ctx);
    if (q->out->len > 0)
        return;
    if (!q->hello.done)
        on_hello(q, reply);
    else if (reply->type == REDIS_REPLY_INTEGER)
        finish_version(q, reply->integer);
    else
        finish_refused(q, reply);
}

static bool on_writable(void *ctx)
{
    return false;
}

static void on_closed(void *ctx, const char *why)
{
    struct question *q = question_of(ctx);
    if (q->out->len == 0)
        finish(q, ERR_UNAVAILABLE, why);
}

static const struct link_events events = {
    .on_open = on_open,
    .on_reply = on_reply,
    .on_writable = on_writable,
    .on_closed = on_closed,
};

static void on_addresses(void *ctx, const struct address *list, size_t count, const char *why)
{
    struct question *q = question_of(ctx);
    const struct link_options options = {
        .url = &q->url,
        .trust = q->trust,
        .dial_seconds = LIMIT_SECONDS * 0.9,
        .unacked_ms = LIMIT_SECONDS * 1000,
    };
    if (count == 0)
        finish(q, ERR_UNAVAILABLE, why);
    else
        q->link = link_dial(q->loop, &options, list, count, &events, q);
}

static void on_limit(struct ev_loop *loop, ev_timer *w, int revents)
{
    finish(question_of(w->data), ERR_UNAVAILABLE, "Redis did not answer within five seconds");
}

static void ask(struct question *q)
{
    char why[WHY_BYTES];
    if (q->url.transport == REDIS_TLS &&
        !(q->trust = tls_trust_create(&q->url, why, sizeof(why)))) {
        finish(q, ERR_UNAVAILABLE, why);
        return;
    }
    q->resolver = resolver_create(q->loop, on_addresses, q);
    resolver_start(q->resolver, &q->url);
    ev_timer_init(&q->limit, on_limit, LIMIT_SECONDS, 0.);
    q->limit.data = q;
    ev_timer_start(q->loop, &q->limit);
    ev_run(q->loop, 0);
    ev_timer_stop(q->loop, &q->limit);
    resolver_destroy(&q->resolver);
    link_close(&q->link);
    tls_trust_destroy(&q->trust);
}

int broker_redis_functions(const char *url, struct buf *out)
{
    char why[WHY_BYTES];
    struct buf line = {0};
    struct question q = {.magic = QUESTION_MAGIC, .out = &line};
    int err = broker_redis_check_url(url, why, sizeof(why));
    if (!err)
        err = redis_url_parse(span_of(url), &q.url, why, sizeof(why));
    if (err) {
        buf_str(out, why);
        return err;
    }
    q.loop = ev_loop_new(EVFLAG_AUTO);
    ask(&q);
    ev_loop_destroy(q.loop);
    redis_url_free(&q.url);
    buf_span(out, buf_view(&line));
    buf_free(&line);
    return q.err;
}
