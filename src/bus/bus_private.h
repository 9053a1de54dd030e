/* The inside of the bus, shared by the files of this folder only. */
#ifndef BUS_BUS_PRIVATE_H
#define BUS_BUS_PRIVATE_H

#include "base/list.h"
#include "base/map.h"
#include "bus/bus.h"
#include "bus/slices.h"

enum {
    TIMES = 1024, /* of accepted invalidations that are remembered for the histogram */
    PEERS_MOST = 10000,
    JOBS_MOST = 4096,      /* invalidations under way */
    AWAITED_MOST = 500000, /* waits x the peers of each: 52 MB */
    ACKS_MOST = 256,       /* confirmations that one call carries, as deploy/sluice.lua allows */
    ROLL_TEXT = 24,
};

static const uint64_t lease_us = 15 * UINT64_C(1000000); /* as deploy/sluice.lua gives it */

/* A feed of this gateway. */
struct feed {
    struct list node;
    uint32_t worker;
    char peer[PEER_NAME + 1], session[SESSION_TEXT + 1];
    bool opened;        /* announced once: its worker was told */
    uint64_t opened_id; /* as the store answered; 0: not yet */
    uint64_t rival;     /* the latest opening heard of the same name by another session */
    uint64_t closed;    /* the last opening of the name that was heard to be closed */
};

/* What a peer has confirmed, as far as was heard. */
struct heard {
    char name[PEER_NAME + 1];
    uint64_t session;  /* whose words these are: bus_session */
    uint64_t acked;    /* the highest */
    uint64_t last;     /* the last: lower where a later session, or another dataset, begins again */
    uint64_t heard_us; /* monotonic: when that was */
};

/* An invalidation that this gateway accepted: when, and by whose hand. */
struct accepted {
    uint64_t id, accepted_us;
    char origin[PEER_NAME + 1];
};

/* A peer that lives, by the roll. */
struct living {
    char name[PEER_NAME + 1];
    uint64_t session, opened; /* bus_session; 0: not said */
    uint64_t
        lease_us;   /* monotonic: by what was heard its lease lasts until then; 0: it has lapsed */
    uint64_t acked; /* when the list was made */
};

/* Who lives, as the store said last: while its answer is that the roll is still this one, nobody
 * else does. See roll.c. */
struct roll {
    char version[ROLL_TEXT];
    struct living *list; /* owned; by name */
    size_t count, room;
};

/* A peer that an invalidation waits for. */
struct awaited {
    char name[PEER_NAME + 1];
    uint64_t session, opened; /* as on the roll */
    uint64_t lease_us;        /* monotonic: by what was heard its lease lasts until then */
    bool acked;
};

/* An invalidation on its way; see invalidate.c, and await.c for when it waits. */
struct job {
    struct list node;
    struct bus *bus; /* borrowed */
    uint32_t worker;
    struct bus_request *request; /* owned; NULL: answered */
    struct slices slices;        /* owned */
    size_t doomed, sent;         /* slices of which that is done */
    struct buf patterns;         /* owned: those to sweep, each with its length before it */
    size_t swept_to;             /* bytes of them that are done */
    uint64_t deleted, id;
    struct buf tags; /* owned: the members of the answer's object, as JSON */
    char origin[PEER_NAME + 1];

    bool waits;
    struct awaited *awaited; /* owned; by name */
    size_t awaited_count;
    size_t joined;        /* behind them, not in order yet: see read_listed */
    size_t unacked;       /* of all these */
    size_t room;          /* what it has of AWAITED_MOST: for those it waits for, or is going to */
    uint64_t called_us;   /* monotonic: what was heard since then is newer than the answer */
    uint64_t deadline_us; /* monotonic */
    uint64_t settled_us;  /* until then there may be peers that a restarted Redis does not know */
    uint64_t look_us;     /* when it is due */
    bool doubt;           /* words of peers may have been lost: look at the store's list */
    bool joins;           /* who lives by that list when Redis has settled is waited for, too */
    bool settled;         /* it had when the list was asked for */
    bool asked;           /* the list that is under way is for it */
    bool last;            /* and after that it is answered */
};

struct bus {
    struct bus_options options;
    struct list jobs; /* struct job */
    size_t job_count;
    size_t room;  /* the sum of the jobs' */
    bool hurried; /* nobody waits any longer */
    struct roll roll;
    bool listing;                 /* the list of peers is under way for those that asked */
    struct list finishes;         /* struct finish: what pending.c has under way */
    struct list acks;             /* struct ack: confirmations that are still to be sent */
    bool acking;                  /* a call with others is under way */
    struct list feeds;            /* struct feed */
    struct map *sessions;         /* the same by session; values borrowed */
    struct map *heard;            /* by peer; values owned */
    uint64_t forget_due_us;       /* monotonic: not before then the silent ones are looked for */
    struct accepted times[TIMES]; /* a ring */
    uint64_t accepted;            /* so far */
    bool listening, up;
    uint64_t sweep_due_us; /* when to look for what a dead gateway left */
    bool sweeping;
    char gateway[17]; /* random: names this process to the others */
};

/* invalidate.c */
void invalidate_begin(struct bus *bus, uint32_t worker, struct bus_request *request);
/* invalidate_answer: and ends the job; invalidate_end: all of them, unanswered. */
void invalidate_answer(struct job *j);
void invalidate_end(struct bus *bus);

/* acks.c: what peers confirm here goes to the store by many at once. */
/* acks_take: takes the request over; acks_send: those of this turn; acks_end: unanswered. */
void acks_take(struct bus *bus, uint32_t worker, struct bus_request *request);
void acks_send(struct bus *bus);
void acks_end(struct bus *bus);

/* roll.c */
/* roll_take: what an announcement was answered; false: it says that the roll is still one that is
 * not ours. */
bool roll_take(struct roll *roll, struct span answer, uint64_t now);
/* roll_heard: that session of the peer lives. */
void roll_heard(struct roll *roll, const char *name, uint64_t session, uint64_t now);
/* roll_listed: on the store's list its lease lasts until then; 0: it has lapsed. roll_look_done:
 * that was the list. */
void roll_listed(struct roll *roll, const char *name, uint64_t until);
void roll_look_done(struct roll *roll, uint64_t now);
/* roll_back: the store was away, and words of peers may have been lost. */
void roll_back(struct roll *roll, uint64_t now);
void roll_end(struct roll *roll);

/* await.c: who has to confirm what was announced. */
/* await_admit: is there room for another that waits? Then the job has it. */
bool await_admit(struct bus *bus, struct job *j);
/* await_hurry: who waits is answered now. */
void await_hurry(struct bus *bus);
/* await_begin: the job waits, or is answered and gone; `live` is what the announcement answered. */
void await_begin(struct job *j, struct span live);
/*
 * await_heard: that session of a peer has confirmed all up to id, 0: lives. await_closed: the one
 * that was opened with that id holds no copies. Pub/sub knows no databases: a peer of the same name
 * that reads the feed of another one is no peer of ours, so a word of a session that is not known
 * is no more than a reason to look at the store's list.
 */
void await_heard(struct bus *bus, const char *name, uint64_t session, uint64_t id);
void await_closed(struct bus *bus, const char *name, uint64_t opened);
/* await_back: the store was away. await_tick: as bus_tick. */
void await_back(struct bus *bus);
uint64_t await_tick(struct bus *bus, uint64_t now);
bool await_is_whole(const struct job *j, uint64_t now);

/* pending.c */
/* pending_finish: removes a tombstone in slices, then announces it; `done` has what the
 * announcement answered and how much was deleted, or err. */
typedef void pending_done(void *arg, int err, const char *why, struct span text, uint64_t deleted);
void pending_finish(struct bus *bus, struct span tombstone, bool live, pending_done *done,
                    void *arg);
/* pending_look: finishes what others have left. */
void pending_look(struct bus *bus);

/* peers.c */
/* peers_leave: its own word that a peer holds no copies. peers_answer: with what the store said of
 * a confirmation, or of this; takes the request over. */
void peers_leave(struct bus *bus, uint32_t worker, struct bus_request *request);
void peers_answer(struct bus *bus, uint32_t worker, struct bus_request *request, struct span said);
void peers_list(struct bus *bus, uint32_t worker, struct bus_request *request);
void peers_open(struct bus *bus, uint32_t worker, const struct bus_request *request);
void peers_close(struct bus *bus, const struct bus_request *request);
void peers_reopen(struct bus *bus);
/* peers_name: whose session it is, borrowed; NULL: no feed of this gateway has it. */
const char *peers_name(const struct bus *bus, const char *session);
/* peers_replaced: a session of that name was opened, with that id; maybe in another database, so
 * the store is asked. peers_closed: the one that was opened with that id is closed. */
void peers_closed(struct bus *bus, const char *name, uint64_t opened);
void peers_replaced(struct bus *bus, const char *name, const char *session, uint64_t opened);
/* peers_accepted: what was announced for a request of this gateway. peers_heard: a peer's word. */
void peers_accepted(struct bus *bus, uint64_t id, uint64_t accepted_us, const char *origin);
void peers_heard(struct bus *bus, const char *name, uint64_t session, uint64_t id);
/* peers_acked: the last that was heard of that session, 0: of any; not before `since`; 0: nothing.
 */
uint64_t peers_acked(const struct bus *bus, const char *name, uint64_t session, uint64_t since);
void peers_end(struct bus *bus);

/* answers.c: what the store says. */
/* answer_field: the member's string or number as text into out; false when it is not there. */
bool answer_field(struct span json, const char *name, struct buf *out);
uint64_t answer_number(struct span json, const char *name);
uint64_t answer_id(struct span json, const char *name);
/* answer_each: calls fn for each element of the member with its text; false when it is no array. */
bool answer_each(struct span json, const char *name, void (*fn)(void *ctx, struct span element),
                 void *ctx);
/* answer_all: the same of an array that is the whole answer. */
void answer_all(struct span json, void (*fn)(void *ctx, struct span element), void *ctx);

/* bus_reply: answers a request with JSON, and gives it back. bus_fail: with an error. Takes the
 * request over; NULL is allowed. */
void bus_reply(struct bus *bus, uint32_t worker, struct bus_request *request, int status,
               struct span json);
void bus_fail(struct bus *bus, uint32_t worker, struct bus_request *request, int err,
              const char *why);

/* bus_session: what a session is known by; 0: none. */
static inline uint64_t bus_session(struct span session)
{
    return session.len ? map_hash(session) : 0;
}

static inline uint64_t bus_now(const struct bus *bus)
{
    return clock_mono_us(bus->options.clock);
}

#endif
