/*
 * The durable calls of a broker for tests: what was answered is heard as a line of text, as events
 * are (redis_harness.h), and the last answer of each kind is kept in `last`.
 */
#ifndef TESTS_REDIS_DURABLE_H
#define TESTS_REDIS_DURABLE_H

#include "redis_harness.h"

static struct {
    uint64_t id;
    char epoch[64], boot[64];
    struct broker_dataset dataset; /* its texts are the two above */
    struct broker_record records[1000];
    size_t count;
    bool more;
    uint64_t last, lost, pruned;
    struct buf data; /* all data of the records, one after the other */
} last;

/* "a ok|..." or "a unavailable|why". */
static void hear_answer(struct rig *rig, const char *event, int err, const char *why,
                        const char *text)
{
    assert_true((err == 0) == (why == NULL));
    hear(rig, event, span_of(err ? err_name(err) : "ok"), span_of(err ? why : text), NONE);
}

static void rig_durable(void *arg, int err, const char *why, uint64_t id)
{
    char text[24];
    last.id = id;
    snprintf(text, sizeof(text), "%llu", (unsigned long long)id);
    hear_answer(arg, "durable", err, why, text);
}

UNUSED_FN static void rig_hello(void *arg, int err, const char *why, const struct broker_dataset *d)
{
    static const char *const names[] = {"same", "new", "rewound"};
    assert_true((err == 0) == (d != NULL));
    if (d) {
        snprintf(last.epoch, sizeof(last.epoch), "%.*s", (int)d->epoch.len, d->epoch.ptr);
        snprintf(last.boot, sizeof(last.boot), "%.*s", (int)d->boot.len, d->boot.ptr);
        last.dataset = *d;
    }
    hear_answer(arg, "hello", err, why, d ? names[d->verdict] : "");
}

UNUSED_FN static void rig_changes(void *arg, int err, const char *why,
                                  const struct broker_changes *changes)
{
    struct buf text = {0};
    assert_true((err == 0) == (changes != NULL));
    for (size_t i = 0; changes && i < changes->count; i++) {
        buf_span(&text, changes->list[i].channel);
        buf_byte(&text, ',');
        last.id = changes->list[i].id;
    }
    last.pruned = changes ? changes->pruned : 0;
    hear_answer(arg, "changes", err, why, buf_cstr(&text));
    buf_free(&text);
}

UNUSED_FN static void rig_slice(void *arg, int err, const char *why,
                                const struct broker_slice *slice)
{
    char text[64];
    assert_true((err == 0) == (slice != NULL));
    buf_free(&last.data);
    last.count = slice ? slice->count : 0;
    for (size_t i = 0; i < last.count; i++) {
        last.records[i] = slice->records[i];
        buf_span(&last.data, slice->records[i].data);
    }
    last.more = slice && slice->more;
    last.last = slice ? slice->last : 0;
    last.lost = slice ? slice->lost : 0;
    snprintf(text, sizeof(text), "%zu", last.count);
    hear_answer(arg, "slice", err, why, text);
}

UNUSED_FN static void publish_durable(struct rig *rig, const char *channel, struct span data,
                                      const char *event, const char *key)
{
    const struct broker_publication publication = {
        .channel = span_of(channel),
        .event = span_of(event),
        .data = data,
        .key = span_of(key),
        .messages = 1000,
        .seconds = 3600,
    };
    rig->broker->ops->publish_durable(rig->broker, &publication, rig_durable, rig);
}

UNUSED_FN static void hello(struct rig *rig, uint64_t highest)
{
    char epoch[64], boot[64];
    memcpy(epoch, last.epoch, sizeof(epoch));
    memcpy(boot, last.boot, sizeof(boot));
    rig->broker->ops->hello(rig->broker, span_of(epoch), span_of(boot), highest, rig_hello, rig);
}

UNUSED_FN static void changed(struct rig *rig, uint64_t after, uint32_t limit)
{
    rig->broker->ops->changed(rig->broker, after, limit, rig_changes, rig);
}

UNUSED_FN static void read_log(struct rig *rig, const char *channel, uint64_t after, uint32_t limit,
                               uint64_t bytes)
{
    rig->broker->ops->read(rig->broker, span_of(channel), after, limit, bytes, rig_slice, rig);
}

UNUSED_FN static void forget_last(void)
{
    buf_free(&last.data);
    memset(&last, 0, sizeof(last));
}

#endif
