#include "broker/broker_redis/commands.h"

#include "base/cast.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "base/mem.h"
#include "broker/broker_redis/reply.h"

#include <ev.h>
#include <hiredis/hiredis.h>
#include <stdio.h>

enum { COMMANDS_MAGIC = 0x636d6473 };

struct commands {
    uint32_t magic;
    struct ev_loop *loop; /* borrowed */
    struct link *link;    /* borrowed; NULL: detached */
    struct guard *guard;  /* borrowed */
    uint64_t timeout_us;
    char late[64];     /* what a publish that took longer is told */
    struct list queue; /* struct command, owned, in the order of the replies */
    struct list timed; /* those of them that are publishes still to be answered, oldest first */
    ev_timer timer;    /* for the head of `timed` */
};

/* Either fn or cb is set; neither: it was answered by the time limit, its reply is still to come.
 */
struct command {
    struct list queued, timed;
    uint64_t deadline; /* by clock_mono_us */
    command_fn *fn;
    broker_publish_cb *cb;
    void *arg; /* borrowed: the caller's */
};

/* A timer that is early finds nothing due and is set anew, so that a reply need not touch it. */
static void arm(struct commands *c)
{
    struct list *first = list_first(&c->timed);
    ev_timer_stop(c->loop, &c->timer);
    if (!first)
        return;
    uint64_t now = clock_mono_us(&clock_system);
    uint64_t deadline = LIST_ENTRY(first, struct command, timed)->deadline;
    ev_timer_set(&c->timer, deadline > now ? (double)(deadline - now) / 1e6 : 0., 0.);
    ev_timer_start(c->loop, &c->timer);
}

static void answer(struct command *cmd, int err, const char *why, int64_t receivers)
{
    broker_publish_cb *cb = cmd->cb;
    list_remove(&cmd->timed);
    cmd->cb = NULL;
    if (cb)
        cb(cmd->arg, err, why, receivers);
}

/* The callback may publish more or end the broker, so the head is looked up anew each time. */
static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct commands *c = CAST_CHECKED(struct commands, w->data, COMMANDS_MAGIC);
    struct guard *guard = c->guard;
    uint64_t now = clock_mono_us(&clock_system);
    struct list *first;
    guard_enter(guard);
    while (c->link && (first = list_first(&c->timed))) {
        struct command *cmd = LIST_ENTRY(first, struct command, timed);
        if (cmd->deadline > now)
            break;
        answer(cmd, ERR_TIMEOUT, c->late, 0);
    }
    arm(c);
    guard_leave(guard);
}

struct commands *commands_create(struct ev_loop *loop, struct guard *guard, uint32_t timeout_ms)
{
    struct commands *c = mem_zalloc(sizeof(*c));
    c->magic = COMMANDS_MAGIC;
    c->loop = loop;
    c->guard = guard;
    c->timeout_us = timeout_ms * UINT64_C(1000);
    snprintf(c->late, sizeof(c->late), "Redis did not answer within %u ms", (unsigned)timeout_ms);
    list_init(&c->queue);
    list_init(&c->timed);
    ev_timer_init(&c->timer, on_timer, 0., 0.);
    c->timer.data = c;
    return c;
}

void commands_destroy(struct commands **c)
{
    ev_timer_stop((*c)->loop, &(*c)->timer);
    (*c)->magic = 0;
    mem_free(*c);
    *c = NULL;
}

void commands_attach(struct commands *c, struct link *link)
{
    c->link = link;
}

static struct command *take_head(struct commands *c)
{
    struct list *first = list_first(&c->queue);
    if (!first)
        return NULL;
    list_remove(first);
    return LIST_ENTRY(first, struct command, queued);
}

void commands_detach(struct commands *c, const char *why)
{
    c->link = NULL;
    ev_timer_stop(c->loop, &c->timer);
    for (struct command *cmd; (cmd = take_head(c));) {
        if (cmd->fn)
            cmd->fn(cmd->arg, NULL);
        answer(cmd, ERR_UNAVAILABLE, why, 0);
        mem_free(cmd);
    }
}

static struct command *queue(struct commands *c, size_t argc, const struct span *argv, void *arg)
{
    struct command *cmd = mem_zalloc(sizeof(*cmd));
    cmd->arg = arg;
    list_append(&c->queue, &cmd->queued);
    link_command(c->link, argc, argv);
    return cmd;
}

void commands_call(struct commands *c, size_t argc, const struct span *argv, command_fn *fn,
                   void *arg)
{
    queue(c, argc, argv, arg)->fn = fn;
}

void commands_publish(struct commands *c, struct span channel, struct span payload,
                      broker_publish_cb *cb, void *arg)
{
    const struct span argv[] = {span_of("PUBLISH"), channel, payload};
    struct command *cmd = queue(c, 3, argv, arg);
    cmd->cb = cb;
    cmd->deadline = clock_mono_us(&clock_system) + c->timeout_us;
    list_append(&c->timed, &cmd->timed);
    if (!ev_is_active(&c->timer))
        arm(c);
}

static void answer_publish(struct commands *c, struct command *cmd, const struct redisReply *reply)
{
    char why[200];
    if (reply->type == REDIS_REPLY_INTEGER) {
        answer(cmd, 0, NULL, reply->integer);
        return;
    }
    int err = reply_has_code(reply, "NOPERM") ? ERR_DENIED : ERR_UNAVAILABLE;
    answer(cmd, err, reply_explain(reply, why, sizeof(why)), 0);
}

bool commands_reply(struct commands *c, const struct redisReply *reply)
{
    struct command *cmd = take_head(c);
    if (!cmd)
        return false;
    if (cmd->fn)
        cmd->fn(cmd->arg, reply);
    else if (cmd->cb)
        answer_publish(c, cmd, reply);
    mem_free(cmd);
    return true;
}
