/*
 * Replay: a stream asks for what comes after its cursor and is given a slice, merged over its
 * channels, until it has all there is. Rings serve it; where they do not reach back it waits for a
 * read. No state is kept of a stream between two slices.
 */
#include "base/mem.h"
#include "hub/replay_private.h"

enum {
    ROUNDS = 64,        /* in one turn, with a broker that answers at once */
    BACK_SOURCES = 128, /* more are read from where they begin */
};

static const uint64_t second_us = 1000000;

static void waiter_free(struct waiter *w)
{
    list_remove(&w->node);
    replay_request_free(w->request);
    mem_free(w);
}

static void answer(struct core *core, struct waiter *w, struct replay_slice *slice)
{
    struct msg *m = msg_create(MSG_SLICE, w->worker);
    slice->stream = w->request->stream;
    m->slice = slice;
    downlink_post(&core->options.downlinks[w->worker], m);
    waiter_free(w);
}

static void answer_live(struct core *core, struct waiter *w)
{
    struct replay_slice *s = replay_slice_create(0);
    s->live = true;
    s->cursor = durable_head(core);
    answer(core, w, s);
}

static void answer_refused(struct core *core, struct waiter *w, const char *why)
{
    struct replay_slice *s = replay_slice_create(0);
    s->why = mem_strdup(why);
    answer(core, w, s);
}

void replay_ask(struct core *core, struct msg *m)
{
    struct durable *d = &core->durable;
    struct waiter *w = mem_zalloc(sizeof(*w));
    w->worker = m->worker;
    w->request = m->replay;
    m->replay = NULL;
    list_append(&d->waiting, &w->node);
    d->look = true;
    if (d->state == DURABLE_REFUSED)
        answer_refused(core, w, d->why);
}

void replay_forget(struct core *core, uint32_t worker, uint64_t stream)
{
    LIST_FOREACH (n, &core->durable.waiting) {
        struct waiter *w = LIST_ENTRY(n, struct waiter, node);
        if (w->worker == worker && w->request->stream == stream) {
            waiter_free(w);
            return;
        }
    }
}

void replay_refuse(struct core *core, const char *why)
{
    for (struct list *n; (n = list_first(&core->durable.waiting));)
        answer_refused(core, LIST_ENTRY(n, struct waiter, node), why);
}

void replay_end(struct core *core)
{
    for (struct list *n; (n = list_first(&core->durable.waiting));)
        waiter_free(LIST_ENTRY(n, struct waiter, node));
}

void replay_restart(struct core *core)
{
    LIST_FOREACH (n, &core->durable.waiting) {
        struct waiter *w = LIST_ENTRY(n, struct waiter, node);
        w->begun = w->backed = false;
        w->fence = 0;
    }
}

/* Where it begins */

static uint64_t clock_now(const struct core *core)
{
    const struct durable *d = &core->durable;
    return d->clock + (clock_mono_us(core->options.clock) - d->clock_us);
}

/* The first message may have the very id that the dataset was born with. */
static uint64_t before_all(const struct core *core)
{
    return core->durable.born ? core->durable.born - 1 : 0;
}

static uint64_t seconds_ago(const struct core *core, uint64_t seconds)
{
    uint64_t now = clock_now(core), first = before_all(core);
    uint64_t from = seconds < now / second_us ? now - seconds * second_us : 0;
    return from > first ? from : first;
}

/* One that is sent from now on. */
static void need_fence(const struct core *core, struct waiter *w)
{
    if (!w->fence)
        w->fence = core->durable.fences + 1;
}

/* False when only a fence, made after the cursor came, can tell whether it lies in the future. */
static bool cursor_known(struct core *core, struct waiter *w, uint64_t cursor)
{
    struct durable *d = &core->durable;
    if (cursor <= d->clock || cursor <= durable_head(core))
        return true;
    need_fence(core, w);
    if (d->fences_back >= w->fence)
        return true;
    d->hurry = true;
    return false;
}

/* False when it is to have all that was published before it, and a notice may be on its way. */
static bool is_fenced(struct core *core, struct waiter *w)
{
    if (!w->request->fenced)
        return true;
    need_fence(core, w);
    if (core->durable.checked >= w->fence)
        return true;
    core->durable.hurry = true;
    return false;
}

static bool is_unknown(const struct core *core, uint64_t cursor)
{
    const struct durable *d = &core->durable;
    return (cursor > d->clock && cursor > durable_head(core)) ||
           (cursor && cursor < before_all(core));
}

/* False: not yet. */
static bool begin(struct core *core, struct waiter *w)
{
    struct replay_request *r = w->request;
    if (w->begun)
        return true;
    if (!is_fenced(core, w))
        return false;
    if (r->from == REPLAY_AFTER) {
        if (!cursor_known(core, w, r->value))
            return false;
        w->after = r->value;
        if (is_unknown(core, r->value))
            r->from = REPLAY_UNKNOWN;
    }
    if (r->from == REPLAY_SINCE)
        w->after = seconds_ago(core, r->value);
    if (r->from == REPLAY_UNKNOWN || r->from == REPLAY_LAST)
        w->after = before_all(core);
    if (r->from == REPLAY_NOW)
        w->after = durable_head(core);
    w->begun = true;
    return true;
}

/* The channels */

static void add_source(struct making *m, struct history *h)
{
    if (h->mark == m->core->durable.replays)
        return; /* counted in already */
    h->mark = m->core->durable.replays;
    h->pin = m->core->durable.turn;
    if (m->count == m->cap) {
        m->cap = m->cap ? m->cap * 2 : 8;
        m->sources = mem_realloc(m->sources, m->cap * sizeof(*m->sources));
    }
    m->sources[m->count++] = (struct source){.history = h, .after = m->waiter->after};
}

static bool durable_channel(const struct core *core, struct span name)
{
    return namespaces_find(core->options.namespaces, name)->durable;
}

static void add_pattern(struct making *m, const struct topic *t)
{
    struct histories *all = m->core->durable.histories;
    for (struct history *h = histories_latest(all); h && h->last > m->waiter->after;
         h = histories_before(all, h))
        if (topic_matches(t, history_name(h)) && durable_channel(m->core, history_name(h)))
            add_source(m, h);
}

/* False when a topic is not confirmed yet, or not known well enough. */
static bool add_want(struct making *m, const struct replay_want *want)
{
    struct core *core = m->core;
    const struct topic *t = topics_find(core->topics, want->kind, want->name);
    if (!t || t->state != TOPIC_ACTIVE)
        return false;
    if (!(t->wanted & PART_NOTES))
        return true; /* it has no history */
    if (t->fence > core->durable.checked) {
        /* No notice told of what was published just before we began to listen. */
        core->durable.hurry = true;
        return false;
    }
    if (want->kind == TOPIC_CHANNEL) {
        add_source(m, durable_history(core, want->name));
        return true;
    }
    if (t->indexed > m->waiter->after) {
        m->waiter->waited = true;
        replay_index(core, m->waiter->after);
        return false;
    }
    add_pattern(m, t);
    return true;
}

/* It goes on waiting for some: what has been read for it of the others is not to go meanwhile. */
static void keep_fills(struct making *m)
{
    uint64_t turn = m->core->durable.turn, after = m->waiter->after;
    for (size_t i = 0; i < m->count; i++) {
        struct history *h = m->sources[i].history;
        if (after >= h->floor || !history_covers(h, after))
            continue;
        if (m->waiter->request->from == REPLAY_LAST && h->fill.bytes > FILL_BYTES)
            continue; /* it needs the end of the fill, and lets go of the beginning itself */
        if (h->keep_turn != turn || after < h->keep)
            h->keep = after;
        h->keep_turn = turn;
    }
}

static bool has_last(const struct making *m, const struct history *h)
{
    return h->ring.count >= m->waiter->request->value || history_whole(h, m->waiter->after);
}

/* A part of it was read, from where the stream begins. */
static bool is_begun(const struct making *m, const struct history *h)
{
    return h->fill_began <= m->waiter->after && h->fill_upto > m->waiter->after;
}

/* The id before the first of the last n messages, which are here; UINT64_MAX: there are none. */
static uint64_t last_begins(struct history *h, uint64_t n)
{
    uint64_t upto;
    const struct ring_entry *e = history_next(h, history_back(h, n), &upto);
    return e ? e->id - 1 : UINT64_MAX;
}

/*
 * Who wants the last messages of logs that are longer than one read: where these begin is asked,
 * and the stream then begins at the first of all as if that were its cursor. What is here by now
 * counts too, since it may be gone when the rest is.
 */
static void look_back(struct making *m)
{
    struct waiter *w = m->waiter;
    uint64_t least = UINT64_MAX, at, n = w->request->value;
    bool known = true, asked = false;
    for (size_t i = 0; i < m->count; i++) {
        struct history *h = m->sources[i].history;
        bool here = has_last(m, h);
        if (here)
            at = last_begins(h, n);
        else if (!is_begun(m, h) || !replay_back(m->core, h, n, &at))
            known = false;
        if (known)
            least = at < least ? at : least;
        asked = asked || !here;
    }
    if (!known || !asked)
        return;
    w->backed = true;
    w->after = least > w->after ? least : w->after;
    for (size_t i = 0; i < m->count; i++)
        m->sources[i].after = w->after;
}

/* Where to read on of a log of which the last messages are wanted; false: not yet. */
static bool last_from(const struct making *m, const struct history *h, uint64_t *from)
{
    if (!is_begun(m, h))
        return true;
    *from = h->fill_upto;
    return m->waiter->backed;
}

/* False when some history does not reach back far enough: it is asked for. */
static bool reaches_back(struct making *m)
{
    const struct replay_request *r = m->waiter->request;
    bool all = true, last = r->from == REPLAY_LAST;
    if (last && !m->waiter->backed && m->count <= BACK_SOURCES)
        look_back(m);
    else
        m->waiter->backed = true;
    for (size_t i = 0; i < m->count; i++) {
        struct source *s = &m->sources[i];
        struct history *h = s->history;
        uint64_t from = s->after;
        if (last && has_last(m, h)) {
            s->after = history_back(h, r->value);
            continue;
        }
        if (!last && history_covers(h, from))
            continue;
        if (!last || last_from(m, h, &from))
            replay_want(m->core, h, from);
        m->waiter->waited = true;
        all = false;
    }
    if (!all)
        keep_fills(m);
    return all;
}

/* Answers it, or lets it wait. */
static void serve(struct core *core, struct waiter *w)
{
    struct durable *d = &core->durable;
    struct replay_request *r = w->request;
    struct making m = {.core = core, .waiter = w};
    bool ready = true;
    if (!begin(core, w))
        return;
    d->replays++;
    for (size_t i = 0; ready && i < r->count; i++)
        ready = add_want(&m, &r->wants[i]);
    if (ready && r->from == REPLAY_NOW)
        answer_live(core, w);
    else if (ready && reaches_back(&m))
        answer(core, w, replay_slice_make(&m));
    d->looked += m.count;
    mem_free(m.sources);
}

void replay_pump(struct core *core)
{
    struct durable *d = &core->durable;
    if (d->pumping || !core->broker)
        return;
    if (d->state == DURABLE_OFF && core->up) /* no namespace has history any more */
        for (struct list *n; (n = list_first(&d->waiting));)
            answer_live(core, LIST_ENTRY(n, struct waiter, node));
    d->pumping = true;
    for (int i = 0; d->look && d->state == DURABLE_LIVE && i < ROUNDS; i++) {
        d->look = false;
        d->unseen = d->looked = 0;
        d->turn++;
        d->hurry = false; /* who waits for a fence or a read says so again */
        replay_want_nothing(core);
        LIST_FOREACH_SAFE (n, &d->waiting) {
            serve(core, LIST_ENTRY(n, struct waiter, node));
        }
        d->wanted_count = 0;
        LIST_FOREACH (n, &d->wanted) {
            d->wanted_count++;
        }
        replay_fetch(core);
        if (d->hurry && !d->fenced && d->state == DURABLE_LIVE)
            beat_send(core);
    }
    d->pumping = false;
    histories_enforce(d->histories, d->turn);
}
