/* GET /api/channels: one page of the channel table, by name. */
#include "base/mem.h"
#include "hub/core_private.h"
#include "proto/json_text.h"

#include <inttypes.h>
#include <stdlib.h>

static int by_name(const void *a, const void *b)
{
    const struct topic *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/*
 * A page is the smallest `limit` names behind `after`: kept in a buffer of twice the size, which is
 * sorted and cut in half whenever it is full, so that a page of a hundred thousand channels costs
 * one pass.
 */
struct page {
    const struct topic **found; /* owned; room for 2 * limit + 1 */
    size_t count, limit;
    bool more;
};

static void page_cut(struct page *p)
{
    qsort(p->found, p->count, sizeof(const struct topic *), by_name);
    if (p->count <= p->limit)
        return;
    p->count = p->limit;
    p->more = true;
}

static void page_collect(struct page *p, struct core *core, const struct channels_request *r)
{
    size_t cursor = 0;
    size_t prefix = strlen(r->prefix);
    for (const struct topic *t; (t = topics_next(core->topics, TOPIC_CHANNEL, &cursor));) {
        if (strncmp(t->name, r->prefix, prefix) != 0 || strcmp(t->name, r->after) <= 0)
            continue;
        p->found[p->count++] = t;
        if (p->count == p->limit * 2)
            page_cut(p);
    }
    page_cut(p);
}

static void page_write(const struct page *p, struct buf *out)
{
    buf_str(out, "{\"channels\":[");
    for (size_t i = 0; i < p->count; i++) {
        buf_str(out, i ? ",{\"channel\":" : "{\"channel\":");
        json_text_string(out, topic_span(p->found[i]));
        buf_printf(out, ",\"streams\":%" PRIu64 ",\"subscribed\":%s}", p->found[i]->streams,
                   p->found[i]->state == TOPIC_ACTIVE ? "true" : "false");
    }
    buf_str(out, "],\"next\":");
    if (p->more)
        json_text_string(out, topic_span(p->found[p->count - 1]));
    else
        buf_str(out, "null");
    buf_byte(out, '}');
}

void core_list_channels(struct core *core, struct msg *m)
{
    struct channels_request *r = m->channels;
    struct page page = {.limit = r->limit};
    page.found = mem_alloc(((size_t)r->limit * 2 + 1) * sizeof(const struct topic *));
    page_collect(&page, core, r);
    page_write(&page, &r->json);
    mem_free(page.found);
    struct msg *answer = msg_create(MSG_CHANNELS_PAGE, m->worker);
    answer->channels = r;
    m->channels = NULL;
    downlink_post(&core->options.downlinks[m->worker], answer);
}
