/*
 * For the model test: what Redis holds, by the rules of deploy/sluice.lua, and every publication
 * there ever was, so that the streams can be judged by them. A dataset is a plain struct: a copy of
 * it is a snapshot.
 */
#ifndef TESTS_MODEL_DATA_H
#define TESTS_MODEL_DATA_H

#include "proto/glob.h"
#include "proto/notice.h"
#include "proto/topic.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { TOPICS = 9, CHANNELS = 7, FIRST_DURABLE = 4, PUBS = 1024, LOG = 256, BOOTS = 64 };

static const struct {
    enum topic_kind kind;
    const char *name;
} topics[TOPICS] = {{TOPIC_CHANNEL, "a"},  {TOPIC_CHANNEL, "ab"}, {TOPIC_CHANNEL, "b"},
                    {TOPIC_PATTERN, "a*"}, {TOPIC_PATTERN, "*b"}, {TOPIC_PATTERN, "*"},
                    {TOPIC_CHANNEL, "d"},  {TOPIC_CHANNEL, "db"}, {TOPIC_PATTERN, "d*"}};

static const char *const channels[CHANNELS] = {"a", "ab", "b", "c", "d", "da", "db"};

static const uint64_t second_us = 1000000;

/* A publication; its number is its payload. */
struct pub {
    int channel;
    uint64_t id, previous; /* of a durable one; 0: it is ephemeral */
    unsigned epoch;
    bool muted; /* its notice could not go out */
    bool void_; /* Redis lost it before the hub heard of it, or of anything after it */
};

struct reign {
    unsigned boot;
    uint64_t before, first;
};

struct log_entry {
    uint64_t id, previous;
    uint32_t pub;
};

struct model_log {
    uint64_t stale; /* when it ends unless something is published before */
    size_t first, count;
    struct log_entry entries[LOG];
};

/* All but the logs. */
struct dataset {
    bool exists;
    unsigned epoch, boot;
    uint64_t last, born, floor, longest, pruned;
    uint64_t index[CHANNELS]; /* the id of each one's last message; 0: not in it */
    size_t reign_count;
    struct reign reigns[BOOTS]; /* the latest last */
};

/* The rest of what a Redis process knows, and what the test knows of it. */
static struct store {
    struct dataset data, saved;
    bool durable; /* channels from FIRST_DURABLE on have history */
    uint64_t messages, seconds;
    bool muted[CHANNELS]; /* notices of it are refused */
    unsigned epochs, boots;
    unsigned reign_epoch, reign_boot; /* this process's own */
    uint64_t given_most, now;
    uint32_t pub_count;
    uint64_t heard;         /* the highest id that the hub was told, since it was */
    bool greeted;           /* told on this connection what dataset it is */
    bool trimmed[CHANNELS]; /* something of it is gone, or was not announced */
    bool lossy;             /* so much went wrong that any gap may be told */
    struct model_log logs[CHANNELS], saved_logs[CHANNELS];
    struct pub pubs[PUBS]; /* from 1 */
} store;

static bool tracing; /* what the streams are told is printed */

__attribute__((format(printf, 1, 2))) static void trace(const char *fmt, ...)
{
    va_list ap;
    if (!tracing)
        return;
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
}

static bool topic_covers(int topic, int channel)
{
    struct span name = span_of(channels[channel]), of = span_of(topics[topic].name);
    return topics[topic].kind == TOPIC_CHANNEL ? span_eq(of, name) : glob_match(of, name);
}

static bool channel_durable(int channel)
{
    return store.durable && channel >= FIRST_DURABLE;
}

/* May the topic have durable messages? As the hub and the streams' owner judge. */
static bool topic_durable(int topic)
{
    return store.durable && (topics[topic].kind == TOPIC_PATTERN || topics[topic].name[0] == 'd');
}

/* May it have no others, but for plain ones on durable channels? */
static bool topic_pure(int topic)
{
    return store.durable && topics[topic].name[0] == 'd';
}

static void store_heard(uint64_t id)
{
    if (store.greeted && id > store.heard)
        store.heard = id;
}

static void logs_empty(struct model_log logs[CHANNELS])
{
    for (int i = 0; i < CHANNELS; i++)
        logs[i].stale = logs[i].first = logs[i].count = 0;
}

static void store_create(void)
{
    memset(&store, 0, offsetof(struct store, logs));
    logs_empty(store.logs);
    logs_empty(store.saved_logs);
    store.now = (uint64_t)1000000 * second_us;
}

/* The clock */

struct opening {
    uint64_t before;
    bool new_reign, raise;
};

static struct opening open_clock(void)
{
    struct dataset *d = &store.data;
    if (!d->exists) {
        uint64_t top = store.given_most;
        for (int i = 0; i < CHANNELS; i++)
            top = d->index[i] > top ? d->index[i] : top;
        d->exists = true;
        d->last = top;
        d->born = store.now > top ? store.now : top + 1;
        d->epoch = ++store.epochs;
        d->floor = d->longest = d->pruned = d->boot = 0;
    }
    bool same = store.reign_epoch == d->epoch && store.reign_boot == d->boot;
    return (struct opening){.before = d->last, .new_reign = !same};
}

static void store_clock(const struct opening *o, uint64_t last)
{
    struct dataset *d = &store.data;
    if (o->new_reign) {
        d->boot = ++store.boots;
        if (d->reign_count == BOOTS)
            memmove(d->reigns, d->reigns + 1, (--d->reign_count) * sizeof(d->reigns[0]));
        d->reigns[d->reign_count++] =
            (struct reign){.boot = d->boot, .before = o->before, .first = last};
    }
    if (o->raise)
        d->floor = last;
    d->last = last;
    store.reign_epoch = d->epoch;
    store.reign_boot = d->boot;
    store.given_most = last > store.given_most ? last : store.given_most;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Publishing */

static void log_drop_first(int channel)
{
    struct model_log *log = &store.logs[channel];
    log->first++;
    log->count--;
    store.trimmed[channel] = true;
}

static void log_expire(int channel)
{
    while (store.logs[channel].count && store.logs[channel].stale <= store.now)
        log_drop_first(channel);
}

static void prune(void)
{
    struct dataset *d = &store.data;
    for (int i = 0; i < CHANNELS; i++) {
        if (!d->index[i] || d->index[i] + d->longest * second_us >= d->last)
            continue;
        while (store.logs[i].count)
            log_drop_first(i);
        d->pruned = later(d->pruned, d->index[i]);
        d->index[i] = 0;
        store.lossy = true;
    }
}

static uint32_t pub_create(int channel)
{
    struct pub *p = &store.pubs[++store.pub_count];
    *p = (struct pub){.channel = channel};
    return store.pub_count;
}

static struct log_entry *log_append(struct model_log *log)
{
    if (log->first + log->count == LOG) {
        memmove(log->entries, log->entries + log->first, log->count * sizeof(log->entries[0]));
        log->first = 0;
    }
    return &log->entries[log->first + log->count++];
}

/* Returns the publication's number. */
static uint32_t store_publish(int channel)
{
    struct dataset *d = &store.data;
    struct model_log *log = &store.logs[channel];
    struct opening o = open_clock();
    log_expire(channel);
    d->longest = later(d->longest, store.seconds);
    store_clock(&o, later(store.now, d->last + 1));
    uint32_t number = pub_create(channel);
    struct pub *p = &store.pubs[number];
    p->id = d->last;
    p->previous = d->index[channel];
    p->epoch = d->epoch;
    p->muted = store.muted[channel];
    store.trimmed[channel] = store.trimmed[channel] || p->muted;
    *log_append(log) = (struct log_entry){.id = p->id, .previous = p->previous, .pub = number};
    d->index[channel] = p->id;
    log->stale = store.now + store.seconds * second_us;
    uint64_t oldest = p->id - store.seconds * second_us;
    while (log->count > store.messages || log->entries[log->first].id < oldest)
        log_drop_first(channel);
    prune();
    return number;
}

static uint64_t store_beat(void)
{
    struct opening o = open_clock();
    store_clock(&o, later(later(store.now, store.data.last), store.data.born));
    return store.data.last;
}

/* The first id of the last reign since `boot` that began before `highest`; 0: none did. */
static uint64_t rewound_by_reign(const struct opening *o, unsigned boot, uint64_t highest)
{
    const struct dataset *d = &store.data;
    if (!boot || (boot == d->boot && !o->new_reign))
        return 0;
    if (o->new_reign && o->before < highest)
        return d->last + 1;
    for (size_t i = d->reign_count; i-- > 0 && d->reigns[i].boot != boot;)
        if (d->reigns[i].before < highest)
            return d->reigns[i].first;
    return 0;
}

enum model_verdict { MODEL_SAME, MODEL_NEW, MODEL_REWOUND };

static enum model_verdict store_hello(unsigned epoch, unsigned boot, uint64_t highest)
{
    struct dataset *d = &store.data;
    struct opening o = open_clock();
    enum model_verdict verdict = MODEL_NEW;
    uint64_t last = later(later(store.now, d->last), d->born);
    if (epoch == d->epoch) {
        uint64_t by = rewound_by_reign(&o, boot, highest), reach = later(highest, by);
        bool rewound = highest > o.before || by;
        verdict = rewound ? MODEL_REWOUND : MODEL_SAME;
        o.raise = rewound && d->floor < reach;
        if (o.raise)
            last = later(last, later(d->last + 1, reach + 1));
    }
    store_clock(&o, last);
    return verdict;
}

/* Losing */

static bool in_log(const struct pub *p)
{
    const struct model_log *log = &store.logs[p->channel];
    for (size_t i = 0; i < log->count; i++)
        if (log->entries[log->first + i].id == p->id)
            return true;
    return false;
}

/* What is gone and was never heard of cannot be told by anybody. */
static void store_lost(uint64_t kept_upto)
{
    for (uint32_t i = 1; i <= store.pub_count; i++) {
        struct pub *p = &store.pubs[i];
        if (!p->id || p->id <= kept_upto || in_log(p))
            continue;
        p->void_ = p->void_ || p->id > store.heard;
        store.lossy = true;
    }
    store.now += 2000; /* so that no id comes twice, as in a world where time passes */
}

/* That it was ever otherwise is gone for good: what was saved does not come back either, since the
 * hub would have to be asleep for both not to hear of it. */
static void store_flush(void)
{
    memset(&store.data, 0, sizeof(store.data));
    logs_empty(store.logs);
    memset(&store.saved, 0, sizeof(store.saved));
    logs_empty(store.saved_logs);
    store.greeted = false;
    store.lossy = true;
    store_lost(0);
}

/* The process ends; another one has the same data, or, with `rewind`, those that were saved. */
static void store_restart(bool rewind)
{
    if (rewind) {
        store.data = store.saved; /* nothing, if nothing was saved */
        memcpy(store.logs, store.saved_logs, sizeof(store.logs));
    }
    store.lossy = store.lossy || rewind; /* the clock, if nothing else */
    store.reign_epoch = store.reign_boot = 0;
    store.given_most = 0;
    store_lost(rewind ? store.data.last : UINT64_MAX);
}

static void store_save(void)
{
    store.saved = store.data;
    memcpy(store.saved_logs, store.logs, sizeof(store.logs));
}

#endif
