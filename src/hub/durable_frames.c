/* The frames of durable messages: plain at once, wrapped when somebody wants it. */
#include "base/map.h"
#include "hub/core_private.h"
#include "proto/channel.h"
#include "proto/event_id.h"
#include "proto/invalidation.h"

/* The message's frame of one form; owned. */
static struct frame *make_frame(struct core *core, struct span channel,
                                const struct sse_event *event, uint64_t id, bool wrapped,
                                uint64_t born_us)
{
    char text[EVENT_ID_TEXT];
    struct sse_event own = *event;
    own.id = span_make(text, event_id_format(text, id));
    if (own.event.len == 0)
        own.event.ptr = NULL;
    struct frame *f = core_frame(core, channel, &own, wrapped, born_us);
    frame_count(f, &core->durable.alive);
    return f;
}

/* The plain form says all of a message but the kind of its line ends, and the name "message". */
static bool plain_says_all(const struct sse_event *event)
{
    return !span_is(event->event, "message") &&
           (event->data.len == 0 || !memchr(event->data.ptr, '\r', event->data.len));
}

/* By it a feed knows what its own peer has announced. */
static uint64_t origin_tag(struct span data)
{
    char origin[INVALIDATION_PEER_BYTES + 1];
    return invalidation_origin(data, origin) ? map_hash(span_of(origin)) : 0;
}

struct ring_entry durable_entry(struct core *core, struct span channel, uint64_t id,
                                struct span event, struct span data)
{
    uint64_t born = clock_mono_us(core->options.clock);
    const struct sse_event e = {.event = event, .data = data};
    struct ring_entry entry = {.id = id};
    entry.forms[0] = make_frame(core, channel, &e, id, false, born);
    if (span_is(channel, FEED_CHANNEL))
        entry.forms[0]->tag = origin_tag(data);
    if (!plain_says_all(&e))
        entry.forms[1] = make_frame(core, channel, &e, id, true, born);
    return entry;
}

static struct span field_of(struct span line, const char *name)
{
    size_t n = strlen(name);
    if (!span_starts(line, name))
        return span_make(NULL, 0);
    n += line.len > n && line.ptr[n] == ' ';
    return span_make(line.ptr + n, line.len - n);
}

/* The event that a plain frame of ours tells. */
static void read_frame(const struct frame *f, struct sse_event *event, struct buf *data)
{
    const char *end = f->bytes + f->len;
    bool first = true;
    for (const char *at = f->bytes, *next; at < end && *at != '\n'; at = next) {
        next = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1;
        struct span line = span_make(at, (size_t)(next - at) - 1);
        struct span value = field_of(line, "data:");
        if (!value.ptr) {
            if (field_of(line, "event:").ptr)
                event->event = field_of(line, "event:");
            continue;
        }
        if (!first)
            buf_byte(data, '\n');
        buf_span(data, value);
        first = false;
    }
    event->data = data->data ? buf_view(data) : span_of("");
}

struct frame *durable_wrapped(struct core *core, struct history *h, struct ring_entry *e)
{
    if (e->forms[1])
        return e->forms[1];
    struct buf data = {0};
    struct sse_event event = {0};
    read_frame(e->forms[0], &event, &data);
    struct frame *f = make_frame(core, history_name(h), &event, e->id, true, e->forms[0]->born_us);
    buf_free(&data);
    history_set_wrapped(core->durable.histories, h, e, f);
    return f;
}
