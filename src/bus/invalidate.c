/*
 * One invalidation on its way: doom its patterns (fills that began before are refused from then
 * on), sweep them, delete and announce the rest slice by slice, and finish what was too large for
 * one call of each; then, if asked to, await.c waits until every live peer has confirmed it.
 */
#include "base/err.h"
#include "base/mem.h"
#include "base/random.h"
#include "bus/bus_private.h"
#include "proto/event_id.h"
#include "proto/json_read.h"
#include "proto/json_text.h"

#include <stdio.h>

static const uint64_t ms_us = 1000;

static void job_free(struct job *j)
{
    list_remove(&j->node);
    j->bus->job_count--;
    j->bus->room -= j->room;
    bus_request_free(j->request);
    slices_free(&j->slices);
    buf_free(&j->patterns);
    buf_free(&j->tags);
    mem_free(j->awaited);
    mem_free(j);
}

static void job_fail(struct job *j, int err, const char *why)
{
    metrics_add(&j->bus->options.metrics->invalidations_failed, 1);
    bus_fail(j->bus, j->worker, j->request, err, why);
    j->request = NULL;
    job_free(j);
}

/* The answer */

static void write_names(struct buf *out, const struct job *j, bool acked)
{
    bool any = false;
    buf_str(out, acked ? ",\"acked\":[" : ",\"pending\":[");
    for (size_t i = 0; i < j->awaited_count; i++) {
        if (j->awaited[i].acked != acked)
            continue;
        if (any)
            buf_byte(out, ',');
        json_text_string(out, span_of(j->awaited[i].name));
        any = true;
    }
    buf_byte(out, ']');
}

static void write_waiting(struct buf *out, const struct job *j, uint64_t now)
{
    write_names(out, j, true);
    write_names(out, j, false);
    uint64_t left = now < j->settled_us ? (j->settled_us - now) / ms_us + 1 : 0;
    if (left)
        buf_printf(out, ",\"settling\":%llu", (unsigned long long)left);
}

void invalidate_answer(struct job *j)
{
    struct buf out = {0};
    char id[EVENT_ID_TEXT];
    uint64_t now = bus_now(j->bus);
    (void)event_id_format(id, j->id);
    buf_printf(&out, "{\"id\":\"%s\",\"deleted\":%llu,\"tags\":{", id,
               (unsigned long long)j->deleted);
    buf_span(&out, buf_view(&j->tags));
    buf_byte(&out, '}');
    if (j->request->wait)
        write_waiting(&out, j, now);
    buf_byte(&out, '}');
    bool whole = !j->request->wait || await_is_whole(j, now);
    bus_reply(j->bus, j->worker, j->request, whole ? 200 : 202, buf_view(&out));
    j->request = NULL;
    buf_free(&out);
    job_free(j);
}

/* Slice by slice */

static void announced(struct job *j, struct span live)
{
    peers_accepted(j->bus, j->id, j->request->accepted_us, j->origin);
    metrics_add(&j->bus->options.metrics->invalidations, 1);
    if (j->request->wait)
        await_begin(j, live);
    else
        invalidate_answer(j);
}

static void send_slice(struct job *j);

static void slice_done(struct job *j, struct span live)
{
    uint64_t id = answer_id(live, "id");
    j->id = id > j->id ? id : j->id;
    if (++j->sent < j->slices.count)
        send_slice(j);
    else
        announced(j, live);
}

static void on_pending_done(void *arg, int err, const char *why, struct span text, uint64_t deleted)
{
    struct job *j = arg;
    j->deleted += deleted;
    if (err)
        job_fail(j, err, why);
    else
        slice_done(j, text);
}

static bool is_last(const struct job *j)
{
    return j->sent + 1 == j->slices.count;
}

/* The members of the answer's object, behind those that are there. */
static void add_tags(struct job *j, struct span text)
{
    struct buf tags = {0};
    if (answer_field(text, "tags", &tags) && tags.len > 2) {
        if (j->tags.len)
            buf_byte(&j->tags, ',');
        buf_append(&j->tags, tags.data + 1, tags.len - 2);
    }
    buf_free(&tags);
}

static void on_invalidated(void *arg, int err, const char *why, struct span text)
{
    struct job *j = arg;
    struct buf pending = {0};
    if (err) {
        job_fail(j, err, why);
        return;
    }
    j->deleted += answer_number(text, "deleted");
    add_tags(j, text);
    if (answer_field(text, "pending", &pending) && pending.len)
        pending_finish(j->bus, buf_view(&pending), j->request->wait && is_last(j), on_pending_done,
                       j);
    else
        slice_done(j, text);
    buf_free(&pending);
}

/* A call that is made again after a lost connection deletes and announces once by its key. */
static void ensure_key(struct bus_request *r)
{
    char own[33];
    if (r->key)
        return;
    random_hex(own, sizeof(own) - 1);
    r->key = mem_strdup(own);
}

static void send_slice(struct job *j)
{
    const struct bus_store *store = &j->bus->options.store;
    struct buf key = {0};
    ensure_key(j->request);
    buf_str(&key, j->request->key ? j->request->key : "");
    if (j->sent > 0) /* no caller's key has a line feed */
        buf_printf(&key, "\n%zu", j->sent);
    const struct span args[] = {
        slices_body(&j->slices, j->sent),
        span_of("tag_prefix"),
        span_of(j->bus->options.tag_prefix),
        span_of("live"),
        span_of(j->request->wait && is_last(j) ? "1" : "0"),
        span_of("roll"),
        span_of(j->bus->roll.version),
        span_of("key"),
        buf_view(&key),
    };
    j->called_us = bus_now(j->bus);
    store->call(store->ctx, "sluice_invalidate", args, j->request->key ? 9 : 7, on_invalidated, j);
    buf_free(&key);
}

/* Patterns */

static void sweep_next(struct job *j);

static void on_swept(void *arg, int err, const char *why, uint64_t count)
{
    struct job *j = arg;
    if (err) {
        job_fail(j, err, why);
        return;
    }
    j->deleted += count;
    sweep_next(j);
}

static void sweep_next(struct job *j)
{
    const struct bus_store *store = &j->bus->options.store;
    size_t len;
    if (j->swept_to == j->patterns.len) {
        send_slice(j);
        return;
    }
    memcpy(&len, j->patterns.data + j->swept_to, sizeof(len));
    struct span pattern = span_make(j->patterns.data + j->swept_to + sizeof(len), len);
    j->swept_to += sizeof(len) + len;
    store->sweep(store->ctx, pattern, on_swept, j);
}

static void doom_next(struct job *j);

static void on_doomed(void *arg, int err, const char *why, struct span text)
{
    struct job *j = arg;
    if (err)
        job_fail(j, err, why);
    else
        doom_next(j);
}

static void doom_next(struct job *j)
{
    const struct bus_store *store = &j->bus->options.store;
    while (j->doomed < j->slices.count && !j->slices.list[j->doomed].patterns)
        j->doomed++;
#ifdef SLUICE_MUTANT_no_doom
    j->doomed = j->slices.count;
#endif
    if (j->doomed == j->slices.count) {
        sweep_next(j);
        return;
    }
    const struct span args[] = {slices_body(&j->slices, j->doomed++)};
    store->call(store->ctx, "sluice_doom", args, 1, on_doomed, j);
}

static void add_pattern(void *ctx, struct span element)
{
    struct job *j = ctx;
    struct json_reader r;
    struct buf text = {0};
    json_read_begin(&r, element);
    json_read_string(&r, &text);
    if (!r.error) {
        buf_append(&j->patterns, &text.len, sizeof(text.len));
        buf_span(&j->patterns, buf_view(&text));
    }
    buf_free(&text);
}

static struct job *job_create(struct bus *bus, uint32_t worker, struct bus_request *request)
{
    struct job *j = mem_zalloc(sizeof(*j));
    struct span body = buf_view(&request->body);
    struct buf origin = {0};
    j->bus = bus;
    j->worker = worker;
    j->request = request;
    if (answer_field(body, "origin", &origin))
        snprintf(j->origin, sizeof(j->origin), "%s", buf_cstr(&origin));
    buf_free(&origin);
    answer_each(body, "patterns", add_pattern, j);
    slices_make(&j->slices, body);
    bus->job_count++;
    list_append(&bus->jobs, &j->node);
    return j;
}

/* Those that are announced and only wait, be it for a client that has gone, must not keep others
 * from invalidating: who has waited the longest is told who is pending by now. */
static void make_room(struct bus *bus)
{
    LIST_FOREACH (n, &bus->jobs) {
        struct job *j = LIST_ENTRY(n, struct job, node);
        if (!j->waits)
            continue;
        invalidate_answer(j);
        return;
    }
}

void invalidate_begin(struct bus *bus, uint32_t worker, struct bus_request *request)
{
    if (bus->job_count >= JOBS_MOST)
        make_room(bus);
    if (bus->job_count >= JOBS_MOST) {
        metrics_add(&bus->options.metrics->invalidations_failed, 1);
        bus_fail(bus, worker, request, ERR_FULL, "too many invalidations are under way");
        return;
    }
    struct job *j = job_create(bus, worker, request);
    if (request->wait && !await_admit(bus, j))
        job_fail(j, ERR_FULL, "too many peers are waited for: nothing was invalidated");
    else
        doom_next(j);
}

void invalidate_end(struct bus *bus)
{
    for (struct list *n; (n = list_first(&bus->jobs));)
        job_free(LIST_ENTRY(n, struct job, node));
}
