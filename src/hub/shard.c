#include "hub/shard.h"

#include "base/map.h"
#include "base/mem.h"

#include <assert.h>

struct subscription {
    struct shard_topic *topic; /* borrowed: lives while it has a subscriber */
    uint32_t index;            /* where in topic->members */
};

/* One place in a topic: who, and the subscription that must hear when the place moves. */
struct member {
    struct subscriber *who; /* borrowed */
    uint32_t sub;           /* index into who->subs */
};

struct shard_topic {
    struct member *members; /* owned */
    uint32_t count, cap;
    uint32_t goodbyes; /* times the core was told that nobody listens and has not yet answered */
    enum topic_kind kind;
    bool wrapped; /* plain and wrapped are topics of their own: the core must know each before it is
                     owed */
    bool ready;   /* confirmed: what is published from here on arrives */
    uint32_t name_len;
    char name[]; /* NUL-terminated */
};

struct shard {
    uint32_t worker;
    struct uplink *up;             /* borrowed */
    const struct shard_sink *sink; /* borrowed */
    void *ctx;                     /* borrowed */
    struct map *topics[2][2];      /* by enum topic_kind and form; values owned */
    uint64_t last_pub;             /* the publication fanned out last, */
    uint32_t last_streams;         /* and how many streams had it */
    bool up_now;
    char *reason; /* owned; why the broker is away */
};

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
    mem_free((*shard)->reason);
    mem_free(*shard);
    *shard = NULL;
}

static struct span topic_name(const struct shard_topic *t)
{
    return span_make(t->name, t->name_len);
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
                size_t count)
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
    if (s->waiting == 0)
        shard->sink->ready(shard->ctx, s);
    else if (!shard->up_now)
        shard->sink->waiting(shard->ctx, s);
}

void shard_leave(struct shard *shard, struct subscriber *s)
{
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
    *s = (struct subscriber){.wrapped = s->wrapped};
}

/* A crowd's structs are spread over memory: ask for them before their turn. */
enum { PREFETCH_WHO = 8, PREFETCH_REST = 4 };

static void prefetch(const struct shard *shard, const struct shard_topic *t, uint32_t i)
{
    if (i + PREFETCH_WHO < t->count)
        __builtin_prefetch(t->members[i + PREFETCH_WHO].who, 1);
    if (i + PREFETCH_REST < t->count && shard->sink->prefetch)
        shard->sink->prefetch(shard->ctx, t->members[i + PREFETCH_REST].who);
}

uint32_t shard_fan_out(struct shard *shard, const struct lane_entry *entries, uint32_t n)
{
    const struct shard_topic *t = entries[0].topic;
    uint64_t last = entries[n - 1].pub;
    uint32_t given = 0, given_last = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        struct subscriber *s = t->members[i].who;
        uint32_t from = 0;
        prefetch(shard, t, i);
#ifndef SLUICE_MUTANT_no_dedup
        /* The entries of one publication stand together, so just the first can have come before. */
        from = s->last_pub == entries[0].pub;
#endif
        if (from == n)
            continue;
        s->last_pub = last;
        shard->sink->deliver(shard->ctx, s, entries + from, n - from);
        given += n - from;
        given_last++;
    }
    if (shard->last_pub != last) {
        shard->last_pub = last;
        shard->last_streams = 0;
    }
    shard->last_streams += given_last;
    return given;
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

static void topic_gap(struct shard *shard, struct shard_topic *t, struct frame *f)
{
    const struct lane_entry gap = {.frame = f};
    for (uint32_t i = 0; i < t->count; i++)
        shard->sink->deliver(shard->ctx, t->members[i].who, &gap, 1);
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

bool shard_handle(struct shard *shard, const struct msg *m)
{
    switch (m->type) {
    case MSG_TOPIC_READY:
        topic_ready(shard, m->topic);
        return true;
    case MSG_TOPIC_GAP:
        topic_gap(shard, m->topic, m->frame);
        return true;
    case MSG_TOPIC_REFUSED:
        topic_refused(shard, m->topic, m->text);
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
