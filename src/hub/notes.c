/* Durable messages that wait to be released. */
#include "base/mem.h"
#include "hub/durable.h"

struct note *note_create(struct span channel, struct span event, struct span data, uint64_t id,
                         uint64_t previous)
{
    struct note *n = mem_alloc(sizeof(*n) + channel.len + event.len + data.len);
    *n = (struct note){.id = id,
                       .previous = previous,
                       .channel_len = (uint32_t)channel.len,
                       .event_len = (uint32_t)event.len,
                       .data_len = data.len};
    char *at = n->bytes;
    const struct span parts[] = {channel, event, data};
    for (size_t i = 0; i < 3; i++) {
        if (parts[i].len)
            memcpy(at, parts[i].ptr, parts[i].len);
        at += parts[i].len;
    }
    return n;
}

struct span note_channel(const struct note *n)
{
    return span_make(n->bytes, n->channel_len);
}

struct span note_event(const struct note *n)
{
    return span_make(n->bytes + n->channel_len, n->event_len);
}

struct span note_data(const struct note *n)
{
    return span_make(n->bytes + n->channel_len + n->event_len, n->data_len);
}

static uint64_t note_bytes(const struct note *n)
{
    return sizeof(*n) + n->channel_len + n->event_len + n->data_len;
}

void notes_init(struct notes *list)
{
    *list = (struct notes){.tail = &list->head};
}

void notes_append(struct notes *list, struct note *n)
{
    n->next = NULL;
    *list->tail = n;
    list->tail = &n->next;
    list->bytes += note_bytes(n);
    list->count++;
}

struct note *notes_take(struct notes *list)
{
    struct note *n = list->head;
    if (!n)
        return NULL;
    list->head = n->next;
    if (!list->head)
        list->tail = &list->head;
    list->bytes -= note_bytes(n);
    list->count--;
    return n;
}

void notes_clear(struct notes *list)
{
    for (struct note *n; (n = notes_take(list));)
        mem_free(n);
}
