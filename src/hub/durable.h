/*
 * Durable messages in the core: ordered release, healing, replay. The inside of the core; core
 * thread.
 *
 * All durable messages are released in rising order of id. Notices come in that order on one
 * connection. When one is missing (its successor names another one before it than we have) or the
 * connection was lost, release stops: notices are held, the broker's index tells which channels
 * changed since the frontier, their logs are read and merged, and then the held notices go on.
 */
#ifndef HUB_DURABLE_H
#define HUB_DURABLE_H

#include "base/buf.h"
#include "base/list.h"
#include "broker/broker.h"
#include "hub/history.h"
#include "hub/messages.h"
#include "hub/topics.h"
#include "proto/notice.h"
#include "proto/sse.h"

struct core;

enum durable_state {
    DURABLE_OFF,     /* the broker is away, or no namespace has history */
    DURABLE_HELLO,   /* asked what dataset it is */
    DURABLE_WAITING, /* for the subscriptions of before to be confirmed again */
    DURABLE_HEALING, /* reads what was missed */
    DURABLE_LIVE,
    DURABLE_REFUSED, /* the broker has no durable messages for us; it is asked again */
};

/* A message that waits: a held notice, or one read from a log. */
struct note {
    struct note *next;
    uint64_t id, previous;
    bool tried; /* was the cause of a healing already */
    char epoch[NOTICE_EPOCH_BYTES];
    uint32_t channel_len, event_len;
    size_t data_len;
    char bytes[]; /* channel, event, data */
};

struct notes {
    struct note *head, **tail; /* owned */
    uint64_t bytes;
    size_t count;
};

/* One log that is read while healing. */
struct heal_source {
    struct notes notes; /* read, not yet released */
    uint64_t after;     /* read up to here */
    uint64_t lost;      /* messages up to it are lost to the log: to be told in its turn; 0 */
    bool read;          /* has been, once at least */
    uint64_t last;      /* the channel's last message by the index, if the log has it or not */
    bool more;          /* there may be further ones */
    bool reading;
    uint32_t name_len;
    char name[];
};

struct durable {
    enum durable_state state;
    bool needed; /* something that is durable was asked for, whatever the namespaces say */
    char *why;   /* owned; why they were refused, until they are not; or NULL */
    struct buf epoch, boot, foreign;
    uint64_t asked;                /* the number of the last hello: an older answer is nobody's */
    uint64_t foreign_us;           /* when a foreign epoch made us ask last, monotonic */
    bool ask_again;                /* when the hello that is under way has answered */
    uint64_t clock;                /* the highest that the dataset's clock is known to have been, */
    uint64_t clock_us;             /* and when that was heard, monotonic */
    uint64_t rewound;              /* cursors below may have missed what a rewind took */
    struct broker_window *windows; /* owned: likewise cursors within one of them */
    size_t window_count;
    uint64_t born, longest_us;
    uint64_t released;           /* the highest id released */
    uint64_t frontier;           /* all at or below it were released or told */
    size_t unconfirmed;          /* topics with `had` that the healing waits for */
    struct histories *histories; /* owned */
    size_t looks_due;            /* at the oldest of them, whether they can be forgotten */
    /* Healing */
    struct notes held;
    bool held_dropped; /* some were dropped for want of room: the reading repeats */
    uint64_t healing;  /* the number of the present one */
    uint64_t heal_after;
    uint64_t heal_upto; /* the last id there was when the index answered */
    uint64_t pruned;    /* told: whole channels that were forgotten up to here */
    bool hole;          /* this healing is for a hole, not for a reconnect */
    bool heal_again;    /* the broker failed it for no lasting reason: the tick tries again */
    struct heal_source **sources; /* owned; the first `heaped` are a heap by what comes next */
    size_t source_count, source_cap, heaped;
    size_t reads;                   /* under way */
    size_t asked_sources, answered; /* those that were asked for, and answered, once at least */
    bool merging;
    /* The beat */
    uint64_t fence_due_us; /* monotonic; 0: never */
    bool fenced;           /* one is under way or its index look-up is, */
    uint64_t fenced_us;    /* since then */
    uint64_t fences, fences_back;
    struct list unsettled; /* topics whose first fence is not back, by its number */
    uint64_t settled;      /* the clock of the last fence that is back */
    uint64_t checked;      /* the last fence up to which the index told nothing new */
    uint64_t checks;       /* the number of the index look-up under way */
    /* Replay */
    _Atomic uint64_t alive; /* bytes of all durable frames and slices that anybody holds */
    struct list waiting;    /* struct waiter */
    bool look;              /* something changed that a waiting replay may have waited for */
    bool pumping;
    bool hurry; /* one of them waits for a fence */
    uint64_t turn;
    struct list wanted;  /* histories that a replay waits for, */
    size_t wanted_count; /* and so many there were in the last look */
    size_t reading;      /* reads for replays under way */
    uint64_t unseen;     /* and answered since the last look */
    uint64_t looked;     /* channels that it visited, once for each that waits for them */
    uint64_t fills;      /* and so far */
    uint64_t replays;    /* slices so far, for history.mark */
    bool indexing;       /* an index look-up for patterns is under way */
    uint64_t index_from, index_at;
    uint64_t index_pruned; /* channels that changed up to it may be forgotten by the index */
};

void durable_init(struct core *core, uint64_t budget);
void durable_fini(struct core *core);

/* release.c: the broker's events, and what follows from them. */
void durable_up(struct core *core);
/* durable_need: from now on there are durable topics. */
void durable_need(struct core *core);
void durable_down(struct core *core);
void durable_notice(struct core *core, struct span channel, struct span payload);
/* durable_doubt: something was missed that nobody can say more of: look at the index. */
void durable_doubt(struct core *core);
void durable_fence(struct core *core, struct span epoch, uint64_t clock, uint64_t floor);
/* durable_tick: when to call again, monotonic microseconds; 0: never. */
uint64_t durable_tick(struct core *core, uint64_t now);
/* durable_settings: the namespaces have changed. */
void durable_settings(struct core *core);
/* durable_release: the next message of h. */
void durable_release(struct core *core, struct history *h, const struct note *n);
/* durable_history: the channel's, made where there is none. */
struct history *durable_history(struct core *core, struct span channel);
/* durable_lost: messages of h up to `upto` are lost to the log too: tells the live streams. */
void durable_lost(struct core *core, struct history *h, uint64_t upto, const char *reason);
/* durable_live: release goes on with the held notices. */
void durable_live(struct core *core);
/* durable_entry: a ring entry of a message; the forms are owned. */
struct ring_entry durable_entry(struct core *core, struct span channel, uint64_t id,
                                struct span event, struct span data);
/* durable_wrapped: the wrapped form of an entry, made on first need; borrowed. */
struct frame *durable_wrapped(struct core *core, struct history *h, struct ring_entry *e);
/* durable_head: what was released is at or below it, and what comes above, but for late ones. */
uint64_t durable_head(const struct core *core);

/* durable_topics.c: who listens. */
/* durable_covered: does an active durable topic here listen to this channel? */
bool durable_covered(struct core *core, struct span channel);
/* durable_begins: what is at or below it need not be released: it came before the subscription, or
 * is known to have been released. */
uint64_t durable_begins(struct core *core, struct span channel);
void durable_topic_active(struct core *core, struct topic *t, bool had);
/* durable_topic_out: t, if it was awaited, will not be confirmed. */
void durable_topic_out(struct core *core, struct topic *t);
/* durable_topic_gone: t is dropped; histories that nobody listens to go with it. */
void durable_topic_gone(struct core *core, struct topic *t);
/*
 * durable_settle: a fence has come round. The index tells of a channel's last message only, so of
 * what was published between a topic's base and its subscription it may not tell; but it all lies
 * below the fence, and nobody live was to be given it: the topic begins there.
 */
void durable_settle(struct core *core, uint64_t clock);
/* durable_settled: does anybody listen to the channel whose fence is back? */
bool durable_settled(struct core *core, struct span channel);

/* notes.c */
struct note *note_create(struct span channel, struct span event, struct span data, uint64_t id,
                         uint64_t previous);
struct span note_channel(const struct note *n);
struct span note_event(const struct note *n);
struct span note_data(const struct note *n);
void notes_init(struct notes *list);
void notes_append(struct notes *list, struct note *n);
/* notes_take: the first, owned by the caller; NULL. */
struct note *notes_take(struct notes *list);
void notes_clear(struct notes *list);

/* heal.c */
void heal_begin(struct core *core);
void heal_end(struct core *core);
/* heal_pruned: has the index forgotten channels that changed when nobody here listened? */
bool heal_pruned(const struct core *core, uint64_t pruned);

/* dataset.c: hello, and what follows from its answer. */
void dataset_ask(struct core *core);
/* dataset_heard: this id was given out; should Redis lose it, something is lost. */
void dataset_heard(struct core *core, uint64_t id);
/* dataset_is_ours: is it our epoch? Otherwise it is counted, and asked after. */
bool dataset_is_ours(struct core *core, struct span epoch);

/* beat.c: the fence and the index, which show that nothing was lost. */
void beat_send(struct core *core);

/* replay.c */
/* replay_ask: takes the request over. */
void replay_ask(struct core *core, struct msg *m);
void replay_forget(struct core *core, uint32_t worker, uint64_t stream);
/* replay_pump: looks at those that wait, if anything has changed for them. */
void replay_pump(struct core *core);
/* replay_refuse: answers all that wait: there is no history. */
void replay_refuse(struct core *core, const char *why);
void replay_end(struct core *core);
/* replay_restart: the dataset is another, or has lost messages: those that wait begin again. */
void replay_restart(struct core *core);

/* replay_read.c: what replays need of the broker. */
enum { FILL_BYTES = 4 << 20 }; /* beyond which a fill goes on without its beginning */
/*
 * replay_share: how much may be read, or given out in one slice, when that is a part of the room
 * that is left for what streams hold beyond the rings (options.replay_bytes again), from `least`
 * to `most` bytes. Clients that read slowly keep their slices for as long: very many of them get
 * small ones.
 */
uint64_t replay_share(const struct core *core, uint64_t part, uint64_t least, uint64_t most);
/* replay_want: h is to reach back to `after`; begins with replay_fetch, unless
 * replay_want_nothing comes before it. */
void replay_want(struct core *core, struct history *h, uint64_t after);
void replay_want_nothing(struct core *core);
void replay_fetch(struct core *core);
/* replay_back: false: where the last n messages of h's log begin is being asked. Else *at is the id
 * behind which they lie, or a lower one. */
bool replay_back(struct core *core, struct history *h, uint64_t n, uint64_t *at);
/* replay_index: the patterns' channels that changed after `after` are to be known. */
void replay_index(struct core *core, uint64_t after);

#endif
