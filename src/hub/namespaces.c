#include "hub/namespaces.h"

#include "base/mem.h"
#include "proto/channel.h"
#include "proto/glob.h"

struct namespaces {
    struct namespace_settings *all; /* owned */
    size_t count;
};

static const struct namespace_settings fallback = {.match = NULL, .envelope = false};
static const struct namespace_settings feed = {
    .durable = true, .history_messages = 10000, .history_seconds = 3600};

struct namespaces *namespaces_create(const struct namespace_settings *settings, size_t count)
{
    struct namespaces *n = mem_zalloc(sizeof(*n));
    n->all = mem_zalloc((count ? count : 1) * sizeof(*n->all));
    n->count = count;
    for (size_t i = 0; i < count; i++) {
        n->all[i] = settings[i];
        n->all[i].match = mem_strdup(settings[i].match);
    }
    return n;
}

void namespaces_destroy(struct namespaces **n)
{
    if (!*n)
        return;
    for (size_t i = 0; i < (*n)->count; i++)
        mem_free((*n)->all[i].match);
    mem_free((*n)->all);
    mem_free(*n);
    *n = NULL;
}

const struct namespace_settings *namespaces_find(const struct namespaces *n, struct span channel)
{
    if (span_is(channel, FEED_CHANNEL))
        return &feed;
    for (size_t i = 0; i < n->count; i++)
        if (namespace_match(span_of(n->all[i].match), channel))
            return &n->all[i];
    return &fallback;
}

bool namespaces_durable(const struct namespaces *n)
{
    for (size_t i = 0; i < n->count; i++)
        if (n->all[i].durable)
            return true;
    return false;
}

/* Is it a literal with one star behind it, and no other special character, that begins all that the
 * pattern matches? */
static bool takes_all(const char *match, struct span pattern)
{
    struct span all = span_of(match);
    size_t literal = glob_literal_prefix(all);
    if (literal + 1 != all.len || match[literal] != '*' || memchr(match, '{', all.len))
        return false;
    return glob_literal_prefix(pattern) >= literal && memcmp(pattern.ptr, match, literal) == 0;
}

bool namespaces_all_durable(const struct namespaces *n, struct span pattern)
{
    for (size_t i = 0; i < n->count && n->all[i].durable; i++)
        if (takes_all(n->all[i].match, pattern))
            return true;
    return false;
}
