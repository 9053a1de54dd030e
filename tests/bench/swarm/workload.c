#include "workload.h"

#include "proc.h"

#include <stdio.h>
#include <unistd.h>

static const uint64_t second_ns = 1000000000u, ms_ns = 1000000u;

/* ---- steps that all share ---- */

static const char *publisher_trouble(const struct publisher *p)
{
    static char text[128];
    if (!p->failed)
        return NULL;
    snprintf(text, sizeof(text), "a publication was answered \"%.60s\"", p->last_error);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ')
            *c = ' ';
    return text;
}

static bool attend(struct bench *b, struct publisher *p, uint64_t timeout_ns)
{
    bool any = crowd_step(b->crowd, timeout_ns);
    return publisher_flush(p) && publisher_read(p) && any;
}

bool workload_wait(struct bench *b, uint64_t timeout_ns)
{
    return attend(b, &b->publisher, timeout_ns);
}

/* Handles what comes until the server has done nothing for a few milliseconds. */
static void settle(struct bench *b)
{
    uint64_t end = now_ns() + second_ns, before = proc_cpu_ns(b->pid);
    while (now_ns() < end) {
        uint64_t pause = now_ns() + 4 * ms_ns;
        for (uint64_t now; (now = now_ns()) < pause;)
            workload_wait(b, pause - now);
        uint64_t after = proc_cpu_ns(b->pid);
        if (after - before < 20000) /* a timer that looks round is nothing */
            return;
        before = after;
    }
}

struct stopwatch {
    uint64_t wall_ns, cpu_ns, own_ns, deadline_ns;
};

static struct stopwatch begin(struct bench *b, const struct order *o)
{
    settle(b);
    b->durable = o->durable != 0;
    histogram_reset(&b->ledger->latency);
    struct stopwatch w = {.cpu_ns = proc_cpu_ns(b->pid), .own_ns = proc_cpu_ns(getpid())};
    w.wall_ns = now_ns();
    w.deadline_ns = w.wall_ns + o->seconds * second_ns;
    return w;
}

static void end(struct bench *b, const struct stopwatch *w, struct result *r)
{
    uint64_t now = now_ns();
    r->own_cpu_ns = proc_cpu_ns(getpid()) - w->own_ns;
    r->wall_ns = (b->ledger->last_ns > w->wall_ns ? b->ledger->last_ns : now) - w->wall_ns;
    settle(b);
    r->cpu_ns = proc_cpu_ns(b->pid) - w->cpu_ns;
    if (!r->failure)
        r->failure = crowd_failure(b->crowd);
    if (!r->failure)
        r->failure = publisher_trouble(&b->publisher);
    if (!r->failure)
        r->failure = publisher_trouble(&b->big_publisher);
}

static uint32_t any_channel(struct bench *b, const struct group *g)
{
    b->random ^= b->random << 13; /* xorshift32: Marsaglia, "Xorshift RNGs" (2003) */
    b->random ^= b->random >> 17;
    b->random ^= b->random << 5;
    return g->first_channel + b->random % g->channels;
}

static struct head publish(struct bench *b, struct publisher *p, uint32_t group, uint32_t bytes,
                           bool timed)
{
    char name[64];
    uint32_t channel = any_channel(b, &b->groups[group]);
    struct head h = ledger_publish(b->ledger, channel, bytes, timed, b->durable);
    crowd_channel_name(b->crowd, channel, name);
    publisher_add(p, name, &h, b->durable);
    return h;
}

/* ---- opening and closing ---- */

void workload_connect(struct bench *b, const struct order *o, struct result *r)
{
    if (b->group_count == MOST_GROUPS || o->channels == 0 || o->span == 0 || o->per_link == 0) {
        r->failure = "no such group can be";
        return;
    }
    struct group *g = &b->groups[b->group_count++];
    *g = (struct group){.streams = o->streams,
                        .channels = o->channels,
                        .span = o->span,
                        .per_link = o->per_link,
                        .bulk = o->bulk != 0,
                        .first_channel = ledger_add_channels(b->ledger, o->channels)};
    struct stopwatch w = begin(b, o);
    crowd_open(b->crowd, g);
    while (crowd_opening(b->crowd) && now_ns() < w.deadline_ns)
        crowd_step(b->crowd, 100 * ms_ns);
    if (crowd_opening(b->crowd))
        r->failure = "not all streams were ready in time";
    end(b, &w, r);
}

void workload_disconnect(struct bench *b, const struct order *o, struct result *r)
{
    struct stopwatch w = begin(b, o);
    crowd_close(b->crowd);
    b->group_count = 0;
    while (proc_fds(b->pid) > b->base_fds && now_ns() < w.deadline_ns)
        workload_wait(b, 20 * ms_ns);
    if (proc_fds(b->pid) > b->base_fds)
        r->failure = "the server has not closed all connections in time";
    end(b, &w, r);
}

/* ---- publishing ---- */

static bool going_well(const struct bench *b, uint64_t deadline_ns, uint64_t closed)
{
    return now_ns() < deadline_ns && b->ledger->tally.closed == closed;
}

void workload_publish(struct bench *b, const struct order *o, struct result *r)
{
    uint32_t issued = 0, window = o->window < LEDGER_WINDOW / 2 ? o->window : LEDGER_WINDOW / 2;
    struct stopwatch w = begin(b, o);
    uint64_t before = b->ledger->complete, closed = b->ledger->tally.closed;
    while (b->ledger->complete - before < o->messages && going_well(b, w.deadline_ns, closed)) {
        while (issued < o->messages && issued - (b->ledger->complete - before) < window) {
            publish(b, &b->publisher, o->group, o->bytes, true);
            issued++;
        }
        publisher_flush(&b->publisher);
        crowd_watch(b->crowd, b->publisher.fd, publisher_pending(&b->publisher));
        workload_wait(b, 100 * ms_ns);
    }
    if (b->ledger->complete - before < o->messages)
        r->failure = "not everything arrived in time";
    end(b, &w, r);
}

/* The big messages beside a rate of small ones: one after the other. */
struct bigs {
    uint32_t given;
    bool under_way;
    uint64_t written_ns;
    struct message *message;
};

static void see_to_bigs(struct bench *b, const struct order *o, struct bigs *bigs, bool may_begin,
                        struct result *r)
{
    if (bigs->under_way && bigs->message->missing == 0) {
        uint64_t took = now_ns() - bigs->written_ns;
        r->big_ns = took > r->big_ns ? took : r->big_ns;
        r->big_messages++;
        bigs->under_way = false;
    }
    if (may_begin && !bigs->under_way && bigs->given < o->bigs) {
        struct head h = publish(b, &b->big_publisher, o->big_group, o->big_bytes, false);
        bigs->message = &b->ledger->window[h.message % LEDGER_WINDOW];
        bigs->written_ns = bigs->message->written_ns;
        bigs->given++;
        bigs->under_way = true;
    }
    publisher_flush(&b->big_publisher);
    publisher_read(&b->big_publisher);
    crowd_watch(b->crowd, b->big_publisher.fd, publisher_pending(&b->big_publisher));
}

void workload_rate(struct bench *b, const struct order *o, struct result *r)
{
    struct bigs bigs = {0};
    uint32_t issued = 0, warm = o->per_second / 10;
    struct stopwatch w = begin(b, o);
    uint64_t before = b->ledger->complete, closed = b->ledger->tally.closed, started = now_ns();
    uint64_t all = (uint64_t)o->messages + o->bigs;
    while (b->ledger->complete - before < all && going_well(b, w.deadline_ns, closed)) {
        uint64_t now = now_ns(), due = started + issued * second_ns / o->per_second;
        if (issued < o->messages && now >= due) {
            /* With big messages only what is written while one is under way counts. */
            publish(b, &b->publisher, o->group, o->bytes,
                    issued >= warm && (o->bigs == 0 || bigs.under_way));
            publisher_flush(&b->publisher);
            r->late_ns = now - due > r->late_ns ? now - due : r->late_ns;
            issued++;
            continue;
        }
        if (o->bigs)
            see_to_bigs(b, o, &bigs, issued >= warm, r);
        workload_wait(b, issued < o->messages ? due - now : 10 * ms_ns);
    }
    if (b->ledger->complete - before < all)
        r->failure = "not everything arrived in time";
    if (o->bigs)
        see_to_bigs(b, o, &bigs, false, r);
    end(b, &w, r);
}

/* ---- resuming ---- */

void workload_resume(struct bench *b, const struct order *o, struct result *r)
{
    const struct group *from = &b->groups[o->group % MOST_GROUPS];
    struct stopwatch w = begin(b, o);
    uint64_t before = b->ledger->complete, closed = b->ledger->tally.closed;
    if (o->group >= b->group_count || from->channels != 1 ||
        b->ledger->channels[from->first_channel].published <= o->messages) {
        r->failure = "only one channel that has so many messages can be resumed";
        return;
    }
    struct group g = {.streams = o->streams,
                      .channels = 1,
                      .span = 1,
                      .per_link = 1,
                      .first_channel = from->first_channel,
                      .behind = o->messages};
    g.cursor = ledger_expect_again(b->ledger, o->messages, o->streams);
    crowd_open(b->crowd, &g);
    while (b->ledger->complete - before < o->messages && !crowd_failure(b->crowd) &&
           going_well(b, w.deadline_ns, closed))
        workload_wait(b, 100 * ms_ns);
    if (b->ledger->complete - before < o->messages)
        r->failure = "not everything arrived in time";
    end(b, &w, r);
}

void workload_server(struct bench *b, const struct order *o, struct result *r)
{
    (void)r;
    crowd_server(b->crowd, (uint16_t)o->port);
    b->pid = (int)o->pid;
    b->base_fds = proc_fds(b->pid);
}

void workload_idle(struct bench *b, const struct order *o, struct result *r)
{
    struct stopwatch w = begin(b, o);
    for (uint64_t now; (now = now_ns()) < w.deadline_ns;)
        workload_wait(b, w.deadline_ns - now);
    end(b, &w, r);
}
