/*
 * Keys that have changed and may not be announced yet, each once, oldest first, bounded; or the
 * doubt that any key may have changed. Each carries a mark: the number of the recorder's beacon
 * that was still to come when it was told. Pure; core thread.
 */
#ifndef BUS_TRACKED_H
#define BUS_TRACKED_H

#include "base/list.h"
#include "base/map.h"
#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TRACKED_KEYS = 100000,
    TRACKED_BYTES = 16 * 1024 * 1024, /* of names */
};

#define TRACKED_UNMARKED UINT64_MAX /* no beacon of a recorder has come yet */

struct tracked_key {
    struct list node;
    uint64_t mark;
    size_t len;
    char name[];
};

struct tracked {
    struct list keys;    /* struct tracked_key */
    struct map *by_name; /* owned; values are in keys */
    size_t bytes;
    const char *doubt; /* static: why; NULL: none */
    uint64_t doubt_mark;
};

void tracked_init(struct tracked *t);
void tracked_fini(struct tracked *t);

/*
 * What is there already and comes again, or is replaced by a doubt, keeps one mark for both: the
 * last with `later`, where another is to announce it, and else the first.
 *
 * tracked_add: past the bounds it becomes a doubt. tracked_doubt: any key may have changed; those
 * that are named are part of it.
 */
void tracked_add(struct tracked *t, struct span key, uint64_t mark, bool later);
void tracked_doubt(struct tracked *t, const char *why, uint64_t mark, bool later);

/* tracked_take_doubt: why; nothing is left, since it stands for all. */
const char *tracked_take_doubt(struct tracked *t);

/* tracked_mark_all: gives all, and the doubt, this mark. */
void tracked_mark_all(struct tracked *t, uint64_t mark);

/* tracked_forget: what has a mark of at most this is announced. */
void tracked_forget(struct tracked *t, uint64_t mark);

/* tracked_oldest: the lowest mark; `none` where there is nothing. */
uint64_t tracked_oldest(const struct tracked *t, uint64_t none);

/* tracked_take: moves the oldest keys into batch, an empty list; how many. They are the caller's:
 * tracked_free_batch. tracked_put_back: they are not announced after all, and have this mark. */
size_t tracked_take(struct tracked *t, struct list *batch, size_t most, size_t most_bytes);
void tracked_put_back(struct tracked *t, struct list *batch, uint64_t mark);
void tracked_free_batch(struct list *batch);

#endif
