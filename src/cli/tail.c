/* `sluice tail`: prints a stream, reconnects, resumes. */
#include "cli/args.h"
#include "cli/backoff.h"
#include "cli/cli.h"
#include "cli/tail_line.h"
#include "cli/tail_stream.h"

#include "base/random.h"

#include <errno.h>
#include <stdio.h>

enum {
    IDLE_SECONDS = 45,     /* three heartbeats */
    RETRY_MS = 2000,       /* until the stream says otherwise */
    MOST_EVENT = 64 << 20, /* bytes */
};

enum link { LINK_NEW, LINK_UP, LINK_DOWN };

struct tail {
    struct client_options client;
    struct arg_list channels, patterns;
    const char *last_id; /* borrowed; NULL: none */
    bool json;
    uint64_t count, idle_seconds; /* count 0: no end */

    struct wake *wake;         /* owned */
    struct sse_parser *parser; /* owned; knows the last id */
    struct buf lines;          /* to be written to standard output */
    struct buf closing;        /* why the gateway says that it is about to close */
    enum link link;
    bool greeted; /* this connection brought more than a sluice.busy */
    uint32_t retry_ms;
    unsigned refusals; /* connections in a row that were not greeted */
    uint64_t printed;
    bool too_large;
};

static const char usage[] =
    "Usage: sluice tail CHANNEL... [flags]\n"
    "Prints a stream: a line for each message, CHANNEL #ID [EVENT] DATA, without what is absent.\n"
    "Reconnects and resumes for as long as the gateway does not refuse it for good.\n"
    "Exit status: 0 when it was ended, 1 when it was refused, 2 when called wrongly.\n\n";

static void say(const char *what, struct span detail)
{
    fprintf(stderr, "sluice tail: %s%s%.*s\n", what, detail.len ? ": " : "", (int)detail.len,
            detail.len ? detail.ptr : "");
}

/* Says it once per change, not per try. */
static void set_link(struct tail *t, enum link link, struct span why)
{
    if (t->link == link)
        return;
    t->link = link;
    say(link == LINK_UP ? "connected" : "disconnected", why);
}

static void greet(struct tail *t)
{
    t->greeted = true;
    t->refusals = 0;
    set_link(t, LINK_UP, (struct span){0});
}

static bool is_done(const struct tail *t)
{
    return t->count && t->printed == t->count;
}

static void print_message(struct tail *t, const struct sse_received *event)
{
    if (is_done(t))
        return;
    tail_line(&t->lines, event, t->json);
    t->printed++;
}

static void warn_of_gap(const struct sse_received *event)
{
    struct buf notice = {0};
    tail_notice(&notice, event);
    say(buf_cstr(&notice), (struct span){0});
    buf_free(&notice);
}

static void on_event(void *ctx, const struct sse_received *event)
{
    struct tail *t = ctx;
    enum tail_kind kind = tail_kind_of(event);
    if (kind == TAIL_CLOSING) {
        buf_reset(&t->closing);
        tail_notice(&t->closing, event);
        return;
    }
    greet(t);
    if (kind == TAIL_MESSAGE)
        print_message(t, event);
    else if (kind == TAIL_GAP)
        warn_of_gap(event);
}

static void on_retry(void *ctx, uint32_t ms)
{
    ((struct tail *)ctx)->retry_ms = ms;
}

static void on_comment(void *ctx, struct span text)
{
    greet(ctx);
}

static bool on_bytes(void *ctx, struct span bytes)
{
    struct tail *t = ctx;
    t->too_large = sse_parser_feed(t->parser, bytes) != 0;
    enum wake_reason reason = wake_write(t->wake, buf_view(&t->lines));
    buf_reset(&t->lines);
    return !reason && !t->too_large && !is_done(t);
}

static void add_params(struct buf *url, const char *name, const struct arg_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        buf_printf(url, "&%s=", name);
        client_encode(url, span_of(list->items[i]));
    }
}

/* After the wake or our own end: the exit status. */
static int stop_status(const struct tail *t)
{
    if (t->too_large) {
        say("the stream has an event larger than 64 MiB", (struct span){0});
        return 1;
    }
    if (wake_wait(t->wake, 0) == WAKE_OUTPUT_BAD) {
        say("standard output", span_of(strerror(errno)));
        return 1;
    }
    return 0;
}

static uint32_t pause_ms(const struct tail *t, uint32_t asked_ms)
{
    return backoff_ms(t->retry_ms, t->refusals, asked_ms, (uint32_t)random_u64());
}

/* One connection and the pause after it. True when there is to be another, else *status is the exit
 * status. */
static bool follow_once(struct tail *t, const char *url, int *status)
{
    struct stream_request request = {
        .client = &t->client,
        .url = url,
        .last_id = sse_parser_last_id(t->parser),
        .idle_us = t->idle_seconds * 1000000,
        .clock = &clock_system,
        .wake = t->wake,
        .on_bytes = on_bytes,
        .ctx = t,
    };
    struct buf why = {0};
    uint32_t asked_ms;
    t->greeted = false;
    buf_reset(&t->closing);
    enum stream_end end = tail_stream_run(&request, &why, &asked_ms);
    sse_parser_restart(t->parser);
    if (end == STREAM_LOST) {
        t->refusals += !t->greeted;
        set_link(t, LINK_DOWN, buf_view(t->closing.len ? &t->closing : &why));
        if (wake_wait(t->wake, pause_ms(t, asked_ms)))
            end = STREAM_STOPPED;
    } else if (end == STREAM_DENIED) {
        say("refused", buf_view(&why));
        *status = 1;
    }
    if (end == STREAM_STOPPED)
        *status = stop_status(t);
    buf_free(&why);
    return end == STREAM_LOST;
}

static void create_parser(struct tail *t)
{
    const struct sse_handler handler = {
        .on_event = on_event, .on_retry = on_retry, .on_comment = on_comment, .ctx = t};
    t->parser = sse_parser_create(&handler, MOST_EVENT);
    if (t->last_id) {
        sse_parser_feed(t->parser, span_of("id: "));
        sse_parser_feed(t->parser, span_of(t->last_id));
        sse_parser_feed(t->parser, span_of("\n\n"));
    }
}

static int follow(void *ctx)
{
    struct tail *t = ctx;
    struct buf url = {0};
    int status = 0;
    t->wake = wake_create();
    if (!t->wake) {
        say("cannot start", span_of(strerror(errno)));
        return 1;
    }
    create_parser(t);
    client_url(&url, &t->client, "/events?wrap=1");
    add_params(&url, "channel", &t->channels);
    add_params(&url, "pattern", &t->patterns);
    while (follow_once(t, buf_cstr(&url), &status))
        ;
    sse_parser_destroy(&t->parser);
    wake_destroy(&t->wake);
    buf_free(&t->lines);
    buf_free(&t->closing);
    buf_free(&url);
    return status;
}

static const char *wrong_words(void *ctx, const struct arg_list *words)
{
    const struct tail *t = ctx;
    if (!t->channels.count && !t->patterns.count)
        return "expected a channel or --pattern";
    for (size_t i = 0; i < t->channels.count; i++) {
        if (!*t->channels.items[i])
            return "the channel is empty";
    }
    if (t->last_id && sse_field_error(span_of(t->last_id)))
        return "--last-id: has a line end";
    if (t->idle_seconds > 86400)
        return "--idle: expected at most 86400";
    return client_options_error(&t->client);
}

int cli_tail(int argc, char **argv)
{
    struct tail t = {
        .client = client_defaults(), .retry_ms = RETRY_MS, .idle_seconds = IDLE_SECONDS};
    const struct arg table[] = {
        {"pattern", "P", "a glob of channels, as of Redis; may be given several times", ARG_LIST,
         &t.patterns},
        {"last-id", "ID", "resume behind this event", ARG_TEXT, &t.last_id},
        {"json", NULL, "a line is {\"channel\",\"event\",\"data\",\"id\"}", ARG_SWITCH, &t.json},
        {"count", "N", "end after N messages", ARG_COUNT, &t.count},
        {"idle", "SECONDS", "reconnect when nothing is heard for this long (45)", ARG_COUNT,
         &t.idle_seconds},
        CLIENT_FLAGS(t.client),
    };
    const struct client_command command = {
        .name = "tail",
        .usage = usage,
        .table = table,
        .count = sizeof(table) / sizeof(table[0]),
        .wrong = wrong_words,
        .run = follow,
        .ctx = &t,
    };
    int status = client_command(&command, argc, argv, &t.channels);
    args_list_free(&t.channels);
    args_list_free(&t.patterns);
    return status;
}
