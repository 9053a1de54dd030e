#include "http/wheel.h"

static uint64_t wheel_now(const struct wheel *w)
{
    return clock_mono_us(w->clock) / 1000000;
}

/* Arms the timer for the first second from `done` on that has an entry in its slot. */
static void wheel_arm(struct wheel *w)
{
    ev_timer_stop(w->loop, &w->timer);
    if (!w->count)
        return;
    uint64_t second = w->done + 1;
    while (list_empty(&w->slots[second % WHEEL_SLOTS]))
        second++;
    uint64_t now_us = clock_mono_us(w->clock), due_us = second * 1000000;
    ev_timer_set(&w->timer, due_us > now_us ? (double)(due_us - now_us) / 1e6 : 0., 0.);
    ev_timer_start(w->loop, &w->timer);
}

static void wheel_fire_slot(struct wheel *w, uint64_t second)
{
    struct list *slot = &w->slots[second % WHEEL_SLOTS];
    struct list due;
    list_init(&due);
    LIST_FOREACH_SAFE (n, slot) {
        if (LIST_ENTRY(n, struct wheel_entry, node)->due > second)
            continue; /* another round's */
        list_remove(n);
        list_append(&due, n);
    }
    /* A callback may clear any entry, also one that waits in `due`. */
    for (struct list *n; (n = list_first(&due));) {
        list_remove(n);
        w->count--;
        w->fire(w->ctx, LIST_ENTRY(n, struct wheel_entry, node));
    }
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct wheel *w = timer->data;
    uint64_t now = wheel_now(w);
    /* After a long stop (SIGSTOP) one round over the slots finds everything that is due. */
    uint64_t from = now - w->done > WHEEL_SLOTS ? now - WHEEL_SLOTS : w->done;
    w->done = now;
    for (uint64_t s = from + 1; s <= now; s++)
        wheel_fire_slot(w, s);
    wheel_arm(w);
}

void wheel_init(struct wheel *w, struct ev_loop *loop, const struct clock *clock,
                void (*fire)(void *ctx, struct wheel_entry *e), void *ctx)
{
    for (int i = 0; i < WHEEL_SLOTS; i++)
        list_init(&w->slots[i]);
    w->loop = loop;
    w->clock = clock;
    w->fire = fire;
    w->ctx = ctx;
    w->count = 0;
    w->done = wheel_now(w);
    ev_timer_init(&w->timer, on_timer, 0., 0.);
    w->timer.data = w;
}

void wheel_fini(struct wheel *w)
{
    ev_timer_stop(w->loop, &w->timer);
}

void wheel_set(struct wheel *w, struct wheel_entry *e, uint32_t seconds)
{
    wheel_clear(w, e);
    uint64_t now = wheel_now(w);
    if (!w->count)
        w->done = now;
    /* Rounded up: somebody who has a second must not be cut off after a tenth of it. */
    e->due = (clock_mono_us(w->clock) + 999999) / 1000000 + (seconds ? seconds : 1);
    list_append(&w->slots[e->due % WHEEL_SLOTS], &e->node);
    w->count++;
    /* Only an entry before all others moves the timer; firing too early costs one look. */
    if (w->count == 1 || ev_timer_remaining(w->loop, &w->timer) > (double)(e->due - now))
        wheel_arm(w);
}

void wheel_clear(struct wheel *w, struct wheel_entry *e)
{
    if (!list_linked(&e->node))
        return;
    list_remove(&e->node);
    w->count--;
}
