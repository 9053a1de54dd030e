/*
 * Reading what was missed: the index tells which channels changed since the frontier, their logs
 * are read, and their messages are released merged by id. Nothing is released before each log has
 * been read once, nor while one that may come next has nothing left of what was read.
 *
 * Nor is anything that was published after the index answered, though a log that is read later has
 * it: of other channels, whose logs were read before, there may be earlier messages. The notices of
 * all of them are on their way and held: they are released from there, in their order.
 */
#include "base/log.h"
#include "base/mem.h"
#include "hub/core_private.h"

enum {
    PAGE = 1000,           /* of the index */
    READS = 32,            /* logs read at the same time */
    SLICE = 100,           /* messages of one read, */
    SLICE_FEW = 10,        /* where very many logs are read, */
    MANY = 1000,           /* which is so many */
    SLICE_BYTES = 1 << 20, /* and their bytes, beyond the first */
};

struct heal_ref {
    struct core *core;
    uint64_t healing; /* an answer to an earlier one is nobody's */
    struct heal_source *source;
    uint64_t after;
};

static void step(struct core *core);

static struct heal_ref *ref_create(struct core *core, struct heal_source *source, uint64_t after)
{
    struct heal_ref *ref = mem_alloc(sizeof(*ref));
    *ref = (struct heal_ref){
        .core = core, .healing = core->durable.healing, .source = source, .after = after};
    return ref;
}

void heal_end(struct core *core)
{
    struct durable *d = &core->durable;
    for (size_t i = 0; i < d->source_count; i++) {
        notes_clear(&d->sources[i]->notes);
        mem_free(d->sources[i]);
    }
    d->source_count = d->heaped = d->reads = d->asked_sources = d->answered = 0;
    d->healing++;
}

/* Not for a lasting reason, or on_down would have come: the tick tries again. */
static void failed(struct core *core, const char *why)
{
    log_warn("hub", "what was missed could not be read from redis: %s", why);
    heal_end(core);
    core->durable.heal_again = true;
}

/* The heap: the source whose turn comes first is sources[0]. */

static uint64_t turn_of(const struct heal_source *s)
{
    if (s->lost)
        return s->lost;
    if (s->notes.head)
        return s->notes.head->id;
    /* The index knows of a later one than the log: that one is lost, too. */
    return !s->more && !s->reading && s->last > s->after ? s->last : 0;
}

static void sift_down(struct durable *d, size_t i)
{
    for (;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < d->heaped; child++)
            if (turn_of(d->sources[child]) < turn_of(d->sources[least]))
                least = child;
        if (least == i)
            return;
        struct heal_source *s = d->sources[i];
        d->sources[i] = d->sources[least];
        d->sources[least] = s;
        i = least;
    }
}

static void heap_drop_first(struct durable *d)
{
    struct heal_source *s = d->sources[0];
    d->sources[0] = d->sources[--d->source_count];
    d->heaped = d->asked_sources = d->answered = d->source_count;
    mem_free(s);
    if (d->heaped)
        sift_down(d, 0);
}

static void heapify(struct durable *d)
{
    d->heaped = d->source_count; /* 0 is none: then there is nothing to do either */
    for (size_t i = d->heaped / 2; i > 0; i--)
        sift_down(d, i - 1);
}

/* Reading */

static void keep_records(struct core *core, struct heal_source *s, const struct broker_slice *slice)
{
    for (size_t i = 0; i < slice->count; i++) {
        const struct broker_record *r = &slice->records[i];
        if (r->id > core->durable.heal_upto) {
            s->more = false;
            return;
        }
        if (r->id <= s->after)
            continue;
        s->after = r->id;
        notes_append(&s->notes, note_create(span_make(s->name, s->name_len), r->event, r->data,
                                            r->id, r->previous));
    }
}

static void on_slice(void *arg, int err, const char *why, const struct broker_slice *slice)
{
    struct heal_ref *ref = arg;
    struct core *core = ref->core;
    struct heal_source *s = ref->source; /* there still is one if the healing is ours */
    bool ours = ref->healing == core->durable.healing;
    uint64_t after = ref->after;
    mem_free(ref);
    if (!ours)
        return;
    core->durable.reads--;
    if (err) {
        failed(core, why);
        return;
    }
    core->durable.answered += !s->read;
    s->reading = false;
    s->read = true;
    s->more = slice->more && slice->count > 0;
    uint64_t upto = core->durable.heal_upto;
    s->last = slice->last <= upto ? slice->last : 0;
    if (slice->lost > after)
        s->lost = slice->lost <= upto ? slice->lost : upto;
    keep_records(core, s, slice);
    step(core);
}

static void read_source(struct core *core, struct heal_source *s)
{
    struct durable *d = &core->durable;
    uint32_t limit = d->source_count > MANY ? SLICE_FEW : SLICE;
    s->reading = true;
    d->reads++;
    core->broker->ops->read(core->broker,
                            core_full_name(core, TOPIC_CHANNEL, span_make(s->name, s->name_len)),
                            s->after, limit, SLICE_BYTES, on_slice, ref_create(core, s, s->after));
}

/* Release */

static void release_first(struct core *core, struct heal_source *s)
{
    struct span name = span_make(s->name, s->name_len);
    struct history *h = durable_covered(core, name) ? durable_history(core, name) : NULL;
    if (s->lost) {
        if (h)
            durable_lost(core, h, s->lost, "trimmed");
        s->lost = 0;
        return;
    }
    struct note *n = notes_take(&s->notes);
    if (!n) {
        if (h)
            durable_lost(core, h, s->last, "trimmed");
        s->last = 0;
        return;
    }
    if (h && n->id > h->known && n->data_len > core->options.message_bytes) {
        metrics_add(&core->options.metrics->dropped_oversize, 1);
        durable_lost(core, h, n->id, "overflow");
    } else if (h && n->id > h->known) {
        /* The one before it had its turn when nobody listened. */
        if (n->previous > h->known)
            history_reset(core->durable.histories, h, n->previous);
        durable_release(core, h, n);
        metrics_add(&core->options.metrics->holes_healed, 1);
    }
    mem_free(n);
}

/* False when it waits for a read. */
static bool merge(struct core *core)
{
    struct durable *d = &core->durable;
    while (d->source_count) {
        struct heal_source *s = d->sources[0];
        if (turn_of(s)) {
            release_first(core, s);
            if (turn_of(s))
                sift_down(d, 0);
            continue;
        }
        if (s->more && !s->reading) {
            read_source(core, s);
            return false;
        }
        if (s->reading)
            return false;
        heap_drop_first(d);
    }
    return true;
}

static void done(struct core *core)
{
    struct durable *d = &core->durable;
    if (d->held_dropped) {
        d->held_dropped = false;
        heal_begin(core);
        return;
    }
    durable_live(core);
}

/* Starts reads, or merges when each has been made. A broker may answer from within. */
static void step(struct core *core)
{
    struct durable *d = &core->durable;
    uint64_t healing = d->healing;
    bool over = false;
    if (d->merging)
        return;
    d->merging = true;
    while (d->healing == healing && d->asked_sources < d->source_count && d->reads < READS)
        read_source(core, d->sources[d->asked_sources++]);
    while (d->healing == healing && d->answered == d->asked_sources &&
           d->asked_sources >= d->source_count) {
        if (!d->heaped)
            heapify(d);
        sift_down(d, 0); /* the first has been read on since */
        over = merge(core);
        if (over || d->healing != healing || d->sources[0]->reading)
            break;
    }
    d->merging = false;
    if (over && d->healing == healing)
        done(core);
}

/* The index */

static void add_source(struct core *core, struct span name, uint64_t after)
{
    struct durable *d = &core->durable;
    struct heal_source *s = mem_zalloc(sizeof(*s) + name.len);
    notes_init(&s->notes);
    s->after = after;
    s->name_len = (uint32_t)name.len;
    memcpy(s->name, name.ptr, name.len);
    if (d->source_count == d->source_cap) {
        d->source_cap = d->source_cap ? d->source_cap * 2 : 16;
        d->sources = mem_realloc(d->sources, d->source_cap * sizeof(*d->sources));
    }
    d->sources[d->source_count++] = s;
}

static void take_change(struct core *core, const struct broker_change *change)
{
    struct durable *d = &core->durable;
    struct span name = change->channel;
    if (!core_strip(core, TOPIC_CHANNEL, &name) || !durable_covered(core, name))
        return;
    struct history *h = durable_history(core, name);
    if (change->id > h->known)
        add_source(core, name, h->known);
    histories_touch(d->histories, h, change->id);
}

bool heal_pruned(const struct core *core, uint64_t pruned)
{
    return pruned > durable_head(core) && pruned > core->durable.pruned;
}

/*
 * Whole channels have been forgotten that changed since: longer ago than any history. What the logs
 * still have comes behind the gap, so it moves no cursor.
 */
static void tell_pruned(struct core *core, uint64_t pruned)
{
    struct durable *d = &core->durable;
    uint64_t head = durable_head(core);
    const struct durable_gap gap = {.reason = "trimmed", .from = head, .upto = pruned};
    for (int kind = 0; kind < 2; kind++) {
        size_t cursor = 0;
        for (struct topic *t; (t = topics_next(core->topics, kind, &cursor));)
            if (t->wanted & PART_NOTES && t->streams)
                core_tell_durable_gap(core, t, &gap);
    }
    for (struct history *h = histories_latest(d->histories); h;
         h = histories_before(d->histories, h))
        if (h->known < pruned && h->trimmed < pruned)
            h->trimmed = pruned;
    d->pruned = pruned;
    if (pruned > d->index_pruned)
        d->index_pruned = pruned;
}

static void ask_index(struct core *core);

static void on_changes(void *arg, int err, const char *why, const struct broker_changes *changes)
{
    struct heal_ref *ref = arg;
    struct core *core = ref->core;
    struct durable *d = &core->durable;
    bool ours = ref->healing == d->healing;
    mem_free(ref);
    if (!ours)
        return;
    if (err) {
        failed(core, why);
        return;
    }
    if (heal_pruned(core, changes->pruned))
        tell_pruned(core, changes->pruned);
    for (size_t i = 0; i < changes->count; i++)
        take_change(core, &changes->list[i]);
    if (changes->count)
        d->heal_upto = changes->list[changes->count - 1].id;
    if (changes->count == PAGE) {
        d->heal_after = changes->list[PAGE - 1].id;
        ask_index(core);
        return;
    }
    step(core);
}

static void ask_index(struct core *core)
{
    core->broker->ops->changed(core->broker, core->durable.heal_after, PAGE, on_changes,
                               ref_create(core, NULL, 0));
}

void heal_begin(struct core *core)
{
    struct durable *d = &core->durable;
    if (!core->broker)
        return;
    heal_end(core);
    d->state = DURABLE_HEALING;
    d->heal_after = d->heal_upto = d->frontier;
    ask_index(core);
}
