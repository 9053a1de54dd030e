/*
 * What replays need of the broker: logs read from further back than the rings reach, once for all
 * that wait, and the index for patterns.
 */
#include "base/mem.h"
#include "hub/core_private.h"

enum {
    PAGE = 1000,
    SLICE = 1000,
    SLICE_BYTES = 1 << 20,
    SLICE_BYTES_LEAST = 16 << 10,
    ROUND_BYTES = 2 << 20,
    READS = 64,
    VISITS_A_READ = 64,
    READS_IN_ROOM = 8,
    BACK_KEPT_US = 10 * 1000000,
};

struct fill_ref {
    struct core *core;
    uint64_t number, asked; /* of the read (or how many messages), and of the dataset's hello */
    uint64_t after, floor;
    size_t name_len;
    char name[];
};

void replay_want(struct core *core, struct history *h, uint64_t after)
{
    if (!h->wanted || after + 1 < h->wanted)
        h->wanted = after + 1;
    if (!list_linked(&h->want))
        list_append(&core->durable.wanted, &h->want);
}

void replay_want_nothing(struct core *core)
{
    for (struct list *n; (n = list_first(&core->durable.wanted));) {
        LIST_ENTRY(n, struct history, want)->wanted = 0;
        list_remove(n);
    }
}

/* Everything above what was asked for and up to the answer's end is in the fill now. */
static void take_slice(struct core *core, struct history *h, const struct fill_ref *ref,
                       const struct broker_slice *slice)
{
    struct durable *d = &core->durable;
    bool whole = !(slice->more && slice->count > 0);
    /* The ring still has what is above its floor, whatever the log has lost. */
    uint64_t lost = slice->lost < h->floor ? slice->lost : h->floor;
    if (lost > ref->after && lost > h->trimmed)
        h->trimmed = lost;
    for (size_t i = 0; i < slice->count; i++) {
        const struct broker_record *r = &slice->records[i];
        if (r->id > h->floor) {
            history_fill_end(d->histories, h, h->floor);
            return;
        }
        if (r->id <= h->fill_upto)
            continue;
        if (r->data.len > core->options.message_bytes) {
            h->trimmed = r->id > h->trimmed ? r->id : h->trimmed;
            continue;
        }
        struct span data = core_as_utf8(core, r->data, &core->data);
        struct ring_entry e = durable_entry(core, history_name(h), r->id, r->event, data);
        history_fill(d->histories, h, &e);
        frame_unref(e.forms[0]);
        frame_unref(e.forms[1]);
    }
    uint64_t last = slice->count ? slice->records[slice->count - 1].id : 0;
    history_fill_end(d->histories, h, whole && ref->floor > last ? ref->floor : last);
    histories_touch(d->histories, h, slice->last);
}

/* A look visits each channel of all that wait: with many of them there is one only for as many
 * answers as make it worth that. */
static void look_again(struct core *core)
{
    struct durable *d = &core->durable;
    if (!d->unseen)
        return;
    if (d->pumping || !d->reading || d->unseen * VISITS_A_READ >= d->looked)
        d->look = true;
    else
        replay_fetch(core);
}

static void on_slice(void *arg, int err, const char *why, const struct broker_slice *slice)
{
    struct fill_ref *ref = arg;
    struct core *core = ref->core;
    struct durable *d = &core->durable;
    struct history *h = histories_find(d->histories, span_make(ref->name, ref->name_len));
    d->reading--;
    if (h && h->filling && h->fill_number == ref->number) {
        h->filling = false;
        if (!err && ref->asked == d->asked && h->fill_upto == ref->after) {
            take_slice(core, h, ref, slice);
            d->unseen++;
        }
    }
    mem_free(ref);
    if (!err) /* else the tick does, if the connection is not going anyway */
        look_again(core);
}

static bool goes_on_at(const struct history *h, uint64_t after)
{
    return h->fill_upto > h->fill_began && after == h->fill_upto;
}

/*
 * Would the read throw away what a replay with a lower cursor waits with? That one comes first: the
 * lowest of all is lowest in each of its channels, so it gets them all, and two that want different
 * parts of the same channels do not read for ever in turns.
 */
static bool must_wait(const struct durable *d, const struct history *h)
{
    uint64_t after = h->wanted - 1;
    if (h->keep_turn != d->turn || h->keep > after)
        return false;
    return !goes_on_at(h, after) || h->fill.bytes > FILL_BYTES;
}

uint64_t replay_share(const struct core *core, uint64_t part, uint64_t least, uint64_t most)
{
    const struct durable *d = &core->durable;
    uint64_t alive = atomic_load_explicit(&d->alive, memory_order_relaxed);
    uint64_t ringed = histories_bytes(d->histories), all = core->options.replay_bytes;
    uint64_t out = alive > ringed ? alive - ringed : 0;
    uint64_t share = out < all ? (all - out) / part : 0;
    share = share > least ? share : least;
    return share < most ? share : most;
}

/* What is read for all channels at once is to have its place in the budget: beyond it the next look
 * would find nothing of it. Nor is it to be much more than the slices that are made of it, since
 * streams that are elsewhere in the logs take their turns. */
static uint64_t slice_bytes(const struct core *core)
{
    uint64_t round = core->options.replay_bytes / 2;
    uint64_t share = (round < ROUND_BYTES ? round : ROUND_BYTES) / (core->durable.wanted_count + 1);
    uint64_t most = replay_share(core, READS_IN_ROOM, SLICE_BYTES_LEAST, SLICE_BYTES);
    share = share > SLICE_BYTES_LEAST ? share : SLICE_BYTES_LEAST;
    return share < most ? share : most;
}

static void fetch(struct core *core, struct history *h)
{
    struct durable *d = &core->durable;
    uint64_t after = h->wanted - 1;
    bool goes_on = goes_on_at(h, after);
    if (!goes_on)
        history_fill_begin(d->histories, h, after);
    else if (h->fill.bytes > FILL_BYTES)
        history_fill_drop(d->histories, h, after);
    struct fill_ref *ref = mem_alloc(sizeof(*ref) + h->name_len);
    *ref = (struct fill_ref){.core = core,
                             .number = ++d->fills,
                             .asked = d->asked,
                             .after = after,
                             .floor = h->floor,
                             .name_len = h->name_len};
    memcpy(ref->name, h->name, h->name_len);
    h->filling = true;
    h->fill_number = ref->number;
    h->wanted = 0;
    list_remove(&h->want);
    d->reading++;
    core->broker->ops->read(core->broker, core_full_name(core, TOPIC_CHANNEL, history_name(h)),
                            after, SLICE, slice_bytes(core), on_slice, ref);
}

void replay_fetch(struct core *core)
{
    struct durable *d = &core->durable;
    LIST_FOREACH_SAFE (n, &d->wanted) {
        struct history *h = LIST_ENTRY(n, struct history, want);
        if (d->state != DURABLE_LIVE || d->reading >= READS)
            return;
        if (!h->filling && !must_wait(d, h))
            fetch(core, h);
    }
}

/* Where the last messages begin */

static void on_back(void *arg, int err, const char *why, uint64_t id)
{
    struct fill_ref *ref = arg;
    struct core *core = ref->core;
    struct durable *d = &core->durable;
    struct history *h = histories_find(d->histories, span_make(ref->name, ref->name_len));
    d->reading--;
    if (h && h->backing && ref->asked == d->asked) {
        h->back_us = clock_mono_us(core->options.clock);
        h->back_count = ref->number;
        h->back = err ? 0 : id; /* a broker that cannot tell is read from the beginning */
        d->unseen++;
    }
    if (h)
        h->backing = false;
    mem_free(ref);
    look_again(core);
}

bool replay_back(struct core *core, struct history *h, uint64_t n, uint64_t *at)
{
    struct durable *d = &core->durable;
    bool known =
        h->back_count >= n && clock_mono_us(core->options.clock) - h->back_us < BACK_KEPT_US;
    if (known || !core->broker->ops->back) {
        *at = known ? h->back : 0;
        return true;
    }
    if (h->backing || d->reading >= READS)
        return false;
    struct fill_ref *ref = mem_alloc(sizeof(*ref) + h->name_len);
    *ref = (struct fill_ref){.core = core, .number = n, .asked = d->asked};
    ref->name_len = h->name_len;
    memcpy(ref->name, h->name, h->name_len);
    h->backing = true;
    d->reading++;
    core->broker->ops->back(core->broker, core_full_name(core, TOPIC_CHANNEL, history_name(h)),
                            (uint32_t)n, FILL_BYTES, on_back, ref);
    return false;
}

/* The index, for patterns */

struct index_ref {
    struct core *core;
    uint64_t asked;
};

static void ask_index(struct core *core);

static void index_known(struct core *core)
{
    struct durable *d = &core->durable;
    d->indexing = false;
    d->look = true;
    LIST_FOREACH (n, topics_patterns(core->topics)) {
        struct topic *t = LIST_ENTRY(n, struct topic, node);
        if (t->wanted & PART_NOTES && t->confirmed & PART_NOTES && t->index_asked &&
            t->indexed > d->index_from)
            t->indexed = d->index_from;
    }
}

static bool any_pattern(struct core *core, struct span channel)
{
    LIST_FOREACH (n, topics_patterns(core->topics)) {
        const struct topic *t = LIST_ENTRY(n, struct topic, node);
        if (t->confirmed & PART_NOTES && topic_matches(t, channel))
            return namespaces_find(core->options.namespaces, channel)->durable;
    }
    return false;
}

static void on_index(void *arg, int err, const char *why, const struct broker_changes *changes)
{
    struct index_ref *ref = arg;
    struct core *core = ref->core;
    struct durable *d = &core->durable;
    bool ours = ref->asked == d->asked && d->indexing;
    mem_free(ref);
    if (!ours)
        return;
    if (err) {
        d->indexing = false; /* the next tick has it asked for again */
        return;
    }
    if (changes->pruned > d->index_pruned)
        d->index_pruned = changes->pruned;
    for (size_t i = 0; i < changes->count; i++) {
        struct span name = changes->list[i].channel;
        if (core_strip(core, TOPIC_CHANNEL, &name) && any_pattern(core, name))
            histories_touch(d->histories, durable_history(core, name), changes->list[i].id);
    }
    if (changes->count == PAGE) {
        d->index_at = changes->list[PAGE - 1].id;
        ask_index(core);
        return;
    }
    index_known(core);
}

static void ask_index(struct core *core)
{
    struct durable *d = &core->durable;
    struct index_ref *ref = mem_alloc(sizeof(*ref));
    *ref = (struct index_ref){.core = core, .asked = d->asked};
    core->broker->ops->changed(core->broker, d->index_at, PAGE, on_index, ref);
}

void replay_index(struct core *core, uint64_t after)
{
    struct durable *d = &core->durable;
    if (d->indexing)
        return;
    d->indexing = true;
    d->index_from = d->index_at = after;
    /* A pattern that is subscribed to while this goes on has missed a part of it. */
    LIST_FOREACH (n, topics_patterns(core->topics)) {
        struct topic *t = LIST_ENTRY(n, struct topic, node);
        t->index_asked = (t->confirmed & PART_NOTES) != 0;
    }
    ask_index(core);
}
