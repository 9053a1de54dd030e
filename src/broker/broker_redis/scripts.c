#include "broker/broker_redis/scripts.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/broker_redis/reply.h"
#include "proto/functions.h"

#include <hiredis/hiredis.h>
#include <stdio.h>

/* HEADS: words before the arguments, "EVALSHA <sha> 1 sluice: <function>". */
enum { HEADS = 5, SHA_BYTES = 40, WHY_BYTES = 512, DENIED_FOR_US = 5000000 };

#define FUNCTIONS_NOT_FOUND "ERR Function not found"

static const char needs[] =
    "durable channels need a Redis user with ~sluice:* &sluice:*, either +fcall +function|load or "
    "+evalsha +script|load, and the commands that the text of `sluice functions` lists";

enum form {
    FORM_UNKNOWN,
    FORM_ASKING, /* calls wait until it is known */
    FORM_FUNCTION,
    FORM_SCRIPT,
    FORM_DENIED, /* for a while: rights may be given to a connection that stands */
};

struct scripts {
    struct commands *commands; /* borrowed */
    bool attached;
    enum form form;
    bool found_another; /* a library of our name was there where a function of it was not */
    uint64_t denied_at; /* by clock_mono_us */
    char sha[SHA_BYTES + 1];
    char why[WHY_BYTES];  /* why it is detached or denied */
    struct list waiting;  /* struct script_call: until the form is known */
    struct list answered; /* struct script_call: those of them that are being refused */
};

struct script_call {
    struct list node;
    struct scripts *owner; /* borrowed; set by each send */
    const char *function;  /* borrowed, static */
    script_fn *fn;
    void *arg; /* borrowed: the caller's */
    bool repeated;
    size_t argc;
    struct span argv[HEADS + SCRIPT_ARGUMENTS]; /* heads first; the rest points into `bytes` */
    char bytes[];
};

static void ask(struct scripts *s);

struct scripts *scripts_create(struct commands *commands)
{
    struct scripts *s = mem_zalloc(sizeof(*s));
    s->commands = commands;
    snprintf(s->why, sizeof(s->why), "still connecting");
    list_init(&s->waiting);
    list_init(&s->answered);
    return s;
}

void scripts_destroy(struct scripts **s)
{
    mem_free(*s);
    *s = NULL;
}

void scripts_attach(struct scripts *s)
{
    s->attached = true;
    s->form = FORM_UNKNOWN;
    s->found_another = false;
}

/* What a callback sends anew while these are answered waits for another turn. */
static void refuse_waiting(struct scripts *s, int err, const char *why,
                           const struct redisReply *reply)
{
    struct list *node;
    while ((node = list_first(&s->waiting))) {
        list_remove(node);
        list_append(&s->answered, node);
    }
    while ((node = list_first(&s->answered))) {
        struct script_call *call = LIST_ENTRY(node, struct script_call, node);
        list_remove(node);
        call->fn(call->arg, err, why, reply);
    }
}

void scripts_refuse(struct scripts *s, const char *why)
{
    s->attached = false;
    snprintf(s->why, sizeof(s->why), "%s", why);
}

void scripts_detach(struct scripts *s)
{
    refuse_waiting(s, ERR_UNAVAILABLE, s->why, NULL);
}

/* Finding the form out */

/* Redis cannot tell now (it loads, is busy, out of memory, a replica): the next call asks again. */
static void give_up(struct scripts *s, const struct redisReply *reply)
{
    char why[WHY_BYTES];
    s->form = FORM_UNKNOWN;
    refuse_waiting(s, ERR_UNAVAILABLE, reply_explain(reply, why, sizeof(why)), reply);
}

static void deny(struct scripts *s, const struct redisReply *reply)
{
    char text[160], why[WHY_BYTES];
    reply_explain(reply, text, sizeof(text));
    snprintf(why, sizeof(why), "%s (%s)", text, needs);
    s->form = FORM_DENIED;
    s->denied_at = clock_mono_us(&clock_system);
    if (strcmp(s->why, why) != 0) /* asked again and again, said once */
        log_warn("broker", "no durable messages: %s", why);
    memcpy(s->why, why, sizeof(s->why));
    refuse_waiting(s, ERR_DENIED, why, NULL);
}

static void send_heads(struct script_call *call, size_t first, struct span verb, struct span what)
{
    struct span *heads = call->argv + first;
    heads[0] = verb;
    heads[1] = what;
    heads[2] = span_of("1");
    heads[3] = span_of("sluice:");
}

static void on_reply(void *arg, const struct redisReply *reply);

static void dispatch(struct scripts *s, struct script_call *call)
{
    bool function = s->form == FORM_FUNCTION;
    size_t first = function ? 1 : 0;
    if (function)
        send_heads(call, first, span_of("FCALL"), span_of(call->function));
    else
        send_heads(call, first, span_of("EVALSHA"), span_make(s->sha, SHA_BYTES));
    if (!function)
        call->argv[HEADS - 1] = span_of(call->function);
    commands_call(s->commands, HEADS - first + call->argc, call->argv + first, on_reply, call);
}

static void settle(struct scripts *s, enum form form)
{
    s->form = form;
    s->why[0] = '\0';
    for (struct list *node; (node = list_first(&s->waiting));) {
        list_remove(node);
        dispatch(s, LIST_ENTRY(node, struct script_call, node));
    }
}

static bool is_refusal(const struct redisReply *reply)
{
    return reply_has_code(reply, "NOPERM") || reply_has_code(reply, "ERR ");
}

static void on_script_loaded(void *arg, const struct redisReply *reply)
{
    struct scripts *s = arg;
    struct span sha = reply_bytes(reply);
    if (!reply)
        return;
    if (!reply_is_error(reply) && sha.len == SHA_BYTES) {
        memcpy(s->sha, sha.ptr, SHA_BYTES);
        log_info("broker", "durable messages go by scripts (EVALSHA)");
        settle(s, FORM_SCRIPT);
    } else if (is_refusal(reply)) {
        deny(s, reply);
    } else {
        give_up(s, reply);
    }
}

static void load_script(struct scripts *s)
{
    const struct span argv[] = {span_of("SCRIPT"), span_of("LOAD"), span_of(sluice_script())};
    commands_call(s->commands, 3, argv, on_script_loaded, s);
}

static void on_library_loaded(void *arg, const struct redisReply *reply)
{
    struct scripts *s = arg;
    char text[160];
    if (!reply)
        return;
    if (!reply_is_error(reply)) {
        log_info("broker", "loaded version %d of the function library", SLUICE_FUNCTIONS_VERSION);
        settle(s, FORM_FUNCTION);
    } else if (!s->found_another && reply_has_code(reply, "ERR Library")) {
        /* Another gateway was quicker, maybe a newer one. */
        s->found_another = true;
        ask(s);
    } else if (is_refusal(reply)) {
        log_info("broker", "cannot load the function library: %s",
                 reply_explain(reply, text, sizeof(text)));
        load_script(s);
    } else {
        give_up(s, reply);
    }
}

/* Without REPLACE where nothing was found, so that a newer one that comes meanwhile stays. */
static void load_library(struct scripts *s, bool replace)
{
    struct span argv[4] = {span_of("FUNCTION"), span_of("LOAD")};
    size_t n = 2;
    if (replace)
        argv[n++] = span_of("REPLACE");
    argv[n++] = span_of(sluice_functions);
    commands_call(s->commands, n, argv, on_library_loaded, s);
}

static void compare_version(struct scripts *s, long long version)
{
    if (version < SLUICE_FUNCTIONS_VERSION) {
        load_library(s, true);
        return;
    }
    if (version > SLUICE_FUNCTIONS_VERSION)
        log_info("broker",
                 "the function library of Redis is newer than this gateway's: %lld, not %d",
                 version, SLUICE_FUNCTIONS_VERSION);
    settle(s, FORM_FUNCTION);
}

static void on_version(void *arg, const struct redisReply *reply)
{
    struct scripts *s = arg;
    if (!reply)
        return;
    if (reply->type == REDIS_REPLY_INTEGER)
        compare_version(s, reply->integer);
    else if (reply_has_code(reply, FUNCTIONS_NOT_FOUND))
        load_library(s, s->found_another);
    else if (is_refusal(reply))
        load_script(s);
    else
        give_up(s, reply);
}

static void ask(struct scripts *s)
{
    const struct span argv[] = {span_of("FCALL"), span_of("sluice_version"), span_of("1"),
                                span_of("sluice:")};
    s->form = FORM_ASKING;
    commands_call(s->commands, 4, argv, on_version, s);
}

/* Calls */

struct script_call *script_call_create(const char *function, size_t argc, const struct span *argv,
                                       script_fn *fn, void *arg)
{
    size_t bytes = 0;
    argc = argc < SCRIPT_ARGUMENTS ? argc : SCRIPT_ARGUMENTS;
    for (size_t i = 0; i < argc; i++)
        bytes += argv[i].len;
    struct script_call *call = mem_zalloc(sizeof(*call) + bytes);
    call->function = function;
    call->fn = fn;
    call->arg = arg;
    call->argc = argc;
    char *to = call->bytes;
    for (size_t i = 0; i < argc; i++) {
        if (argv[i].len)
            memcpy(to, argv[i].ptr, argv[i].len);
        call->argv[HEADS + i] = span_make(to, argv[i].len);
        to += argv[i].len;
    }
    return call;
}

void script_call_destroy(struct script_call **call)
{
    mem_free(*call);
    *call = NULL;
}

static void route(struct scripts *s, struct script_call *call)
{
    if (!s->attached) {
        call->fn(call->arg, ERR_UNAVAILABLE, s->why, NULL);
    } else if (s->form == FORM_FUNCTION || s->form == FORM_SCRIPT) {
        dispatch(s, call);
    } else if (s->form == FORM_DENIED) {
        call->fn(call->arg, ERR_DENIED, s->why, NULL);
    } else {
        list_append(&s->waiting, &call->node);
        if (s->form == FORM_UNKNOWN)
            ask(s);
    }
}

void scripts_send(struct scripts *s, struct script_call *call)
{
    call->owner = s;
    call->repeated = false;
    if (s->form == FORM_DENIED && clock_mono_us(&clock_system) - s->denied_at > DENIED_FOR_US)
        s->form = FORM_UNKNOWN;
    route(s, call);
}

/* FUNCTION FLUSH, SCRIPT FLUSH, or another server behind the same connection. */
static void load_again(struct scripts *s, struct script_call *call)
{
    call->repeated = true;
    if (s->form == FORM_FUNCTION || s->form == FORM_SCRIPT) {
        log_info("broker", "the function library has gone from Redis");
        s->form = FORM_UNKNOWN;
        s->found_another = false;
    }
    route(s, call);
}

static void refused(struct scripts *s, struct script_call *call, const struct redisReply *reply)
{
    static const char ours[] = "ERR sluice: ";
    char text[200], why[WHY_BYTES];
    reply_explain(reply, text, sizeof(text));
    if (reply_has_code(reply, ours)) {
        call->fn(call->arg, ERR_INVALID, text + sizeof(ours) - 1, reply);
    } else if (reply_has_code(reply, "NOPERM")) {
        snprintf(why, sizeof(why), "%s (%s)", text, needs);
        call->fn(call->arg, ERR_DENIED, why, reply);
    } else {
        call->fn(call->arg, ERR_UNAVAILABLE, text, reply);
    }
}

static void on_reply(void *arg, const struct redisReply *reply)
{
    struct script_call *call = arg;
    struct scripts *s = call->owner;
    bool missing = reply_has_code(reply, "NOSCRIPT") || reply_has_code(reply, FUNCTIONS_NOT_FOUND);
    if (!reply)
        call->fn(call->arg, ERR_UNAVAILABLE, "the connection to Redis is lost", NULL);
    else if (missing && !call->repeated)
        load_again(s, call);
    else if (reply_is_error(reply))
        refused(s, call, reply);
    else
        call->fn(call->arg, 0, NULL, reply);
}
