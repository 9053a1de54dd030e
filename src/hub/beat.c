/*
 * The beat: a fence shows that all notices before it have come, and the index that each message up
 * to it had one. Then the frontier moves, also where nothing is published.
 */
#include "base/mem.h"
#include "hub/core_private.h"

struct check_ref {
    struct core *core;
    uint64_t asked;  /* of the dataset's hello */
    uint64_t number; /* of the look-up */
    uint64_t fence;  /* which came round, */
    uint64_t upto;   /* with this clock */
};

static void check_index(const struct check_ref *check, uint64_t after);

static void move_frontier(struct core *core, uint64_t id)
{
    struct durable *d = &core->durable;
    if (id <= d->frontier)
        return;
    d->frontier = id;
    for (uint32_t w = 0; w < core->options.workers; w++) {
        if (core->overflowed[w]) /* some below it are not posted: its streams are to hear that first
                                  */
            continue;
        struct msg *m = msg_create(MSG_FRONTIER, w);
        m->id = id;
        downlink_post(&core->options.downlinks[w], m);
    }
}

/* Has the index a message up to the fence that no notice brought? */
static bool index_tells_more(struct core *core, const struct broker_changes *changes, uint64_t upto)
{
    const struct durable *d = &core->durable;
    for (size_t i = 0; i < changes->count; i++) {
        struct span name = changes->list[i].channel;
        if (changes->list[i].id > upto)
            break;
        if (!core_strip(core, TOPIC_CHANNEL, &name) || !durable_covered(core, name))
            continue;
        const struct history *h = histories_find(d->histories, name);
        if (changes->list[i].id > (h ? h->known : durable_begins(core, name)))
            return true;
    }
    return false;
}

enum { PAGE = 1000 };

static void on_checked(void *arg, int err, const char *why, const struct broker_changes *changes)
{
    struct check_ref *ref = arg;
    struct core *core = ref->core;
    struct durable *d = &core->durable;
    const struct check_ref check = *ref;
    mem_free(ref);
    if (check.number != d->checks)
        return; /* another fence has come since */
    if (err || check.asked != d->asked || d->state != DURABLE_LIVE) {
        d->fenced = false;
        return;
    }
#ifndef SLUICE_MUTANT_no_index_check
    if (heal_pruned(core, changes->pruned) || index_tells_more(core, changes, check.upto)) {
        metrics_add(&core->options.metrics->holes, 1);
        d->fenced = false;
        d->hole = true;
        heal_begin(core);
        return;
    }
#endif
    if (changes->count == PAGE && changes->list[PAGE - 1].id < check.upto) {
        check_index(&check, changes->list[PAGE - 1].id);
        return;
    }
    d->fenced = false;
    d->checked = check.fence;
    d->look = true;
    move_frontier(core, check.upto);
}

static void check_index(const struct check_ref *check, uint64_t after)
{
    struct check_ref *ref = mem_dup(check, sizeof(*check));
    struct broker *broker = check->core->broker;
    broker->ops->changed(broker, after, PAGE, on_checked, ref);
}

void durable_fence(struct core *core, struct span epoch, uint64_t clock, uint64_t floor)
{
    struct durable *d = &core->durable;
    d->fences_back += d->fences_back < d->fences;
    if (span_eq(epoch, buf_view(&d->epoch)))
        dataset_heard(core, clock);
    if (d->state != DURABLE_LIVE || !core->broker) {
        d->fenced = false;
        return;
    }
    if (!span_eq(epoch, buf_view(&d->epoch)) || floor > d->rewound) {
        dataset_ask(core);
        return;
    }
    d->look = true;
    durable_settle(core, clock);
    const struct check_ref check = {.core = core,
                                    .asked = d->asked,
                                    .number = ++d->checks,
                                    .fence = d->fences_back,
                                    .upto = clock};
    check_index(&check, d->frontier);
}

void beat_send(struct core *core)
{
    struct durable *d = &core->durable;
    d->fenced = true;
    d->fenced_us = clock_mono_us(core->options.clock);
    d->fences++;
    core->broker->ops->fence(core->broker);
}
