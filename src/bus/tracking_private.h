/* The inside of the tracker, shared by the files tracking*.c only. */
#ifndef BUS_TRACKING_PRIVATE_H
#define BUS_TRACKING_PRIVATE_H

#include "bus/bus_private.h"
#include "bus/tracked.h"
#include "bus/tracking.h"

enum { TRACKER_MAGIC = 0x74726b72, WHO_TEXT = 64 };

#define BEACONS "sluice:track:"

/* Something that is being announced: keys, or else a flush. */
struct announcement {
    struct list keys;  /* struct tracked_key */
    const char *doubt; /* static; NULL: keys */
    uint64_t mark;     /* the lowest of its marks */
    bool under_way;
};

struct tracker {
    uint32_t magic;
    struct tracker_options options;
    struct bus_store store;
    struct tracked tracked;
    struct announcement sent_off;
    char gateway[WHO_TEXT / 2]; /* "<group>-<gateway>" */
    char who[WHO_TEXT];         /* "<group>-<gateway>.<term>" */
    uint64_t term;              /* of pairs of connections */
    bool up, recorder;

    uint64_t sent, arrived; /* numbers of our own beacons on this pair */
    uint64_t beacon_due_us, overdue_us, ticked_us, heard_us;
    unsigned patience;

    char followed[WHO_TEXT]; /* whose claims are counted; empty: nobody's yet */
    uint64_t seen;           /* the number of its last beacon */
    uint64_t stamp;          /* beacons that were set later than this count */

    uint64_t batches; /* so far, for idempotency keys */
    uint64_t retry_due_us;
    uint64_t flush_due_us;
    bool failing;

    uint64_t swaps; /* of databases, so far, + 1; 0: not known */

    bool leaving,
        released; /* released: it was asked for, or there is nothing to ask for any more */
    uint64_t leave_until_us; /* when nobody waits any longer */
};

/* A call under way, which may outlive the pair that it was made for. */
struct tracker_call {
    struct tracker *t;
    uint64_t term;
};

/* tracker_take_call: NULL when the pair is another by now: what was asked for it is of no interest.
 * Gives the call back. */
struct tracker_call *tracker_call_create(struct tracker *t);
struct tracker *tracker_take_call(void *arg);

/* tracker_mark: of what is told now. tracker_doubt: any key may have changed; why is static. */
uint64_t tracker_mark(const struct tracker *t);
void tracker_doubt(struct tracker *t, const char *why);
void tracker_set_recorder(struct tracker *t, bool recorder);
void tracker_say_failure(struct tracker *t, int err, const char *why);

/* tracking_beacons.c */
/* tracker_beacon: a key told, behind BEACONS. tracker_beacons_tick: when to look again. */
void tracker_beacon(struct tracker *t, struct span text);
uint64_t tracker_beacons_tick(struct tracker *t, uint64_t now);

/* tracking_record.c */
/* tracker_record: announces what may be announced. When to look again; 0: when something comes. */
uint64_t tracker_record(struct tracker *t, uint64_t now);
/* tracker_drop_announcement: nobody waits for it any more. */
void tracker_drop_announcement(struct tracker *t);
/* tracker_is_done: all that was told is announced. */
bool tracker_is_done(const struct tracker *t);

/* tracking_leave.c */
/* tracker_leave_tick: as tracker_tick, once it leaves. */
uint64_t tracker_leave_tick(struct tracker *t, uint64_t now);

#endif
