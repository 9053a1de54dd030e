/* Which dataset of the broker's it is, and whether it still has what it gave out. */
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "hub/core_private.h"

enum {
    FOREIGN_US = 30 * 1000000, /* between two questions because of one foreign epoch */
    REFUSED_US = 5 * 1000000,  /* between two that are refused */
};

void dataset_heard(struct core *core, uint64_t id)
{
    struct durable *d = &core->durable;
    /* Before this connection's hello has been answered it may be of another reign than the one that
     * the next hello names. */
    if (d->state == DURABLE_OFF || d->state == DURABLE_HELLO || id <= d->clock)
        return;
    d->clock = id;
    d->clock_us = clock_mono_us(core->options.clock);
}

struct hello_ref {
    struct core *core;
    uint64_t number;
};

/* Everything known is of no use: it belongs to another dataset, or to a past that Redis lost. */
static void forget_all(struct core *core, uint64_t clock)
{
    struct durable *d = &core->durable;
    for (struct history *h = histories_latest(d->histories), *before; h; h = before) {
        before = histories_before(d->histories, h);
        history_reset(d->histories, h, clock);
    }
    for (int kind = 0; kind < 2; kind++) {
        size_t cursor = 0;
        for (struct topic *t; (t = topics_next(core->topics, kind, &cursor));)
            t->indexed = t->base = clock;
    }
    d->released = d->frontier = d->settled = clock;
    d->pruned = d->index_pruned = 0;
}

/* Ids may even be lower than before. */
static void tell_all(struct core *core, uint64_t from, uint64_t clock)
{
    const struct durable_gap gap = {
        .reason = "redis", .from = from, .upto = clock, .id = clock, .anew = true};
    for (uint32_t w = 0; w < core->options.workers; w++) {
        struct msg *m = msg_create(MSG_FRONTIER, w);
        m->id = clock;
        downlink_post(&core->options.downlinks[w], m);
    }
    for (int kind = 0; kind < 2; kind++) {
        size_t cursor = 0;
        for (struct topic *t; (t = topics_next(core->topics, kind, &cursor));)
            if (t->wanted & PART_NOTES && t->streams)
                core_tell_durable_gap(core, t, &gap);
    }
    replay_restart(core);
}

static void keep_dataset(struct core *core, const struct broker_dataset *s)
{
    struct durable *d = &core->durable;
    buf_reset(&d->epoch);
    buf_span(&d->epoch, s->epoch);
    buf_reset(&d->boot);
    buf_span(&d->boot, s->boot);
    mem_free(d->why);
    d->why = NULL;
    d->clock = s->clock;
    d->clock_us = clock_mono_us(core->options.clock);
    d->rewound = s->floor;
    d->born = s->born;
    d->longest_us = s->longest_us;
    mem_free(d->windows);
    d->windows = mem_dup(s->windows, s->window_count * sizeof(*s->windows));
    d->window_count = s->window_count;
}

static void on_dataset(struct core *core, const struct broker_dataset *s)
{
    struct durable *d = &core->durable;
    bool first = d->epoch.len == 0;
    bool rewound = s->verdict != DATASET_SAME || s->floor > d->rewound;
    uint64_t from = durable_head(core);
    keep_dataset(core, s);
    /* The first time subscriptions may have been confirmed before anything was known. */
    if (first)
        forget_all(core, s->clock);
#ifndef SLUICE_MUTANT_no_rewind
    if (!first && rewound) {
        log_warn("hub", "redis is not what it was (%s): history is read anew and clients are told",
                 s->verdict == DATASET_NEW ? "another dataset" : "it lost messages");
        forget_all(core, s->clock);
        tell_all(core, from, s->clock);
        core_tell_bus(core, true); /* peers that it knew are forgotten with the rest */
    }
#endif
    d->state = DURABLE_WAITING;
    if (d->unconfirmed == 0)
        heal_begin(core);
}

/* Rights may be given to a connection that stands: the tick asks again. Said once. */
static void refuse(struct core *core, const char *why)
{
    struct durable *d = &core->durable;
    if (!d->why || strcmp(d->why, why) != 0)
        log_error("hub", "channels with history cannot be had: %s", why);
    d->state = DURABLE_REFUSED;
    d->fence_due_us = clock_mono_us(core->options.clock) + REFUSED_US;
    char *copy = mem_strdup(why);
    mem_free(d->why);
    d->why = copy;
    notes_clear(&d->held);
    replay_refuse(core, d->why);
}

static void on_hello(void *arg, int err, const char *why, const struct broker_dataset *s)
{
    struct hello_ref *ref = arg;
    struct core *core = ref->core;
    struct durable *d = &core->durable;
    bool ours = ref->number == d->asked && d->state == DURABLE_HELLO;
    mem_free(ref);
    if (!ours)
        return;
    if (err == ERR_UNAVAILABLE || err == ERR_TIMEOUT)
        d->ask_again = true; /* the connection is going; if it is not, the tick asks again */
    else if (err)
        refuse(core, why);
    else
        on_dataset(core, s);
}

void dataset_ask(struct core *core)
{
    struct durable *d = &core->durable;
    struct hello_ref *ref = mem_alloc(sizeof(*ref));
    if (!core->broker || !core->up) {
        mem_free(ref);
        return;
    }
    heal_end(core);
    d->state = DURABLE_HELLO;
    d->fenced = d->indexing = false;      /* answers to those under way are nobody's */
    d->ask_again = d->heal_again = false; /* the answer begins a healing of its own */
    *ref = (struct hello_ref){.core = core, .number = ++d->asked};
    uint64_t head = durable_head(core);
    core->broker->ops->hello(core->broker, buf_view(&d->epoch), buf_view(&d->boot),
                             d->clock > head ? d->clock : head, on_hello, ref);
}

bool dataset_is_ours(struct core *core, struct span epoch)
{
    struct durable *d = &core->durable;
    if (span_eq(epoch, buf_view(&d->epoch)))
        return true;
    metrics_add(&core->options.metrics->foreign_notices, 1);
    uint64_t now = clock_mono_us(core->options.clock);
    /* Another database's, or ours has been replaced: ask, but not at every notice. */
    bool known = d->foreign.len && span_eq(epoch, buf_view(&d->foreign));
    if (known && now - d->foreign_us < FOREIGN_US)
        return false;
    buf_reset(&d->foreign);
    buf_span(&d->foreign, epoch);
    d->foreign_us = now;
    if (d->state == DURABLE_LIVE || d->state == DURABLE_HEALING)
        dataset_ask(core);
    return false;
}
