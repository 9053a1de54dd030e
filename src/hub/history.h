/*
 * What the gateway holds of the durable channels that somebody here listens to: for each a ring of
 * its latest messages, and how far back that reaches. All rings share one budget; past it those of
 * the longest idle channels go first, and replay reads the broker instead. Core thread; no clock.
 *
 * A history knows every message in (floor, known]. Beside the ring it may have a fill: what was
 * read from the broker of what came before, in (fill_after, fill_upto].
 */
#ifndef HUB_HISTORY_H
#define HUB_HISTORY_H

#include "base/list.h"
#include "base/span.h"
#include "hub/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A message; both frames are counted. */
struct ring_entry {
    uint64_t id;
    struct frame *forms[2]; /* plain, and wrapped, which is made on first need (then NULL here) */
};

struct ring {
    struct ring_entry *entries; /* owned; NULL while empty */
    uint32_t head, count, cap;
    uint64_t bytes;
};

struct history {
    struct list node;   /* in the table's list, by `last` */
    struct list ringed; /* in the list of those with something in ring or fill, by use */
    uint64_t last;    /* id of the channel's last message that is known to have existed; 0: none */
    uint64_t known;   /* no message at or below it is still to be released */
    uint64_t floor;   /* the ring has all above it up to `known` */
    uint64_t trimmed; /* some message at or below it is lost to the broker too; 0: not known */
    struct ring ring, fill;
    uint64_t fill_after, fill_upto;
    uint64_t fill_began;  /* where the fill began; below fill_after when it had to let go of some */
    uint64_t fill_number; /* of the read under way */
    struct list want;     /* in the list of those that a replay waits for */
    uint64_t mark;        /* the replay that has counted it in */
    uint64_t wanted;      /* the lowest cursor that a replay waits for, + 1; 0: none */
    uint64_t pin;         /* the turn in which a waiting replay needed it: it stays */
    uint64_t keep;        /* the lowest cursor that waits with what the fill has for it, */
    uint64_t keep_turn;   /* in this turn */
    bool filling;         /* a read is under way */
    uint64_t added_us;    /* when, for its owner */
    uint64_t back;        /* the id behind which the last back_count messages of the log lay, */
    uint64_t back_count;  /* when the broker was asked: back_us, monotonic */
    uint64_t back_us;
    bool backing;  /* it is being asked */
    uint64_t hash; /* stands for the name in lane entries */
    uint32_t name_len;
    char name[]; /* NUL-terminated; without the channel prefix */
};

struct histories; /* opaque */

struct histories *histories_create(uint64_t budget);
void histories_destroy(struct histories **all);

struct history *histories_find(const struct histories *all, struct span channel);
/* histories_add: with known and floor at `known`; no such one may be there yet. */
struct history *histories_add(struct histories *all, struct span channel, uint64_t known);
void histories_remove(struct histories *all, struct history *h);
/* histories_latest: the one whose last message is the newest; NULL: there is none.
 * histories_before: the next older one. */
struct history *histories_latest(const struct histories *all);
struct history *histories_before(const struct histories *all, const struct history *h);
/* histories_walk: those whose last message is at most `upto`, one after the other from the oldest,
 * whatever comes and goes between two calls. NULL: that was all, and the next call begins again. */
struct history *histories_walk(struct histories *all, uint64_t upto);
uint64_t histories_bytes(const struct histories *all);
/* histories_touch: h's last message is now `last`, if that is newer. */
void histories_touch(struct histories *all, struct history *h, uint64_t last);

/* history_reset: forgets all messages; knows everything up to `known` to be gone or told. */
void history_reset(struct histories *all, struct history *h, uint64_t known);

/*
 * history_push: the message after `known`; counted references are taken. Of more than `most`
 * messages, or of those before `oldest`, the ring lets go.
 */
void history_push(struct histories *all, struct history *h, const struct ring_entry *e,
                  uint64_t most, uint64_t oldest);

/* history_fill_begin: forgets the fill, and begins one behind `after`. history_fill: the next
 * message of it. history_fill_end: the fill now reaches to `upto`; joins it to the ring when it
 * can. history_fill_drop: forgets what the fill has up to `upto`. */
void history_fill_begin(struct histories *all, struct history *h, uint64_t after);
void history_fill(struct histories *all, struct history *h, const struct ring_entry *e);
void history_fill_end(struct histories *all, struct history *h, uint64_t upto);
void history_fill_drop(struct histories *all, struct history *h, uint64_t upto);

/* history_covers: is the first message above `after` here, if there is any? */
bool history_covers(const struct history *h, uint64_t after);

/*
 * history_next: the first message above `after`, borrowed until the history changes; NULL when
 * there is none up to *upto, which is set to how far is known for sure.
 */
struct ring_entry *history_next(struct history *h, uint64_t after, uint64_t *upto);

/* history_set_wrapped: the wrapped form of an entry that history_next gave; takes the reference. */
void history_set_wrapped(struct histories *all, struct history *h, struct ring_entry *e,
                         struct frame *f);

/* history_whole: is all above `after` here, but for what the fill had no room for? */
bool history_whole(const struct history *h, uint64_t after);

/* history_back: the id before the last `n` messages that are here. */
uint64_t history_back(const struct history *h, uint64_t n);

/* histories_enforce: lets go of what the longest idle hold until the budget is kept, but not of
 * those whose pin is `turn`. */
void histories_enforce(struct histories *all, uint64_t turn);

static inline struct span history_name(const struct history *h)
{
    return span_make(h->name, h->name_len);
}

#endif
