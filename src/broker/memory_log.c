#include "broker/memory_log.h"

#include "base/err.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/random.h"
#include "broker/memory_keys.h"
#include "proto/notice.h"

static const uint64_t second = 1000000; /* microseconds */

enum {
    KEY_SECONDS_LEAST = 120,  /* how long a key counts at least, */
    KEY_SECONDS_MOST = 86400, /* and at most; between them, as long as the history */
    PRUNED_AT_ONCE = 2,
    KEYS_SHARE = 8, /* of the bytes, one in so many is for keys */
};

/* A channel, as long as the index remembers it. */
struct channel {
    struct list index;  /* in memory_log.index */
    struct list stored; /* in memory_log.stored, while it has records */
    struct memory_ring log;
    uint64_t last;  /* id of its last message, kept or not */
    uint64_t stale; /* when the log ends unless something is published before */
    size_t name_len;
    char name[];
};

struct memory_log {
    const struct clock *clock; /* borrowed */
    char epoch[NOTICE_EPOCH_BYTES + 1];
    uint64_t born, last;
    uint64_t longest; /* seconds: of all histories; as long the index remembers a channel */
    uint64_t pruned;  /* the highest id that the index has forgotten */
    uint64_t bytes, most;
    struct map *channels;     /* owned; values are struct channel, owned */
    struct list index;        /* all channels in the order of their last ids */
    struct list stored;       /* those with records, in the same order */
    struct memory_keys *keys; /* owned */
};

/* Time */

/* The wall clock, or the last id where that is ahead of it. */
static uint64_t time_of(const struct memory_log *log)
{
    uint64_t wall = clock_wall_us(log->clock);
    return wall > log->last ? wall : log->last;
}

uint64_t memory_log_clock(struct memory_log *log)
{
    return log->last = time_of(log);
}

static uint64_t next_id(struct memory_log *log)
{
    uint64_t now = time_of(log);
    return log->last = now > log->last ? now : log->last + 1;
}

static uint64_t ago(uint64_t now, uint64_t seconds)
{
    return now > seconds * second ? now - seconds * second : 0;
}

/* Creation */

struct memory_log *memory_log_create(const struct clock *clock, uint64_t bytes)
{
    struct memory_log *log = mem_zalloc(sizeof(*log));
    log->clock = clock;
    log->born = time_of(log);
    random_hex(log->epoch, NOTICE_EPOCH_BYTES);
    log->most = bytes;
    log->channels = map_create();
    log->keys = memory_keys_create(bytes / KEYS_SHARE);
    list_init(&log->index);
    list_init(&log->stored);
    return log;
}

/* Channels */

static void drop_first(struct memory_log *log, struct channel *c)
{
    log->bytes -= memory_ring_drop(&c->log);
    if (c->log.count == 0)
        list_remove(&c->stored);
}

static void drop_all(struct memory_log *log, struct channel *c)
{
    while (c->log.count)
        drop_first(log, c);
}

static struct span channel_name(const struct channel *c)
{
    return span_make(c->name, c->name_len);
}

static uint64_t channel_cost(size_t name_len)
{
    return sizeof(struct channel) + name_len;
}

static struct channel *channel_create(struct memory_log *log, struct span name)
{
    struct channel *c = mem_zalloc(sizeof(*c) + name.len);
    c->name_len = name.len;
    memcpy(c->name, name.ptr, name.len);
    map_put(log->channels, channel_name(c), c);
    log->bytes += channel_cost(name.len);
    return c;
}

static void channel_forget(struct memory_log *log, struct channel *c)
{
    drop_all(log, c);
    log->bytes -= channel_cost(c->name_len);
    list_remove(&c->index);
    map_del(log->channels, channel_name(c));
    mem_free(c);
}

static struct channel *longest_idle(const struct memory_log *log)
{
    return LIST_ENTRY(list_first(&log->index), struct channel, index);
}

void memory_log_destroy(struct memory_log **log)
{
    if (!*log)
        return;
    while (!list_empty(&(*log)->index))
        channel_forget(*log, longest_idle(*log));
    map_destroy(&(*log)->channels);
    memory_keys_destroy(&(*log)->keys);
    mem_free(*log);
    *log = NULL;
}

/* The channel with its log as of now: one that has ended is no more. */
static struct channel *channel_find(struct memory_log *log, struct span name)
{
    struct channel *c = map_get(log->channels, name);
    if (c && c->stale <= time_of(log))
        drop_all(log, c);
    return c;
}

struct span memory_log_epoch(const struct memory_log *log)
{
    return span_make(log->epoch, NOTICE_EPOCH_BYTES);
}

void memory_log_describe(struct memory_log *log, struct broker_dataset *out)
{
    *out = (struct broker_dataset){
        .epoch = memory_log_epoch(log),
        .boot = memory_log_epoch(log),
        .clock = memory_log_clock(log),
        .born = log->born,
        .longest_us = log->longest * second,
    };
}

/* Publishing */

/* Each message forgets at most two channels, so that none takes long. */
static void prune(struct memory_log *log)
{
    uint64_t oldest = ago(log->last, log->longest);
    for (int i = 0; i < PRUNED_AT_ONCE && longest_idle(log)->last < oldest; i++) {
        log->pruned = longest_idle(log)->last;
        channel_forget(log, longest_idle(log));
    }
}

static void keep_budget(struct memory_log *log)
{
    while (log->bytes > log->most && !list_empty(&log->stored))
        drop_first(log, LIST_ENTRY(list_first(&log->stored), struct channel, stored));
}

static void trim(struct memory_log *log, struct channel *c, const struct broker_publication *p)
{
    uint64_t oldest = ago(c->last, p->seconds);
    while (c->log.count > p->messages || (c->log.count && memory_ring_first(&c->log) < oldest))
        drop_first(log, c);
}

static void to_end(struct list *head, struct list *node)
{
    list_remove(node);
    list_append(head, node);
}

static struct channel *find_or_create(struct memory_log *log, struct span name)
{
    struct channel *c = channel_find(log, name);
    if (c)
        return c;
    keep_budget(log);
    bool full = list_empty(&log->stored) && log->bytes + channel_cost(name.len) > log->most;
    return full ? NULL : channel_create(log, name);
}

static void remember_key(struct memory_log *log, const struct broker_publication *p, uint64_t id)
{
    uint64_t seconds = p->seconds < KEY_SECONDS_LEAST  ? KEY_SECONDS_LEAST
                       : p->seconds > KEY_SECONDS_MOST ? KEY_SECONDS_MOST
                                                       : p->seconds;
    if (p->key.ptr)
        memory_keys_put(log->keys, p->channel, p->key, id, id, id + seconds * second);
}

static uint64_t first_with_key(struct memory_log *log, const struct broker_publication *p)
{
    return p->key.ptr ? memory_keys_find(log->keys, p->channel, p->key, time_of(log)) : 0;
}

int memory_log_add(struct memory_log *log, const struct broker_publication *p,
                   struct memory_added *out)
{
    uint64_t first = first_with_key(log, p);
    if (first) {
        *out = (struct memory_added){.id = first, .again = true};
        return 0;
    }
    struct channel *c = find_or_create(log, p->channel);
    if (!c)
        return ERR_FULL;
    *out = (struct memory_added){.id = next_id(log), .previous = c->last};
    c->last = out->id;
    c->stale = out->id + p->seconds * second;
    log->bytes += memory_ring_push(&c->log, out->id, out->previous, p->event, p->data);
    to_end(&log->index, &c->index);
    to_end(&log->stored, &c->stored);
    if (p->seconds > log->longest)
        log->longest = p->seconds;
    trim(log, c, p);
    prune(log);
    keep_budget(log);
    remember_key(log, p, out->id);
    return 0;
}

/* Reading */

static struct list *first_after(const struct memory_log *log, uint64_t after)
{
    struct list *node = log->index.prev;
    while (node != &log->index && LIST_ENTRY(node, struct channel, index)->last > after)
        node = node->prev;
    return node->next;
}

void memory_log_changed(struct memory_log *log, uint64_t after, uint32_t limit,
                        struct memory_changes *out)
{
    struct list *first = first_after(log, after), *end = first;
    size_t count = 0, bytes = 0;
    for (; end != &log->index && count < limit; end = end->next, count++)
        bytes += LIST_ENTRY(end, struct channel, index)->name_len;
    *out = (struct memory_changes){.list = mem_alloc((count + 1) * sizeof(*out->list)),
                                   .bytes = mem_alloc(bytes + 1)};
    out->changes = (struct broker_changes){.list = out->list, .pruned = log->pruned};
    char *at = out->bytes;
    for (struct list *node = first; node != end; node = node->next) {
        const struct channel *c = LIST_ENTRY(node, struct channel, index);
        memcpy(at, c->name, c->name_len);
        out->list[out->changes.count++] =
            (struct broker_change){.channel = span_make(at, c->name_len), .id = c->last};
        at += c->name_len;
    }
}

void memory_changes_free(struct memory_changes *changes)
{
    mem_free(changes->list);
    mem_free(changes->bytes);
}

/* Only the first message that is left can have its forerunner missing. */
static uint64_t lost_up_to(const struct memory_log *log, const struct broker_slice *slice)
{
    const struct broker_record *first = slice->records;
    if (slice->count == 0)
        return slice->last ? slice->last : log->pruned;
    if (first->previous)
        return first->previous;
    return log->pruned < first->id ? log->pruned : first->id - 1;
}

void memory_log_read(struct memory_log *log, struct span channel, uint64_t after, uint32_t limit,
                     uint64_t bytes, struct memory_slice *out)
{
    const struct channel *c = channel_find(log, channel);
    static const struct memory_ring none;
    memory_ring_read(c ? &c->log : &none, after, limit, bytes, out);
    out->slice.last = c ? c->last : 0;
    uint64_t lost = lost_up_to(log, &out->slice);
    out->slice.lost = lost > after ? lost : 0;
}
