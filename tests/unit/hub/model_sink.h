/* For the model test: how a stream takes what its shard gives it, and what stands in the frames. */
#ifndef TESTS_MODEL_SINK_H
#define TESTS_MODEL_SINK_H

#include "model_durable.h"

/* A frame of ours, read. */
struct told {
    uint64_t id, from; /* 0: none */
    bool gap, unknown, wrapped;
    uint32_t number;    /* of a message */
    int topic, channel; /* of a gap; -1 */
};

static uint64_t read_id(const char *text, char end)
{
    uint64_t id = 0;
    const char *stop = strchr(text, end);
    if (!stop || event_id_parse(span_make(text, (size_t)(stop - text)), &id) != 0)
        fail_model("something is no id: %s", text);
    return id;
}

static void read_gap(const char *data, struct told *t)
{
    char name[64];
    for (int i = 0; i < TOPICS; i++) {
        snprintf(name, sizeof(name), "{\"%s\":\"%s\",",
                 topics[i].kind == TOPIC_CHANNEL ? "channel" : "pattern", topics[i].name);
        if (strncmp(data, name, strlen(name)) == 0)
            t->topic = i;
    }
    for (int i = 0; i < CHANNELS; i++) {
        snprintf(name, sizeof(name), "{\"channel\":\"%s\",", channels[i]);
        if (strncmp(data, name, strlen(name)) == 0)
            t->channel = i;
    }
    t->unknown = strstr(data, "\"reason\":\"unknown\"") != NULL;
    const char *from = strstr(data, "\"from\":\"");
    t->from = from ? read_id(from + 8, '"') : 0;
}

static void read_data(const char *data, struct told *t)
{
    const char *wrapped = strstr(data, "\"data\":\"");
    if (t->gap) {
        read_gap(data, t);
        return;
    }
    t->wrapped = wrapped != NULL;
    t->number = (uint32_t)strtoul(wrapped ? wrapped + 8 : data, NULL, 10);
}

static struct told read_frame(const struct frame *f)
{
    struct told t = {.topic = -1, .channel = -1};
    char text[256];
    snprintf(text, sizeof(text), "%.*s", (int)f->len, f->bytes);
    for (char *line = text; line && *line;
         line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        if (strncmp(line, "event: sluice.gap\n", 18) == 0)
            t.gap = true;
        else if (strncmp(line, "id: ", 4) == 0)
            t.id = read_id(line + 4, '\n');
        else if (strncmp(line, "data: ", 6) == 0)
            read_data(line + 6, &t);
        else if (*line != '\n')
            fail_model("a frame has a line that is unknown: %s", line);
    }
    return t;
}

static void take_gap(struct stream *s, const struct told *t)
{
    bool topics_own = t->topic >= 0 && s->mask >> t->topic & 1;
    bool its_channel = t->channel >= 0 && wants_channel(s, t->channel);
    if (!topics_own && !its_channel)
        fail_model("stream %d was told a gap that is not its own", number_of(s));
    else if (t->id || t->from)
        had_durable_gap(s, topics_own ? t->topic : -1, t->channel, t->from, t->id, t->unknown);
    else if (topics_own)
        had_ephemeral_gap(s, t->topic);
}

static void take_message(struct stream *s, const struct told *t)
{
    if (t->number == 0 || t->number > store.pub_count || !wants(s, t->number))
        fail_model("stream %d had publication %u, which it did not ask for", number_of(s),
                   t->number);
    else if (t->wrapped != s->sub.wrapped)
        fail_model("stream %d had publication %u in the wrong form", number_of(s), t->number);
    else if (store.pubs[t->number].id)
        had_durable(s, t->number, t->id);
    else
        had_ephemeral(s, t->number);
}

/* False when it has no room for it. */
static bool take_entry(struct stream *s, const struct lane_entry *e)
{
    struct subscriber *sub = &s->sub;
    struct told t = read_frame(e->frame);
    if (e->id) {
        if (s->room == 0) {
            sub->replaying = true;
            return false;
        }
        s->room--;
    } else if (sub->durable && e->topic && (s->room == 0 || shard_owes_gap(sub, e->topic))) {
        shard_owe_gap(sub, e->topic);
        if (t.gap && t.topic >= 0) /* is told by the one that is owed */
            s->gaps |= 1u << t.topic;
        return true;
    }
    trace("        stream %d has %.*s", number_of(s), (int)e->frame->len, e->frame->bytes);
    if (t.gap)
        take_gap(s, &t);
    else
        take_message(s, &t);
    return true;
}

static uint32_t on_deliver(void *ctx, struct subscriber *sub, const struct lane_entry *entries,
                           uint32_t n)
{
    struct stream *s = stream_of(sub);
    for (uint32_t i = 0; i < n; i++)
        if (!take_entry(s, &entries[i]))
            return i;
    return n;
}

static void on_overflow(void *ctx, struct subscriber *sub, enum topic_kind kind, struct span name)
{
    for (int i = 0; i < TOPICS; i++)
        if (topics[i].kind == kind && span_is(name, topics[i].name))
            had_ephemeral_gap(stream_of(sub), i);
}

static void on_caught_up(void *ctx, struct subscriber *sub)
{
    trace("        stream %d is live at %llu\n", number_of(stream_of(sub)),
          (unsigned long long)sub->cursor);
    became_live(stream_of(sub));
}

static void on_no_history(void *ctx, struct subscriber *sub, const char *why)
{
    fail_model("stream %d was told that there is no history", number_of(stream_of(sub)));
}

static void on_ready(void *ctx, struct subscriber *sub)
{
    trace("        stream %d is ready\n", number_of(stream_of(sub)));
    became_ready(stream_of(sub));
}

static void on_waiting(void *ctx, struct subscriber *sub)
{
    struct stream *s = stream_of(sub);
    s->ready = false;
    s->gaps = 0;
}

static void on_refused(void *ctx, struct subscriber *sub, struct span name, const char *why)
{
    stream_of(sub)->refused = true;
}

static const struct shard_sink model_sink = {
    .deliver = on_deliver,
    .overflow = on_overflow,
    .caught_up = on_caught_up,
    .no_history = on_no_history,
    .ready = on_ready,
    .waiting = on_waiting,
    .refused = on_refused,
};

static void stream_join(struct stream *s, struct shard *shard, uint32_t worker, unsigned mask,
                        bool wrapped, const struct shard_resume *resume)
{
    struct shard_want list[TOPICS];
    size_t n = 0;
    *s = (struct stream){.open = true, .worker = worker, .mask = mask};
    for (int i = 0; i < TOPICS; i++) {
        if (!(mask >> i & 1))
            continue;
        list[n++] = (struct shard_want){topics[i].kind, span_of(topics[i].name)};
        s->sub.durable = s->sub.durable || topic_durable(i);
    }
    s->sub.wrapped = wrapped;
    stream_begins(s, resume);
    trace("        stream %d begins with %d of %llu\n", number_of(s), (int)resume->from,
          (unsigned long long)resume->value);
    shard_join(shard, &s->sub, list, n, s->sub.durable ? resume : NULL);
}

static void stream_leave(struct stream *s, struct shard *shard)
{
    shard_leave(shard, &s->sub);
    s->open = false;
}

/* The client takes more again; so many durable frames. */
static void stream_room(struct stream *s, struct shard *shard, uint64_t room)
{
    s->room = room;
    if (!s->open || !s->sub.durable || room == 0)
        return;
    shard_tell_owed(shard, &s->sub);
    shard_pull(shard, &s->sub);
}

/* When nothing is under way any more. */
static void check_at_rest(const struct stream *s)
{
    if (!s->open)
        return;
    if (!s->ready) {
        fail_model("stream %d waits for ever", number_of(s));
        return;
    }
    check_holes(s, store.pub_count + 1);
    check_durable_at_rest(s);
}

#endif
