/* What topics are called at the broker. */
#include "hub/core_private.h"
#include "proto/channel.h"
#include "proto/notice.h"

struct span core_full_name(struct core *core, enum topic_kind kind, struct span name)
{
    buf_reset(&core->full_name);
    if (!span_is(name, FEED_CHANNEL))
        buf_span(&core->full_name, buf_view(&core->prefix[kind]));
    buf_span(&core->full_name, name);
    return buf_view(&core->full_name);
}

bool core_strip(const struct core *core, enum topic_kind kind, struct span *name)
{
    size_t n = core->prefix[kind].len;
    if (span_is(*name, FEED_CHANNEL))
        return true;
    if (name->len < n || (n && memcmp(name->ptr, core->prefix[kind].data, n) != 0))
        return false;
    *name = span_make(name->ptr + n, name->len - n);
    return true;
}

struct topic *core_topic_meant(struct core *core, enum topic_kind kind, struct span full,
                               enum topic_part *part)
{
    size_t n = strlen(NOTICE_PREFIX);
    *part = span_starts(full, NOTICE_PREFIX) ? PART_NOTES : PART_PLAIN;
    if (*part == PART_NOTES)
        full = span_make(full.ptr + n, full.len - n);
    struct topic *t = core_strip(core, kind, &full) ? topics_find(core->topics, kind, full) : NULL;
    return t && !t->cover ? t : NULL;
}

struct span core_part_name(struct core *core, const struct topic *t, enum topic_part part)
{
    if (part == PART_PLAIN)
        return core_full_name(core, t->kind, topic_span(t));
    buf_reset(&core->full_name);
    buf_str(&core->full_name, NOTICE_PREFIX);
    if (!span_is(topic_span(t), FEED_CHANNEL))
        buf_span(&core->full_name, buf_view(&core->prefix[t->kind]));
    buf_span(&core->full_name, topic_span(t));
    return buf_view(&core->full_name);
}
