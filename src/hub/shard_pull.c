/*
 * How a durable stream gets what it has missed: it asks the core for a slice, is given that as fast
 * as it has room, and asks for the next, until a slice says that it is live.
 *
 * Why nothing falls between the slices and the lane. Everything that the core posts to a worker is
 * taken in the order in which it was posted. What was posted before a slice is taken while the
 * stream is still replaying: durable frames pass it by, and those that it must have are in the
 * slice, which was made later. A live slice that is taken in whole as it arrives makes the stream
 * live before the first frame behind it is looked at. One that is not (the client's socket is full)
 * is no longer to be believed when its last item is taken, since frames have passed the stream
 * meanwhile: then the stream asks once more.
 *
 * The same order settles a lag. When the core says that it left frames of a topic out, a live
 * stream of it asks from its cursor. A stream with a request under way need not: the frames left
 * out were due before this message, so before the answer, and the answer holds them. Nor need a
 * stream that is still being given a slice: it asks again in any case.
 */
#include "base/mem.h"
#include "hub/shard_private.h"

enum { GIVE = 64 }; /* items in one call */

struct pull {
    struct subscriber *who;     /* borrowed */
    uint64_t number;            /* the key in shard->pulls */
    struct replay_slice *slice; /* owned: not all of it is taken; NULL */
    size_t taken;               /* items of it */
    bool asked;                 /* the core has a request */
    bool giving;                /* deliver is being called */
    uint64_t told;              /* as in the last slice */
};

static struct span pull_key(const struct pull *p)
{
    return span_make((const char *)&p->number, sizeof(p->number));
}

static void write_wants(struct replay_request *r, const struct subscriber *s)
{
    size_t bytes = 1;
    for (uint32_t i = 0; i < s->count; i++)
        bytes += s->subs[i].topic->name_len;
    buf_reserve(&r->bytes, bytes); /* so that the spans stay where they are */
    for (uint32_t i = 0; i < s->count; i++) {
        const struct shard_topic *t = s->subs[i].topic;
        r->wants[i].kind = t->kind;
        r->wants[i].name = span_make(r->bytes.data + r->bytes.len, t->name_len);
        buf_span(&r->bytes, topic_name(t));
    }
}

static void ask(struct shard *shard, struct pull *p, const struct shard_resume *from)
{
    const struct subscriber *s = p->who;
    struct msg *m = msg_create(MSG_REPLAY, shard->worker);
    m->replay = replay_request_create(s->count);
    m->replay->stream = p->number;
    m->replay->from = from->from;
    m->replay->value = from->value;
    m->replay->fenced = from->fenced;
    m->replay->wrapped = s->wrapped;
    m->replay->told = p->told;
    write_wants(m->replay, s);
    mailbox_post(&shard->up->control, m);
    p->asked = true;
}

static void ask_after_cursor(struct shard *shard, struct pull *p)
{
    ask(shard, p, &(struct shard_resume){.from = REPLAY_AFTER, .value = p->who->cursor});
}

static struct pull *pull_create(struct shard *shard, struct subscriber *s)
{
    struct pull *p = mem_zalloc(sizeof(*p));
    p->who = s;
    p->number = ++shard->numbers;
    map_put(shard->pulls, pull_key(p), p);
    s->pull = p;
    s->replaying = true;
    return p;
}

void pull_begin(struct shard *shard, struct subscriber *s, const struct shard_resume *resume)
{
    static const struct shard_resume now = {.from = REPLAY_NOW};
    ask(shard, pull_create(shard, s), resume ? resume : &now);
}

void pull_end(struct shard *shard, struct subscriber *s)
{
    struct pull *p = s->pull;
    if (!p)
        return;
    if (p->asked) {
        struct msg *m = msg_create(MSG_REPLAY_END, shard->worker);
        m->stream = p->number;
        mailbox_post(&shard->up->control, m);
    }
    map_del(shard->pulls, pull_key(p));
    replay_slice_free(p->slice);
    mem_free(p);
    s->pull = NULL;
}

/* What comes next to a live stream lies above the frontier: there was nothing in between for it. */
void pull_settle(const struct shard *shard, struct subscriber *s)
{
    if (s->durable && !s->replaying && s->cursor < shard->frontier)
        s->cursor = shard->frontier;
}

uint64_t pull_reach(const struct subscriber *s)
{
    return s->replaying && s->pull && s->pull->slice ? s->pull->slice->cursor : s->cursor;
}

void pull_fall_back(struct shard *shard, struct subscriber *s)
{
    s->replaying = false; /* the owner may have set it */
    pull_settle(shard, s);
    s->replaying = true;
    s->pull->told = 0; /* of a gap that is long past */
}

static void end_slice(struct shard *shard, struct pull *p, bool at_once)
{
    struct subscriber *s = p->who;
    bool live = p->slice->live && at_once;
    s->cursor = p->slice->cursor;
    p->told = p->slice->told;
    replay_slice_free(p->slice);
    p->slice = NULL;
    if (!live) {
        ask_after_cursor(shard, p);
        return;
    }
    s->replaying = false;
    shard->sink->caught_up(shard->ctx, s);
}

/* Gives up to GIVE items; false when the stream has no room for all of them. */
static bool give_some(struct shard *shard, struct pull *p)
{
    struct lane_entry entries[GIVE];
    const struct replay_item *items = p->slice->items + p->taken;
    size_t left = p->slice->count - p->taken;
    uint32_t n = left < GIVE ? (uint32_t)left : GIVE;
    for (uint32_t i = 0; i < n; i++)
        entries[i] = (struct lane_entry){
            .frame = items[i].frame, .id = items[i].id, .channel = items[i].channel};
    p->giving = true;
    uint32_t taken = n ? shard->sink->deliver(shard->ctx, p->who, entries, n) : 0;
    p->giving = false;
    if (taken)
        p->who->cursor = items[taken - 1].id;
    p->taken += taken;
    return taken == n;
}

static void give(struct shard *shard, struct pull *p, bool at_once)
{
    while (p->taken < p->slice->count)
        if (!give_some(shard, p))
            return;
    end_slice(shard, p, at_once);
}

void shard_pull(struct shard *shard, struct subscriber *s)
{
    struct pull *p = s->pull;
    if (!p || !s->replaying || p->giving)
        return;
    if (p->slice)
        give(shard, p, false);
    else if (!p->asked)
        ask_after_cursor(shard, p);
}

void pull_slice(struct shard *shard, struct msg *m)
{
    struct replay_slice *slice = m->slice;
    struct pull *p =
        map_get(shard->pulls, span_make((const char *)&slice->stream, sizeof(slice->stream)));
    if (!p || !p->asked)
        return; /* it has left meanwhile */
    p->asked = false;
    if (slice->why) {
        shard->sink->no_history(shard->ctx, p->who, slice->why);
        return;
    }
    m->slice = NULL;
    p->slice = slice;
    p->taken = 0;
    give(shard, p, true);
}

/*
 * A stream that was opened when its channels had no history yet. It has had what was posted, so it
 * knows how far it is, unless nothing durable was posted to anybody yet: then it cannot be told.
 */
static void become_durable(struct shard *shard, struct subscriber *s)
{
    s->durable = true;
    pull_settle(shard, s);
    enum replay_from from = s->cursor ? REPLAY_AFTER : REPLAY_UNKNOWN;
    ask(shard, pull_create(shard, s), &(struct shard_resume){.from = from, .value = s->cursor});
}

void pull_lag(struct shard *shard, const struct shard_topic *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        struct subscriber *s = t->members[i].who;
        if (!s->durable) {
            become_durable(shard, s);
        } else if (!s->replaying) {
            pull_fall_back(shard, s);
            ask_after_cursor(shard, s->pull);
        }
    }
}
