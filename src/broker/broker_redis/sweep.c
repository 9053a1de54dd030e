#include "broker/broker_redis/sweep.h"

#include "base/err.h"
#include "base/mem.h"
#include "broker/broker_redis/reply.h"

#include <hiredis/hiredis.h>
#include <stdio.h>

/* Keys looked at in one SCAN; what it finds is unlinked in one command. */
#define SCAN_COUNT "1000"

enum { CURSOR_TEXT = 24 };

struct sweep {
    struct commands *commands; /* borrowed */
    broker_count_cb *cb;
    void *arg; /* borrowed: the caller's */
    uint64_t count;
    char cursor[CURSOR_TEXT];
    size_t pattern_len;
    char pattern[];
};

static void scan(struct sweep *s);

static void end(struct sweep *s, int err, const char *why)
{
    s->cb(s->arg, err, why, s->count);
    mem_free(s);
}

static void fail(struct sweep *s, const struct redisReply *reply)
{
    char why[200];
    if (!reply)
        end(s, ERR_UNAVAILABLE, "the connection to Redis was lost while keys were being removed");
    else if (!reply_is_error(reply))
        end(s, ERR_UNAVAILABLE, "Redis gave an odd answer while keys were being removed");
    else
        end(s, reply_has_code(reply, "NOPERM") ? ERR_DENIED : ERR_UNAVAILABLE,
            reply_explain(reply, why, sizeof(why)));
}

static void go_on(struct sweep *s)
{
    if (strcmp(s->cursor, "0") == 0)
        end(s, 0, NULL);
    else
        scan(s);
}

static void on_unlinked(void *arg, const struct redisReply *reply)
{
    struct sweep *s = arg;
    if (!reply || reply->type != REDIS_REPLY_INTEGER) {
        fail(s, reply);
        return;
    }
    s->count += reply->integer > 0 ? (uint64_t)reply->integer : 0;
    go_on(s);
}

static void unlink_all(struct sweep *s, const struct redisReply *keys)
{
    struct span *argv = mem_alloc((keys->elements + 1) * sizeof(*argv));
    size_t n = 0;
    argv[n++] = span_of("UNLINK");
    for (size_t i = 0; i < keys->elements; i++) {
        struct span key = reply_bytes(keys->element[i]);
        if (key.ptr && !span_starts(key, "sluice:"))
            argv[n++] = key;
    }
    if (n > 1)
        commands_call(s->commands, n, argv, on_unlinked, s);
    else
        go_on(s);
    mem_free(argv);
}

static void on_scanned(void *arg, const struct redisReply *reply)
{
    struct sweep *s = arg;
    struct span cursor = reply_bytes(reply_element(reply, 0));
    const struct redisReply *keys = reply_element(reply, 1);
    if (!cursor.ptr || cursor.len >= CURSOR_TEXT || !keys || keys->type != REDIS_REPLY_ARRAY) {
        fail(s, reply);
        return;
    }
    memcpy(s->cursor, cursor.ptr, cursor.len);
    s->cursor[cursor.len] = '\0';
    unlink_all(s, keys);
}

static void scan(struct sweep *s)
{
    const struct span argv[] = {
        span_of("SCAN"),  span_of(s->cursor),
        span_of("MATCH"), span_make(s->pattern, s->pattern_len),
        span_of("COUNT"), span_of(SCAN_COUNT),
    };
    commands_call(s->commands, 6, argv, on_scanned, s);
}

void sweep_begin(struct commands *commands, struct span pattern, broker_count_cb *cb, void *arg)
{
    struct sweep *s = mem_zalloc(sizeof(*s) + pattern.len);
    s->commands = commands;
    s->cb = cb;
    s->arg = arg;
    s->cursor[0] = '0';
    s->pattern_len = pattern.len;
    memcpy(s->pattern, pattern.ptr, pattern.len);
    scan(s);
}
