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
