#include "hub/messages.h"

#include "base/mem.h"

struct msg *msg_create(enum msg_type type, uint32_t worker)
{
    struct msg *m = mem_zalloc(sizeof(*m));
    m->type = type;
    m->worker = worker;
    return m;
}

static void channels_request_free(struct channels_request *r)
{
    if (!r)
        return;
    mem_free(r->prefix);
    mem_free(r->after);
    buf_free(&r->json);
    mem_free(r);
}

void msg_free(struct msg *m)
{
    if (!m)
        return;
    frame_unref(m->frame);
    mem_free(m->text);
    publish_request_free(m->publish);
    channels_request_free(m->channels);
    replay_request_free(m->replay);
    replay_slice_free(m->slice);
    bus_request_free(m->bus);
    mem_free(m);
}

struct publish_request *publish_request_create(size_t count)
{
    struct publish_request *r = mem_zalloc(sizeof(*r));
    r->orders = mem_zalloc((count ? count : 1) * sizeof(*r->orders));
    r->count = count;
    return r;
}

void publish_request_free(struct publish_request *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->count; i++)
        mem_free(r->orders[i].why);
    mem_free(r->orders);
    buf_free(&r->bytes);
    mem_free(r);
}

struct replay_request *replay_request_create(size_t count)
{
    struct replay_request *r = mem_zalloc(sizeof(*r));
    r->wants = mem_zalloc((count ? count : 1) * sizeof(*r->wants));
    r->count = count;
    return r;
}

void replay_request_free(struct replay_request *r)
{
    if (!r)
        return;
    mem_free(r->wants);
    buf_free(&r->bytes);
    mem_free(r);
}

struct replay_slice *replay_slice_create(size_t room)
{
    struct replay_slice *s = mem_zalloc(sizeof(*s));
    s->items = mem_zalloc((room ? room : 1) * sizeof(*s->items));
    return s;
}

void replay_slice_free(struct replay_slice *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++)
        frame_unref(s->items[i].frame);
    if (s->total)
        atomic_fetch_sub_explicit(s->total, s->counted, memory_order_relaxed);
    mem_free(s->items);
    mem_free(s->why);
    mem_free(s);
}

struct bus_request *bus_request_create(enum bus_kind kind)
{
    struct bus_request *r = mem_zalloc(sizeof(*r));
    r->kind = kind;
    return r;
}

void bus_request_free(struct bus_request *r)
{
    if (!r)
        return;
    buf_free(&r->body);
    buf_free(&r->json);
    mem_free(r->key);
    mem_free(r);
}
