/*
 * Every message that can pass between the core and a worker, and nothing else passes. A message is
 * allocated by its sender and freed by its receiver with msg_free. A `struct shard_topic *` is a
 * worker's own: for the core it is a token to hand back, never to look into; the worker keeps it
 * until MSG_TOPIC_GONE has come back.
 */
#ifndef HUB_MESSAGES_H
#define HUB_MESSAGES_H

#include "base/buf.h"
#include "base/span.h"
#include "hub/frame.h"
#include "proto/topic.h"

#include <stdbool.h>
#include <stdint.h>

struct shard_topic;

enum msg_type {
    /* worker to core */
    MSG_SUBSCRIBE,      /* topic, kind, wrapped, text: its name: one more subscriber */
    MSG_UNSUBSCRIBE,    /* the same: one less */
    MSG_PUBLISH,        /* publish */
    MSG_CHANNELS,       /* channels: a page of the channel table, please */
    MSG_DRAINED,        /* the frame lane that was full has room again */
    MSG_FENCED,         /* fence: answers MSG_FENCE */
    MSG_SETTINGS_TAKEN, /* answers MSG_SETTINGS: the old ones are used no more */
    MSG_STOPPED,        /* the worker's last word */
    /* core to worker */
    MSG_TOPIC_READY,   /* topic: the broker confirmed the subscription */
    MSG_TOPIC_REFUSED, /* topic, text: the broker will not have it */
    MSG_TOPIC_GAP,     /* topic, frame: tell its subscribers */
    MSG_TOPIC_GONE,    /* topic: the core has forgotten it; no frame for it comes after */
    MSG_BROKER,        /* up, text: the broker came or went; down: no topic is ready any more */
    MSG_PUBLISHED,     /* publish: answers MSG_PUBLISH */
    MSG_CHANNELS_PAGE, /* channels: answers MSG_CHANNELS */
    MSG_FENCE,         /* fence: how many streams had publication `pub`? */
    MSG_SETTINGS,      /* settings: what the configuration says now */
    MSG_DRAIN,         /* seconds: end what is open within that time, then stop */
    MSG_STOP,          /* end */
};

/* One channel of a publish; offsets into the request's bytes, so that one block holds it all. */
struct publish_order {
    struct span channel, event, data; /* borrowed: point into publish_request.bytes */
    int err;                          /* answer: 0 or an enum err */
    int64_t receivers;                /* answer */
    char *why;                        /* answer: owned; NULL when err is 0 */
};

struct publish_request {
    uint64_t exchange;            /* the worker's own number for who asked */
    bool single;                  /* answer one object, not an array */
    struct buf bytes;             /* owned */
    struct publish_order *orders; /* owned */
    size_t count;
};

struct channels_request {
    uint64_t exchange;
    char *prefix, *after; /* owned, NUL-terminated */
    uint32_t limit;
    struct buf json; /* answer: owned */
};

struct fence {
    uint64_t ticket, pub; /* which publish waits, for which publication */
    uint32_t streams;     /* answer */
};

struct msg {
    struct msg *next; /* owned by the lane */
    enum msg_type type;
    uint32_t worker;   /* sender or receiver */
    uint64_t position; /* core to worker: frames posted before it */
    enum topic_kind kind;
    bool wrapped; /* which form the topic is about */
    bool up;
    struct shard_topic *topic;         /* borrowed, the worker's */
    struct frame *frame;               /* counted */
    char *text;                        /* owned: a channel's name or a reason */
    struct publish_request *publish;   /* owned */
    struct channels_request *channels; /* owned */
    struct fence fence;
    const void *settings; /* borrowed until MSG_SETTINGS_TAKEN; the worker's side knows its type */
    uint32_t seconds;
};

struct msg *msg_create(enum msg_type type, uint32_t worker);
/* msg_free: with everything that it owns. */
void msg_free(struct msg *m);

/* publish_request_create: room for `count` orders, zeroed. publish_request_free: NULL is allowed.
 */
struct publish_request *publish_request_create(size_t count);
void publish_request_free(struct publish_request *r);

#endif
