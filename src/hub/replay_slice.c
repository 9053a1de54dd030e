/* A slice: the next messages and gaps of some channels, merged by id. */
#include "base/mem.h"
#include "hub/replay_private.h"

enum {
    SLICE_ITEMS = 256,
    SLICE_BYTES = 128 * 1024,
    /* Of a slice of the last messages, until each channel has begun: from then on a cursor says as
     * much. Beyond them channels that begin later give what they have, more than was asked for,
     * since all that a slow client holds would be its own. */
    LAST_ITEMS = 20000,
    LAST_BYTES = 4 << 20,
    SOURCES_AN_ITEM = 8,
    /* Where much is out already: a part of the room that is left, but so much at least. */
    SLICES_IN_ROOM = 64,
    SLICE_BYTES_LEAST = 16 * 1024,
    LASTS_IN_ROOM = 16,
    LAST_BYTES_LEAST = 64 * 1024,
    BYTES_A_SOURCE = 8,
};

static const uint64_t NONE = UINT64_MAX;

static void add_item(struct making *m, struct frame *f, uint64_t id, uint64_t channel)
{
    struct replay_slice *s = m->slice;
    if (s->count == m->cap_items) {
        m->cap_items = m->cap_items ? m->cap_items * 2 : 16;
        s->items = mem_realloc(s->items, m->cap_items * sizeof(*s->items));
    }
    s->items[s->count++] = (struct replay_item){.frame = f, .id = id, .channel = channel};
    m->bytes += f->len;
    m->at = id > m->at ? id : m->at;
}

static void add_gap(struct making *m, enum topic_kind kind, struct span name, const char *reason,
                    uint64_t id)
{
    const struct replay_request *r = m->waiter->request;
    uint64_t from = r->from == REPLAY_AFTER ? r->value : 0;
    core_count_gap(m->core, reason);
    add_item(m, core_gap_frame(m->core, kind, name, reason, from, id), id, 0);
}

static void add_gaps(struct making *m, const char *reason, uint64_t id)
{
    const struct replay_request *r = m->waiter->request;
    for (size_t i = 0; i < r->count; i++) {
        const struct topic *t = topics_find(m->core->topics, r->wants[i].kind, r->wants[i].name);
        if (t && t->wanted & PART_NOTES)
            add_gap(m, r->wants[i].kind, r->wants[i].name, reason, id);
    }
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* What is lost by now is told with the one gap of an unknown cursor, or was not asked for. What is
 * lost from now on, while the stream is being given the rest, is told as to others. */
static void tell_in_one(struct making *m)
{
    const struct durable *d = &m->core->durable;
    struct replay_request *r = m->waiter->request;
    if (r->from == REPLAY_AFTER)
        return;
    if (r->from == REPLAY_UNKNOWN)
        add_gaps(m, "unknown", m->waiter->after);
    r->told = later(r->told, later(d->rewound, d->index_pruned));
    for (size_t i = 0; i < d->window_count; i++)
        r->told = later(r->told, d->windows[i].first);
    for (size_t i = 0; i < m->count; i++)
        r->told = later(r->told, m->sources[i].history->trimmed);
}

/* What a rewind of Redis may have taken: told at the id behind which all is certain again; 0. */
static uint64_t rewound_at(const struct making *m)
{
    const struct durable *d = &m->core->durable;
    uint64_t cursor = m->waiter->after, told = m->waiter->request->told;
    if (cursor < d->rewound && told < d->rewound)
        return d->rewound;
    for (size_t i = 0; i < d->window_count; i++)
        if (cursor > d->windows[i].before && cursor < d->windows[i].first &&
            told < d->windows[i].first - 1)
            return d->windows[i].first - 1; /* that one itself is there */
    return 0;
}

static uint64_t pruned_at(const struct making *m)
{
    const struct replay_request *r = m->waiter->request;
    uint64_t pruned = m->core->durable.index_pruned;
    bool pattern = false;
    for (size_t i = 0; i < r->count; i++)
        pattern = pattern || r->wants[i].kind == TOPIC_PATTERN;
    return pattern && pruned > r->told && pruned > m->waiter->after ? pruned : 0;
}

/* The trimmed end of a source, if its gap is still to be told. */
static uint64_t trimmed_at(const struct making *m, const struct source *s)
{
    uint64_t trimmed = s->history->trimmed;
    return trimmed > m->waiter->request->told && trimmed > s->after ? trimmed : 0;
}

/* Of one id a message comes before a gap: who breaks off between the two has all up to there. */
static bool comes_before(const struct source *a, const struct source *b)
{
    return a->next < b->next || (a->next == b->next && !a->lacks && b->lacks);
}

/* The sources are a heap by what they offer next: there may be a pattern's fifty thousand, and each
 * item is the first of all of them. */
static void sift_down(const struct making *m, size_t i)
{
    struct source *s = m->sources;
    for (;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < m->count; child++)
            if (comes_before(&s[child], &s[least]))
                least = child;
        if (least == i)
            return;
        struct source other = s[i];
        s[i] = s[least];
        s[least] = other;
        i = least;
    }
}

/* What it offers next, and how far it is known that there is nothing before that. */
static void look_ahead(struct making *m, struct source *s)
{
    uint64_t upto, trimmed = trimmed_at(m, s);
    const struct ring_entry *e = history_next(s->history, s->after, &upto);
    s->next = e ? e->id : NONE;
    s->lacks = trimmed && trimmed < s->next;
    if (s->lacks)
        s->next = trimmed;
    m->upto = upto < m->upto ? upto : m->upto;
}

static void heapify(struct making *m)
{
    m->upto = UINT64_MAX;
    for (size_t i = 0; i < m->count; i++) {
        struct source *s = &m->sources[i];
        look_ahead(m, s);
        if (s->next != NONE)
            m->begins = later(m->begins, s->after);
    }
    for (size_t i = m->count / 2; i > 0; i--)
        sift_down(m, i - 1);
}

struct next {
    uint64_t id;     /* NONE: there is nothing */
    const char *gap; /* of all wants; NULL: it is what sources[0] offers */
};

static struct next find_next(const struct making *m, uint64_t rewound, uint64_t pruned)
{
    struct next n = {.id = m->count ? m->sources[0].next : NONE};
    if (pruned && pruned < n.id)
        n = (struct next){pruned, "trimmed"};
    if (rewound && rewound < n.id)
        n = (struct next){rewound, "redis"};
    return n;
}

/* To find the first of many sources takes a look at each: then a slice is the larger. */
static bool is_full(const struct making *m)
{
    if (m->at < m->begins)
        return m->slice->count >= LAST_ITEMS || m->bytes >= m->most_last;
    return m->slice->count >= later(SLICE_ITEMS, m->count / SOURCES_AN_ITEM) ||
           m->bytes >= m->most_bytes;
}

static void set_limits(struct making *m)
{
    uint64_t least = later(SLICE_BYTES_LEAST, m->count * BYTES_A_SOURCE);
    m->most_bytes = replay_share(m->core, SLICES_IN_ROOM, least, SLICE_BYTES);
    m->most_last = replay_share(m->core, LASTS_IN_ROOM, LAST_BYTES_LEAST, LAST_BYTES);
}

/* Until its worker has given it on. */
static void count_slice(struct making *m)
{
    m->slice->total = &m->core->durable.alive;
    m->slice->counted = sizeof(*m->slice) + m->cap_items * sizeof(*m->slice->items);
    atomic_fetch_add_explicit(m->slice->total, m->slice->counted, memory_order_relaxed);
}

static void give_first(struct making *m)
{
    struct source *s = &m->sources[0];
    struct history *h = s->history;
    uint64_t upto, id = s->next;
    struct ring_entry *e = history_next(h, s->after, &upto);
    s->after = id;
    if (e && e->id == id) {
        struct frame *f =
            m->waiter->request->wrapped ? durable_wrapped(m->core, h, e) : e->forms[0];
        add_item(m, frame_ref(f), id, h->hash);
        metrics_add(&m->core->options.metrics->replayed, 1);
    } else {
        add_gap(m, TOPIC_CHANNEL, history_name(h), "trimmed", id);
    }
    look_ahead(m, s);
    sift_down(m, 0);
}

/* Fills the slice; sets its cursor, and whether that is all. */
static void fill_slice(struct making *m)
{
    struct replay_slice *slice = m->slice;
    uint64_t rewound = rewound_at(m), pruned = pruned_at(m), last = 0;
    heapify(m);
    for (;;) {
        struct next n = find_next(m, rewound, pruned);
        bool certain = n.id != NONE && n.id <= m->upto;
        if (!certain && m->upto == UINT64_MAX) {
            slice->live = true;
            slice->cursor = later(durable_head(m->core), m->at);
            return;
        }
        /* Two items of one id are never in different slices. */
        if (!certain || (is_full(m) && n.id != last)) {
            slice->cursor = certain ? m->at : later(m->upto, m->at);
            return;
        }
        if (n.gap)
            add_gaps(m, n.gap, n.id);
        else
            give_first(m);
        last = n.id;
        rewound = n.gap && n.id == rewound ? 0 : rewound;
        pruned = n.gap && n.id == pruned ? 0 : pruned;
    }
}

static void count(struct making *m)
{
    struct metrics *metrics = m->core->options.metrics;
    if (m->waiter->waited)
        metrics_add(&metrics->replays_redis, 1);
    else if (m->slice->count)
        metrics_add(&metrics->replays_ring, 1);
}

struct replay_slice *replay_slice_make(struct making *m)
{
    m->slice = replay_slice_create(0);
    m->at = m->waiter->after;
    set_limits(m);
    tell_in_one(m);
    fill_slice(m);
    count_slice(m);
    m->slice->told = m->waiter->request->told;
    count(m);
    return m->slice;
}
