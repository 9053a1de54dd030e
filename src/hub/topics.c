#include "hub/topics.h"

#include "base/map.h"
#include "base/mem.h"
#include "proto/channel.h"
#include "proto/glob.h"

struct topics {
    struct map *maps[2]; /* by enum topic_kind; values owned */
    struct list patterns;
    uint32_t workers;
};

struct topics *topics_create(uint32_t workers)
{
    struct topics *t = mem_zalloc(sizeof(*t));
    t->maps[TOPIC_CHANNEL] = map_create();
    t->maps[TOPIC_PATTERN] = map_create();
    list_init(&t->patterns);
    t->workers = workers;
    return t;
}

static void topic_free(struct topic *topic)
{
    list_remove(&topic->node);
    list_remove(&topic->linger);
    mem_free(topic->refused);
    mem_free(topic->name);
    mem_free(topic);
}

void topics_destroy(struct topics **topics)
{
    if (!*topics)
        return;
    for (int kind = 0; kind < 2; kind++) {
        size_t cursor = 0;
        for (struct topic *t; (t = map_next((*topics)->maps[kind], &cursor));)
            topic_free(t);
        map_destroy(&(*topics)->maps[kind]);
    }
    mem_free(*topics);
    *topics = NULL;
}

struct topic *topics_find(const struct topics *t, enum topic_kind kind, struct span name)
{
    return map_get(t->maps[kind], name);
}

struct topic *topics_add(struct topics *t, enum topic_kind kind, struct span name)
{
    struct topic *topic =
        mem_zalloc(sizeof(*topic) + (size_t)t->workers * 2 * sizeof(topic->slots[0]));
    topic->kind = kind;
    topic->name = mem_dup(name.ptr, name.len);
    topic->name_len = (uint32_t)name.len;
    if (kind == TOPIC_PATTERN) {
        topic->prefix = (uint32_t)glob_literal_prefix(name);
        list_append(&t->patterns, &topic->node);
    }
    map_put(t->maps[kind], topic_span(topic), topic);
    return topic;
}

void topics_remove(struct topics *t, struct topic *topic)
{
    map_del(t->maps[topic->kind], topic_span(topic));
    topic_free(topic);
}

struct topic *topics_next(const struct topics *t, enum topic_kind kind, size_t *cursor)
{
    return map_next(t->maps[kind], cursor);
}

size_t topics_count(const struct topics *t, enum topic_kind kind)
{
    return map_size(t->maps[kind]);
}

const struct list *topics_patterns(const struct topics *t)
{
    return &t->patterns;
}

bool topic_matches(const struct topic *pattern, struct span channel)
{
    if (span_is(channel, FEED_CHANNEL))
        return false;
    if (channel.len < pattern->prefix || memcmp(channel.ptr, pattern->name, pattern->prefix) != 0)
        return false;
    return glob_match(topic_span(pattern), channel);
}
