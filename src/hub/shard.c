#include "base/mem.h"
#include "hub/shard_private.h"

#include <assert.h>

struct shard *shard_create(uint32_t worker, struct uplink *up, const struct shard_sink *sink,
                           void *ctx)
{
    struct shard *shard = mem_zalloc(sizeof(*shard));
    shard->worker = worker;
    shard->up = up;
    shard->sink = sink;
    shard->ctx = ctx;
    for (int i = 0; i < 4; i++)
        shard->topics[i / 2][i % 2] = map_create();
    shard->pulls = map_create();
    shard->reason = mem_strdup("not connected yet");
    return shard;
}

static void topic_free(struct shard_topic *t)
{
    mem_free(t->members);
    mem_free(t);
}

void shard_destroy(struct shard **shard)
{
    if (!*shard)
        return;
    for (int i = 0; i < 4; i++) {
        size_t cursor = 0;
        for (struct shard_topic *t; (t = map_next((*shard)->topics[i / 2][i % 2], &cursor));) {
            assert(t->count == 0);
            topic_free(t);
        }
        map_destroy(&(*shard)->topics[i / 2][i % 2]);
    }
    assert(map_size((*shard)->pulls) == 0);
    map_destroy(&(*shard)->pulls);
    mem_free((*shard)->reason);
    mem_free(*shard);
    *shard = NULL;
}

static struct map *topic_map(const struct shard *shard, enum topic_kind kind, bool wrapped)
{
    return shard->topics[kind][wrapped];
}

static struct shard_topic *topic_get(struct shard *shard, const struct shard_want *want,
                                     bool wrapped)
{
    struct map *map = topic_map(shard, want->kind, wrapped);
    struct shard_topic *t = map_get(map, want->name);
    if (t)
        return t;
    t = mem_zalloc(sizeof(*t) + want->name.len + 1);
    t->kind = want->kind;
    t->wrapped = wrapped;
    t->name_len = (uint32_t)want->name.len;
    memcpy(t->name, want->name.ptr, want->name.len);
    map_put(map, topic_name(t), t);
    return t;
}

static void tell_core(struct shard *shard, enum msg_type type, struct shard_topic *t)
{
    struct msg *m = msg_create(type, shard->worker);
    m->topic = t;
    m->kind = t->kind;
    m->wrapped = t->wrapped;
    m->text = mem_strdup(t->name);
    mailbox_post(&shard->up->control, m);
}

static bool has_topic(const struct subscriber *s, const struct shard_topic *t)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (s->subs[i].topic == t)
            return true;
    return false;
}

static void topic_add(struct shard_topic *t, struct subscriber *s)
{
    if (t->count == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 2;
        t->members = mem_realloc(t->members, t->cap * sizeof(*t->members));
    }
    s->subs[s->count] = (struct subscription){.topic = t, .index = t->count};
    t->members[t->count++] = (struct member){.who = s, .sub = s->count++};
}

static void topic_remove(struct shard_topic *t, uint32_t index)
{
    struct member moved = t->members[--t->count];
    if (index != t->count) {
        t->members[index] = moved;
        moved.who->subs[moved.sub].index = index;
    }
    /* A topic that was crowded once must not keep the room for ever. */
    if (t->cap > 16 && t->count < t->cap / 4) {
        t->cap /= 2;
        t->members = mem_realloc(t->members, t->cap * sizeof(*t->members));
    }
}

void shard_join(struct shard *shard, struct subscriber *s, const struct shard_want *wants,
                size_t count, const struct shard_resume *resume)
{
    assert(!s->subs);
    s->subs = mem_alloc(count * sizeof(*s->subs));
    for (size_t i = 0; i < count; i++) {
        struct shard_topic *t = topic_get(shard, &wants[i], s->wrapped);
        if (has_topic(s, t))
            continue;
        topic_add(t, s);
        if (!t->ready)
            s->waiting++;
        tell_core(shard, MSG_SUBSCRIBE, t);
    }
    if (s->durable)
        pull_begin(shard, s, resume);
    if (s->waiting == 0)
        shard->sink->ready(shard->ctx, s);
    else if (!shard->up_now)
        shard->sink->waiting(shard->ctx, s);
}

void shard_leave(struct shard *shard, struct subscriber *s)
{
    pull_end(shard, s);
    for (uint32_t i = 0; i < s->count; i++) {
        struct shard_topic *t = s->subs[i].topic;
        topic_remove(t, s->subs[i].index);
        if (t->count == 0) {
            t->ready = false; /* the core says so again to whoever comes next */
            t->goodbyes++;
        }
        tell_core(shard, MSG_UNSUBSCRIBE, t);
    }
    mem_free(s->subs);
    *s = (struct subscriber){.wrapped = s->wrapped, .durable = s->durable};
}

static void topic_ready(struct shard *shard, struct shard_topic *t)
{
    /* An answer to a subscription that has ended meanwhile says nothing of the one made after it.
     */
    if (t->ready || t->goodbyes)
        return;
    t->ready = true;
    for (uint32_t i = 0; i < t->count; i++) {
        struct subscriber *s = t->members[i].who;
        if (s->waiting && --s->waiting == 0)
            shard->sink->ready(shard->ctx, s);
    }
}

/* With an id it stands for durable messages up to there: it takes their place in the order. */
static void topic_gap(struct shard *shard, const struct msg *m)
{
    const struct lane_entry gap = {.frame = m->frame, .topic = m->topic, .id = m->id};
    for (uint32_t i = 0; i < m->topic->count; i++)
        fanout_gap(shard, m->topic->members[i].who, &gap);
}

/* Beside the order: a cursor stays, or the ids begin anew there. */
static void topic_lost(struct shard *shard, const struct msg *m)
{
    const struct lane_entry gap = {.frame = m->frame, .topic = m->topic};
    for (uint32_t i = 0; i < m->topic->count; i++) {
        struct subscriber *s = m->topic->members[i].who;
        if (s->replaying && pull_reach(s) < m->id)
            continue;
        if (m->anew && !s->replaying)
            s->cursor = m->id;
        fanout_gap(shard, s, &gap);
    }
}

/* To whom it can no longer come in its place it is a gap; the others get it as usual. */
static void topic_late(struct shard *shard, const struct msg *m)
{
    const struct lane_entry gap = {.frame = m->frame, .topic = m->topic};
    for (uint32_t i = 0; i < m->topic->count; i++) {
        struct subscriber *s = m->topic->members[i].who;
        pull_settle(shard, s);
        if (pull_reach(s) >= m->id)
            fanout_gap(shard, s, &gap);
    }
}

static void topic_refused(struct shard *shard, struct shard_topic *t, const char *why)
{
    for (uint32_t i = 0; i < t->count; i++)
        shard->sink->refused(shard->ctx, t->members[i].who, topic_name(t), why);
}

static void topic_gone(struct shard *shard, struct shard_topic *t)
{
    assert(t->goodbyes > 0);
    if (--t->goodbyes || t->count)
        return;
    map_del(topic_map(shard, t->kind, t->wrapped), topic_name(t));
    topic_free(t);
}

/* All topics are unconfirmed from here; each stream hears of it once. */
static void broker_down(struct shard *shard)
{
    for (int map = 0; map < 4; map++) {
        size_t cursor = 0;
        for (struct shard_topic *t; (t = map_next(shard->topics[map / 2][map % 2], &cursor));) {
            bool was_ready = t->ready;
            t->ready = false;
            for (uint32_t i = 0; was_ready && i < t->count; i++)
                if (t->members[i].who->waiting++ == 0)
                    shard->sink->waiting(shard->ctx, t->members[i].who);
        }
    }
}

static void broker_changed(struct shard *shard, const struct msg *m)
{
    bool was_up = shard->up_now;
    shard->up_now = m->up;
    mem_free(shard->reason);
    shard->reason = mem_strdup(m->text ? m->text : "");
    if (was_up && !m->up)
        broker_down(shard);
}

static void answer_fence(struct shard *shard, const struct msg *m)
{
    struct msg *answer = msg_create(MSG_FENCED, shard->worker);
    answer->fence = m->fence;
    answer->fence.streams = shard->last_pub == m->fence.pub ? shard->last_streams : 0;
    mailbox_post(&shard->up->control, answer);
}

bool shard_handle(struct shard *shard, struct msg *m)
{
    switch (m->type) {
    case MSG_TOPIC_READY:
        topic_ready(shard, m->topic);
        return true;
    case MSG_TOPIC_GAP:
        topic_gap(shard, m);
        return true;
    case MSG_TOPIC_LOST:
        topic_lost(shard, m);
        return true;
    case MSG_TOPIC_REFUSED:
        topic_refused(shard, m->topic, m->text);
        return true;
    case MSG_TOPIC_LAG:
        pull_lag(shard, m->topic);
        return true;
    case MSG_TOPIC_LATE:
        topic_late(shard, m);
        return true;
    case MSG_SLICE:
        pull_slice(shard, m);
        return true;
    case MSG_FRONTIER:
        shard->frontier = m->id;
        return true;
    case MSG_TOPIC_GONE:
        topic_gone(shard, m->topic);
        return true;
    case MSG_BROKER:
        broker_changed(shard, m);
        return true;
    case MSG_FENCE:
        answer_fence(shard, m);
        return true;
    default:
        return false;
    }
}

uint64_t shard_frontier(const struct shard *shard)
{
    return shard->frontier;
}

bool shard_broker_up(const struct shard *shard)
{
    return shard->up_now;
}

const char *shard_broker_reason(const struct shard *shard)
{
    return shard->reason;
}

size_t shard_topics(const struct shard *shard)
{
    size_t n = 0;
    for (int i = 0; i < 4; i++)
        n += map_size(shard->topics[i / 2][i % 2]);
    return n;
}
