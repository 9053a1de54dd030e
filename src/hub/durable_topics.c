/* Which durable topics listen to a channel, and what becomes of histories as they come and go. */
#include "hub/core_private.h"

bool durable_covered(struct core *core, struct span channel)
{
    const struct topic *own = topics_find(core->topics, TOPIC_CHANNEL, channel);
    if (!namespaces_find(core->options.namespaces, channel)->durable)
        return false;
    if (own && own->confirmed & PART_NOTES)
        return true;
    LIST_FOREACH (n, topics_patterns(core->topics)) {
        const struct topic *t = LIST_ENTRY(n, struct topic, node);
        if (t->confirmed & PART_NOTES && topic_matches(t, channel))
            return true;
    }
    return false;
}

/* The lowest base of those that are settled; [1]: of those that are not. */
static void count_base(const struct topic *t, uint64_t lowest[2])
{
    bool unsettled = list_linked(&t->settle);
    if (t->confirmed & PART_NOTES && t->base < lowest[unsettled])
        lowest[unsettled] = t->base;
}

static void count_bases(struct core *core, struct span channel, uint64_t lowest[2])
{
    const struct topic *own = topics_find(core->topics, TOPIC_CHANNEL, channel);
    lowest[0] = lowest[1] = UINT64_MAX;
    if (own)
        count_base(own, lowest);
    LIST_FOREACH (n, topics_patterns(core->topics)) {
        const struct topic *t = LIST_ENTRY(n, struct topic, node);
        if (topic_matches(t, channel))
            count_base(t, lowest);
    }
}

uint64_t durable_begins(struct core *core, struct span channel)
{
    uint64_t lowest[2], frontier = core->durable.frontier;
    count_bases(core, channel, lowest);
    /* Of what came just before it an unsettled one knows less than its base says. */
    uint64_t base = lowest[0] == UINT64_MAX ? lowest[1] : lowest[0];
    return base == UINT64_MAX || base < frontier ? frontier : base;
}

bool durable_settled(struct core *core, struct span channel)
{
    uint64_t lowest[2];
    count_bases(core, channel, lowest);
    return lowest[0] != UINT64_MAX;
}

struct history *durable_history(struct core *core, struct span channel)
{
    struct durable *d = &core->durable;
    struct history *h = histories_find(d->histories, channel);
    if (h)
        return h;
    d->looks_due += 2;
    h = histories_add(d->histories, channel, durable_begins(core, channel));
    h->added_us = d->fence_due_us;
    return h;
}

void durable_topic_out(struct core *core, struct topic *t)
{
    struct durable *d = &core->durable;
    if (!t->awaited)
        return;
    t->awaited = false;
    if (--d->unconfirmed == 0 && d->state == DURABLE_WAITING)
        heal_begin(core);
}

/* Will it be listened to even now that some topic is not counted? */
static bool is_kept(struct core *core, struct span channel)
{
    const struct topic *own = topics_find(core->topics, TOPIC_CHANNEL, channel);
    if (own && own->wanted & PART_NOTES && (own->confirmed & PART_NOTES || own->had))
        return true;
    LIST_FOREACH (n, topics_patterns(core->topics)) {
        const struct topic *t = LIST_ENTRY(n, struct topic, node);
        if (t->wanted & PART_NOTES && (t->confirmed & PART_NOTES || t->had) &&
            topic_matches(t, channel))
            return true;
    }
    return false;
}

static void drop_one(struct core *core, struct history *h)
{
    if (h && !is_kept(core, history_name(h)))
        histories_remove(core->durable.histories, h);
}

/* Drops the histories that nobody but t listens to. */
static void drop_unheard(struct core *core, struct topic *t)
{
    struct durable *d = &core->durable;
    unsigned confirmed = t->confirmed;
    t->confirmed = 0; /* it keeps nothing */
    if (t->kind == TOPIC_CHANNEL) {
        drop_one(core, histories_find(d->histories, topic_span(t)));
        t->confirmed = confirmed;
        return;
    }
    for (struct history *h = histories_latest(d->histories), *before; h; h = before) {
        before = histories_before(d->histories, h);
        if (topic_matches(t, history_name(h)))
            drop_one(core, h);
    }
    t->confirmed = confirmed;
}

void durable_topic_active(struct core *core, struct topic *t, bool had)
{
    struct durable *d = &core->durable;
    d->look = true;
    if (t->awaited) {
        durable_topic_out(core, t);
        return;
    }
    /* One that was refused when all others were healed: what it missed meanwhile nobody looked for.
     */
    if (had)
        core_tell_durable_gap(
            core, t,
            &(struct durable_gap){.reason = "redis", .from = t->base, .upto = durable_head(core)});
    /* Nobody has listened for it meanwhile: what is known from before is not all there was. */
    drop_unheard(core, t);
    t->index_asked = false;
    uint64_t head = durable_head(core);
    t->base = t->indexed = head > d->settled ? head : d->settled;
    t->fence = d->fences + 1;
    list_remove(&t->settle);
    list_append(&d->unsettled, &t->settle);
    if (t->kind == TOPIC_CHANNEL && durable_covered(core, topic_span(t)))
        (void)durable_history(core, topic_span(t));
}

void durable_topic_gone(struct core *core, struct topic *t)
{
    if (!(t->wanted & PART_NOTES))
        return;
    t->had = false;
    list_remove(&t->settle);
    drop_unheard(core, t);
}

/* All notices up to its new beginning have come; what had none is in the log alone. */
static void begin_later(struct core *core, struct history *h)
{
    uint64_t lowest[2];
    count_bases(core, history_name(h), lowest);
    if (lowest[0] != UINT64_MAX && h->known < lowest[0])
        history_reset(core->durable.histories, h, lowest[0]);
}

static void settle(struct core *core, struct topic *t, uint64_t clock)
{
    struct durable *d = &core->durable;
    list_remove(&t->settle);
    if (t->base < clock)
        t->base = t->indexed = clock;
    if (t->kind == TOPIC_CHANNEL) {
        struct history *own = histories_find(d->histories, topic_span(t));
        if (own)
            begin_later(core, own);
        return;
    }
    for (struct history *h = histories_latest(d->histories); h;
         h = histories_before(d->histories, h))
        if (topic_matches(t, history_name(h)))
            begin_later(core, h);
}

void durable_settle(struct core *core, uint64_t clock)
{
    struct durable *d = &core->durable;
    d->settled = clock;
    for (struct list *n; (n = list_first(&d->unsettled));) {
        struct topic *t = LIST_ENTRY(n, struct topic, settle);
        if (t->fence > d->fences_back)
            return;
        settle(core, t, clock);
    }
}
