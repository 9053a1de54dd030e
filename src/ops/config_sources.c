/* Where each value came from, by the path as it is shown. */
#include "ops/config_load.h"

#include "base/map.h"
#include "base/mem.h"

struct source {
    char *path; /* owned; the map's key */
    char *name; /* owned */
};

struct config_sources {
    struct map *by_path; /* owned; of owned struct source */
};

struct config_sources *sources_create(void)
{
    struct config_sources *sources = mem_zalloc(sizeof(*sources));
    sources->by_path = map_create();
    return sources;
}

void sources_destroy(struct config_sources **sources)
{
    if (!*sources)
        return;
    size_t cursor = 0;
    for (struct source *s; (s = map_next((*sources)->by_path, &cursor)) != NULL;) {
        mem_free(s->path);
        mem_free(s->name);
        mem_free(s);
    }
    map_destroy(&(*sources)->by_path);
    mem_free(*sources);
    *sources = NULL;
}

void sources_set(struct config_sources *sources, const char *path, const char *name)
{
    struct source *s = map_get(sources->by_path, span_of(path));
    if (!s) {
        s = mem_zalloc(sizeof(*s));
        s->path = mem_strdup(path);
        map_put(sources->by_path, span_of(s->path), s);
    }
    mem_free(s->name);
    s->name = mem_strdup(name);
}

const char *sources_get(const struct config_sources *sources, const char *path)
{
    const struct source *s = map_get(sources->by_path, span_of(path));
    return s ? s->name : "default";
}
