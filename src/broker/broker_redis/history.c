#include "broker/broker_redis/history.h"

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/broker_redis/reply.h"
#include "proto/event_id.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>

/* The largest numbers that the library takes. */
enum { CHANGED_MOST = 100000, READ_MOST = 1000, BYTES_MOST = 536870912, NUMBER_TEXT = 24 };

static const char odd[] = "Redis's answer is not what the function library of this version says";

struct history {
    struct scripts *scripts; /* borrowed */
};

/* One question under way; the kind of answer it has is in the function that reads it. */
struct question {
    struct history *owner;    /* borrowed */
    struct script_call *call; /* owned */
    union {
        broker_hello_cb *hello;
        broker_changes_cb *changes;
        broker_slice_cb *slice;
        broker_back_cb *back;
    } cb;
    void *arg;      /* borrowed: the caller's */
    uint64_t after; /* what is answered lies above */
};

struct history *history_create(struct scripts *scripts)
{
    struct history *h = mem_zalloc(sizeof(*h));
    h->scripts = scripts;
    return h;
}

void history_destroy(struct history **h)
{
    mem_free(*h);
    *h = NULL;
}

static struct question *question_create(struct history *h, void *arg)
{
    struct question *q = mem_zalloc(sizeof(*q));
    q->owner = h;
    q->arg = arg;
    return q;
}

static void question_send(struct question *q, const char *function, size_t argc,
                          const struct span *argv, script_fn *fn)
{
    q->call = script_call_create(function, argc, argv, fn, q);
    scripts_send(q->owner->scripts, q->call);
}

static void question_free(struct question *q)
{
    script_call_destroy(&q->call);
    mem_free(q);
}

static int judge(int err, bool good, const char **why)
{
    if (err)
        return err;
    if (good)
        return 0;
    *why = odd;
    return ERR_UNAVAILABLE;
}

/* Reading answers */

static bool read_id(const struct redisReply *reply, uint64_t *out)
{
    return !reply_is_error(reply) && event_id_parse(reply_bytes(reply), out) == 0;
}

static bool read_text(const struct redisReply *reply, struct span *out)
{
    *out = reply_bytes(reply);
    return out->ptr && !reply_is_error(reply);
}

static bool read_integer(const struct redisReply *reply, uint64_t *out)
{
    if (!reply || reply->type != REDIS_REPLY_INTEGER || reply->integer < 0)
        return false;
    *out = (uint64_t)reply->integer;
    return true;
}

static size_t elements(const struct redisReply *reply)
{
    return reply && reply->type == REDIS_REPLY_ARRAY ? reply->elements : 0;
}

/* hello */

static bool read_verdict(const struct redisReply *reply, enum broker_verdict *out)
{
    static const char *const names[] = {
        [DATASET_SAME] = "same",
        [DATASET_NEW] = "new",
        [DATASET_REWOUND] = "rewound",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (span_is(reply_bytes(reply), names[i])) {
            *out = (enum broker_verdict)i;
            return true;
        }
    return false;
}

/* NULL: it is no list of pairs. Owned by the caller. */
static struct broker_window *read_windows(const struct redisReply *reply, size_t *count)
{
    size_t n = elements(reply) / 2;
    if (!reply || reply->type != REDIS_REPLY_ARRAY || reply->elements % 2)
        return NULL;
    struct broker_window *list = mem_alloc((n + 1) * sizeof(*list));
    for (size_t i = 0; i < n; i++) {
        if (!read_id(reply_element(reply, 2 * i), &list[i].before) ||
            !read_id(reply_element(reply, 2 * i + 1), &list[i].first)) {
            mem_free(list);
            return NULL;
        }
    }
    *count = n;
    return list;
}

static bool read_dataset(const struct redisReply *reply, struct broker_dataset *out)
{
    uint64_t seconds;
    if (elements(reply) < 8 || !read_text(reply_element(reply, 0), &out->epoch) ||
        !read_text(reply_element(reply, 1), &out->boot) ||
        !read_id(reply_element(reply, 2), &out->clock) ||
        !read_id(reply_element(reply, 3), &out->floor) ||
        !read_id(reply_element(reply, 4), &out->born) ||
        !read_integer(reply_element(reply, 5), &seconds) || seconds > UINT32_MAX ||
        !read_verdict(reply_element(reply, 6), &out->verdict))
        return false;
    out->longest_us = seconds * 1000000;
    return true;
}

static void on_hello(void *arg, int err, const char *why, const struct redisReply *reply)
{
    struct question *q = arg;
    struct broker_dataset dataset = {0};
    struct broker_window *list = NULL;
    bool good = !err && read_dataset(reply, &dataset);
    if (good) {
        list = read_windows(reply_element(reply, 7), &dataset.window_count);
        dataset.windows = list;
    }
    err = judge(err, list != NULL, &why);
    q->cb.hello(q->arg, err, why, err ? NULL : &dataset);
    mem_free(list);
    question_free(q);
}

void history_hello(struct history *h, struct span epoch, struct span boot, uint64_t highest,
                   broker_hello_cb *cb, void *arg)
{
    char id[EVENT_ID_TEXT];
    const struct span argv[] = {epoch, boot, span_make(id, event_id_format(id, highest))};
    struct question *q = question_create(h, arg);
    q->cb.hello = cb;
    question_send(q, "sluice_hello", 3, argv, on_hello);
}

/* changed */

static bool read_changes(const struct redisReply *reply, uint64_t after, struct broker_change *list,
                         struct broker_changes *out)
{
    if (!read_id(reply_element(reply, 0), &out->pruned) || elements(reply) % 2 == 0)
        return false;
    out->count = elements(reply) / 2;
    for (size_t i = 0; i < out->count; i++) {
        if (!read_text(reply_element(reply, 2 * i + 1), &list[i].channel) ||
            !read_id(reply_element(reply, 2 * i + 2), &list[i].id) || list[i].id <= after)
            return false;
        after = list[i].id;
    }
    return true;
}

static void on_changed(void *arg, int err, const char *why, const struct redisReply *reply)
{
    struct question *q = arg;
    struct broker_change *list = mem_alloc((elements(reply) / 2 + 1) * sizeof(*list));
    struct broker_changes changes = {.list = list};
    err = judge(err, !err && read_changes(reply, q->after, list, &changes), &why);
    q->cb.changes(q->arg, err, why, err ? NULL : &changes);
    mem_free(list);
    question_free(q);
}

static struct span number(char out[NUMBER_TEXT], uint64_t n, uint64_t most)
{
    n = n > most ? most : n > 0 ? n : 1;
    return span_make(out, (size_t)snprintf(out, NUMBER_TEXT, "%" PRIu64, n));
}

void history_changed(struct history *h, uint64_t after, uint32_t limit, broker_changes_cb *cb,
                     void *arg)
{
    char id[EVENT_ID_TEXT], count[NUMBER_TEXT];
    const struct span argv[] = {span_make(id, event_id_format(id, after)),
                                number(count, limit, CHANGED_MOST)};
    struct question *q = question_create(h, arg);
    q->cb.changes = cb;
    q->after = after;
    question_send(q, "sluice_changed", 2, argv, on_changed);
}

/* read */

enum { SLICE_HEAD = 3, RECORD_WORDS = 4 };

static bool read_record(const struct redisReply *reply, size_t at, uint64_t after,
                        struct broker_record *out)
{
    if (!read_id(reply_element(reply, at), &out->id) || out->id <= after ||
        !read_id(reply_element(reply, at + 1), &out->previous) || out->previous >= out->id ||
        !read_text(reply_element(reply, at + 2), &out->event) ||
        !read_text(reply_element(reply, at + 3), &out->data))
        return false;
    if (out->event.len == 0)
        out->event.ptr = NULL;
    return true;
}

static bool read_slice(const struct redisReply *reply, uint64_t after, struct broker_record *list,
                       struct broker_slice *out)
{
    uint64_t more;
    if (elements(reply) < SLICE_HEAD || (elements(reply) - SLICE_HEAD) % RECORD_WORDS ||
        !read_id(reply_element(reply, 0), &out->last) ||
        !read_id(reply_element(reply, 1), &out->lost) ||
        !read_integer(reply_element(reply, 2), &more))
        return false;
    out->more = more > 0;
    out->count = (elements(reply) - SLICE_HEAD) / RECORD_WORDS;
    for (size_t i = 0; i < out->count; i++) {
        if (!read_record(reply, SLICE_HEAD + RECORD_WORDS * i, after, &list[i]))
            return false;
        after = list[i].id;
    }
    return true;
}

static void on_read(void *arg, int err, const char *why, const struct redisReply *reply)
{
    struct question *q = arg;
    struct broker_record *list = mem_alloc((elements(reply) / RECORD_WORDS + 1) * sizeof(*list));
    struct broker_slice slice = {.records = list};
    err = judge(err, !err && read_slice(reply, q->after, list, &slice), &why);
    q->cb.slice(q->arg, err, why, err ? NULL : &slice);
    mem_free(list);
    question_free(q);
}

void history_read(struct history *h, struct span channel, uint64_t after, uint32_t limit,
                  uint64_t bytes, broker_slice_cb *cb, void *arg)
{
    char id[EVENT_ID_TEXT], count[NUMBER_TEXT], most[NUMBER_TEXT];
    const struct span argv[] = {channel, span_make(id, event_id_format(id, after)),
                                number(count, limit, READ_MOST), number(most, bytes, BYTES_MOST)};
    struct question *q = question_create(h, arg);
    q->cb.slice = cb;
    q->after = after;
    question_send(q, "sluice_read", 4, argv, on_read);
}

/* back */

static void on_back(void *arg, int err, const char *why, const struct redisReply *reply)
{
    struct question *q = arg;
    uint64_t id = 0;
    err = judge(err, !err && read_id(reply, &id), &why);
    q->cb.back(q->arg, err, why, id);
    question_free(q);
}

void history_last(struct history *h, struct span channel, uint32_t count, uint64_t bytes,
                  broker_back_cb *cb, void *arg)
{
    char many[NUMBER_TEXT], most[NUMBER_TEXT];
    const struct span argv[] = {channel, number(many, count, READ_MOST),
                                number(most, bytes, BYTES_MOST)};
    struct question *q = question_create(h, arg);
    q->cb.back = cb;
    question_send(q, "sluice_back", 3, argv, on_back);
}

/* fence */

static void on_fenced(void *arg, int err, const char *why, const struct redisReply *reply)
{
    struct question *q = arg;
    if (err && reply)
        log_warn("broker", "a durable beat was refused: %s", why);
    question_free(q);
}

void history_fence(struct history *h, struct span channel)
{
    question_send(question_create(h, NULL), "sluice_beat", 1, &channel, on_fenced);
}
