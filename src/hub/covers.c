/*
 * Which patterns are asked of the broker. Redis sends a publication once for each pattern of ours
 * that matches, and anybody may ask for a hundred: one message of half a megabyte to a name that
 * they all match was 50 MB, for which Redis cuts the gateway off. So of the patterns that may match
 * one name only so many are asked for. A further one rides on a cover, a pattern that matches all
 * that it does: it hears what the cover brings, since the gateway's own matching says who gets
 * what.
 */
#include "hub/core_private.h"
#include "proto/glob.h"

/*
 * Patterns match one name only if the literal prefix of each is that of the name, so they are a
 * chain: `above` is how many others the chain has up to a pattern, and the longest one counts.
 */
enum {
    PATTERNS_A_NAME = 16, /* with messages of a megabyte, half of what Redis queues for us */
};

static struct span literal(const struct topic *t)
{
    return span_make(t->name, t->prefix);
}

static bool begins(const struct topic *t, struct span prefix)
{
    return t->prefix >= prefix.len && memcmp(t->name, prefix.ptr, prefix.len) == 0;
}

/* Sets t->above. False when a chain would be too long with it. */
static bool has_room(const struct core *core, struct topic *t)
{
    t->above = 0;
    LIST_FOREACH (n, topics_patterns(core->topics)) {
        const struct topic *other = LIST_ENTRY(n, struct topic, node);
        if (!other->counted)
            continue;
        t->above += begins(t, literal(other));
        if (begins(other, literal(t)) && other->above + 1 >= PATTERNS_A_NAME)
            return false;
    }
    return t->above < PATTERNS_A_NAME;
}

static void count(const struct core *core, struct topic *t, bool in)
{
    t->counted = in;
    LIST_FOREACH (n, topics_patterns(core->topics)) {
        struct topic *other = LIST_ENTRY(n, struct topic, node);
        if (other != t && other->counted && begins(other, literal(t)))
            other->above += in ? 1 : UINT32_MAX;
    }
}

static bool may_cover(const struct topic *t, const struct topic *rider)
{
    return t != rider && !t->cover && !t->refused && t->prefix + 1 == t->name_len &&
           t->name[t->prefix] == '*' && begins(rider, literal(t));
}

static struct topic *find_cover(const struct core *core, const struct topic *rider)
{
    LIST_FOREACH (n, topics_patterns(core->topics)) {
        struct topic *t = LIST_ENTRY(n, struct topic, node);
        if (may_cover(t, rider))
            return t;
    }
    return NULL;
}

/* Covers would be a chain themselves: above another one goes just the one of everything. */
static size_t cover_prefix(const struct core *core, const struct topic *rider)
{
    const char *escape = rider->prefix ? memchr(rider->name, '\\', rider->prefix) : NULL;
    size_t len = escape ? (size_t)(escape - rider->name) : rider->prefix;
    LIST_FOREACH (n, topics_patterns(core->topics)) {
        const struct topic *t = LIST_ENTRY(n, struct topic, node);
        if (t->riders && begins(t, span_make(rider->name, len)))
            return 0;
    }
    return len;
}

static struct topic *make_cover(struct core *core, const struct topic *rider)
{
    struct buf name = {0};
    buf_append(&name, rider->name, cover_prefix(core, rider));
    buf_byte(&name, '*');
    struct topic *t = topics_find(core->topics, TOPIC_PATTERN, buf_view(&name));
    /* It is the rider itself, or one that the broker will not have. */
    if (t)
        t = may_cover(t, rider) ? t : NULL;
    else
        t = topics_add(core->topics, TOPIC_PATTERN, buf_view(&name));
    buf_free(&name);
    return t;
}

void cover_place(struct core *core, struct topic *t)
{
#ifdef SLUICE_MUTANT_no_covers
    return;
#endif
    if (t->kind != TOPIC_PATTERN)
        return;
    if (has_room(core, t)) {
        count(core, t, true);
        return;
    }
    t->cover = find_cover(core, t);
    if (!t->cover)
        t->cover = make_cover(core, t);
    if (t->cover)
        t->cover->riders++;
}

struct topic *cover_release(struct core *core, struct topic *t)
{
    struct topic *cover = t->cover;
    if (t->counted)
        count(core, t, false);
    t->cover = NULL;
    return cover && --cover->riders == 0 ? cover : NULL;
}
