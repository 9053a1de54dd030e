/*
 * The dataset of the memory broker, by the rules of deploy/sluice.lua: the clock that makes the
 * ids, for each channel a log and its entry in the index, and the idempotency keys. Knows of no
 * subscriptions and calls nobody. One thread. Lost with the process, so its epoch is random.
 *
 * Its time is that of the ids: the wall clock, which here never goes back.
 */
#ifndef BROKER_MEMORY_LOG_H
#define BROKER_MEMORY_LOG_H

#include "base/clock.h"
#include "broker/broker.h"
#include "broker/memory_ring.h"

#include <stdint.h>

struct memory_log; /* opaque */

/*
 * memory_log_create: borrows the clock. `bytes`: the most that the logs may take with the names of
 * their channels; past it the logs of the channels that have been idle longest go first, oldest
 * message first.
 */
struct memory_log *memory_log_create(const struct clock *clock, uint64_t bytes);
void memory_log_destroy(struct memory_log **log);

/* memory_log_epoch: borrowed, NOTICE_EPOCH_BYTES long. */
struct span memory_log_epoch(const struct memory_log *log);

/* memory_log_clock: an id that every one given is at most, and every later one above. */
uint64_t memory_log_clock(struct memory_log *log);

/* memory_log_describe: all of *out but the verdict; its spans are borrowed from the log. */
void memory_log_describe(struct memory_log *log, struct broker_dataset *out);

/* What a memory_log_add has done. */
struct memory_added {
    uint64_t id;
    uint64_t previous; /* the channel's message before it; 0: the index knows none */
    bool again;        /* the key was known: id is the first message's, nothing was added */
};

/* memory_log_add: 0, or ERR_FULL: the names of the channels alone have used up the bytes. */
int memory_log_add(struct memory_log *log, const struct broker_publication *publication,
                   struct memory_added *out);

/*
 * memory_log_changed, memory_log_read: as broker_ops.changed and .read say. The answers hold copies
 * of their own: to be freed by memory_changes_free and
 * memory_slice_free.
 */
struct memory_changes {
    struct broker_changes changes; /* its list is the one below */
    struct broker_change *list;    /* owned */
    char *bytes;                   /* owned: what the spans point to */
};

void memory_log_changed(struct memory_log *log, uint64_t after, uint32_t limit,
                        struct memory_changes *out);
void memory_changes_free(struct memory_changes *changes);
void memory_log_read(struct memory_log *log, struct span channel, uint64_t after, uint32_t limit,
                     uint64_t bytes, struct memory_slice *out);

#endif
