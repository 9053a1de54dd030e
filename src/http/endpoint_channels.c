/* GET /api/channels?prefix=&limit=&after=: the channels that streams listen to, a page at a time.
 */
#include "base/mem.h"
#include "http/router.h"

#include <stdlib.h>

enum { DEFAULT_LIMIT = 100, MAX_LIMIT = 1000 };

/* The number, or 0 when it is none in 1..MAX_LIMIT. An empty one is none, as for the other two: a
 * form sends all its fields. */
static uint32_t read_limit(struct span s)
{
    if (s.len == 0)
        return DEFAULT_LIMIT;
    uint32_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9' || n > MAX_LIMIT)
            return 0;
        n = n * 10 + (uint32_t)(s.ptr[i] - '0');
    }
    return n <= MAX_LIMIT ? n : 0;
}

static char *param_text(struct exchange *x, const char *name)
{
    struct span s = query_get(&x->query, name);
    return mem_dup(s.ptr ? s.ptr : "", s.len);
}

void endpoint_channels(struct exchange *x)
{
    if (!exchange_may(x, ACCESS_STATS, span_make("", 0)))
        return;
    uint32_t limit = read_limit(query_get(&x->query, "limit"));
    if (!limit) {
        exchange_error(x, 400, "limit: expected a number from 1 to %d", MAX_LIMIT);
        return;
    }
    struct worker *w = exchange_worker(x);
    struct msg *m = msg_create(MSG_CHANNELS, w->index);
    m->channels = mem_zalloc(sizeof(*m->channels));
    m->channels->exchange = x->number;
    m->channels->limit = limit;
    m->channels->prefix = param_text(x, "prefix");
    m->channels->after = param_text(x, "after");
    exchange_wait(x);
    worker_core(w, m);
}

void endpoint_channels_page(struct worker *w, struct msg *m)
{
    struct exchange *x = worker_exchange(w, m->channels->exchange);
    if (x)
        exchange_json(x, 200, buf_view(&m->channels->json));
}
