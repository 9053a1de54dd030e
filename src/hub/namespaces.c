#include "hub/namespaces.h"

#include "base/mem.h"
#include "proto/channel.h"

struct namespaces {
    struct namespace_settings *all; /* owned */
    size_t count;
};

static const struct namespace_settings fallback = {.match = NULL, .envelope = false};

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
    for (size_t i = 0; i < n->count; i++)
        if (namespace_match(span_of(n->all[i].match), channel))
            return &n->all[i];
    return &fallback;
}
