#include "ops/config_table.h"

#include "ops/config.h"
#include "ops/config_check.h"
#include "proto/channel.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

static const char *const broker_words[] = {
    [CONFIG_BROKER_REDIS] = "redis", [CONFIG_BROKER_MEMORY] = "memory", NULL};
static const char *const level_words[] = {"error", "warn", "info", "debug", NULL};
static const char *const format_words[] = {[false] = "text", [true] = "json", NULL};
static const char *const payload_words[] = {
    [CONFIG_PAYLOAD_RAW] = "raw", [CONFIG_PAYLOAD_ENVELOPE] = "envelope", NULL};
static const char *const slow_words[] = {
    [CONFIG_SLOW_DISCONNECT] = "disconnect", [CONFIG_SLOW_LATEST] = "latest", NULL};

#define KIB           ((uint64_t)1024)
#define MIB           (KIB * 1024)
#define GIB           (MIB * 1024)
#define MANY          10000000 /* more connections than any process has */
#define MOST_ELEMENTS 1000

/* Where a row's field is: the designated initialisers that every row of its kind shares. */
#define FIELD(type_, member_)                                                                      \
    .offset = offsetof(struct type_, member_), .size = sizeof(((struct type_ *)0)->member_)
#define ENTRIES(type_, member_, count_)                                                            \
    .offset = offsetof(struct type_, member_), .count_offset = offsetof(struct type_, count_)
#define RANGE(min_, max_) .min = (min_), .max = (max_)

const struct setting config_table[] = {
    {.path = "listen",
     .type = SETTING_LIST,
     ENTRIES(config, listen, listen_count),
     RANGE(1, 64),
     .fallback = "127.0.0.1:8080",
     .check = check_listen,
     .valid =
         "ADDRESS:PORT such as 127.0.0.1:8080, [IPV6]:PORT, :PORT for every address, unix:/PATH",
     .help = "Where to listen. Port 0 takes any free port."},
    {.path = "open",
     .type = SETTING_BOOL,
     FIELD(config, open),
     .fallback = "false",
     .help = "For development: publishing and statistics need no key. Only when every listener is "
             "loopback or a unix socket; a foreign Origin or Host is refused then."},
    {.path = "base_path",
     .type = SETTING_TEXT,
     FIELD(config, base_path),
     RANGE(0, 200),
     .fallback = "",
     .check = check_base_path,
     .valid = "empty, or a path such as /live: a slash before each segment and none at the end; "
              "segments of A-Z a-z 0-9 . _ ~ -",
     .help = "Put before every path that is served, for a proxy that does not strip it."},
    {.path = "workers",
     .type = SETTING_NUMBER,
     FIELD(config, workers),
     RANGE(0, 256),
     .fallback = "0",
     .unit = "threads",
     .help = "Threads that serve connections; 0 is one per CPU."},
    {.path = "broker",
     .type = SETTING_CHOICE,
     FIELD(config, broker),
     .fallback = "redis",
     .words = broker_words,
     .help =
         "Where messages come from; memory is one node with no Redis, for development and tests."},
    {.path = "redis",
     .type = SETTING_TEXT,
     .secret = SETTING_SECRET_URL,
     FIELD(config, redis),
     RANGE(1, 2048),
     .fallback = "redis://127.0.0.1:6379/0",
     .check = check_url_given,
     .valid = "a URL such as redis://user:password@host:6379/0",
     .help = "The Redis primary. Special characters in user and password are percent-encoded."},
    {.path = "channel_prefix",
     .type = SETTING_TEXT,
     FIELD(config, channel_prefix),
     RANGE(0, 100),
     .fallback = "",
     .check = check_channel_prefix,
     .valid = "empty, or what a channel's name may begin with: no control characters, none of "
              "* ? [ ] { } \\, not sluice: sluice. or __",
     .help = "Put before a channel's name to make the name of the Redis channel."},
    {.path = "redis_linger_ms",
     .type = SETTING_NUMBER,
     FIELD(config, redis_linger_ms),
     RANGE(0, 3600000),
     .fallback = "2000",
     .unit = "ms",
     .help = "How long a channel that nobody listens to any more stays subscribed in Redis."},
    {.path = "replay_bytes",
     .type = SETTING_NUMBER,
     FIELD(config, replay_bytes),
     RANGE(MIB, 1024 * GIB),
     .fallback = "67108864",
     .unit = "bytes",
     .help = "Memory for recent messages that are kept for replay."},
    {.path = "log.level",
     .type = SETTING_CHOICE,
     FIELD(config, log_level),
     .fallback = "info",
     .words = level_words,
     .help = "The least important lines that are still logged."},
    {.path = "log.format",
     .type = SETTING_CHOICE,
     FIELD(config, log_json),
     .fallback = "text",
     .words = format_words,
     .help = "How a log line looks."},
    {.path = "drain_seconds",
     .type = SETTING_NUMBER,
     FIELD(config, drain_seconds),
     RANGE(0, 3600),
     .fallback = "8",
     .unit = "seconds",
     .help = "How long the end may take after SIGTERM."},
    {.path = "stream.retry_ms",
     .type = SETTING_NUMBER,
     FIELD(config, stream.retry_ms),
     RANGE(1, 3600000),
     .fallback = "2000",
     .unit = "ms",
     .help = "When a client that lost its stream comes back; each is told this and a jitter of its "
             "own."},
    {.path = "stream.heartbeat_seconds",
     .type = SETTING_NUMBER,
     FIELD(config, stream.heartbeat_seconds),
     RANGE(1, 3600),
     .fallback = "15",
     .unit = "seconds",
     .help = "A stream without a message for so long gets a comment."},
    {.path = "cors.origins",
     .type = SETTING_LIST,
     ENTRIES(config, cors_origins, cors_origin_count),
     RANGE(0, MOST_ELEMENTS),
     .fallback = "",
     .check = check_origin,
     .valid = "origins such as https://shop.example or http://localhost:3000, or * alone",
     .help = "Web pages of these origins may read streams, with credentials; * is every origin, "
             "without credentials."},
    {.path = "limits.connections",
     .type = SETTING_NUMBER,
     FIELD(config, limits.connections),
     RANGE(0, MANY),
     .fallback = "0",
     .unit = "connections",
     .help = "Connections at one time; 0 is the descriptor limit less a reserve."},
    {.path = "limits.per_address",
     .type = SETTING_NUMBER,
     FIELD(config, limits.per_address),
     RANGE(0, MANY),
     .fallback = "0",
     .unit = "connections",
     .help = "Connections at one time from one address; 0 is no limit."},
    {.path = "limits.channels",
     .type = SETTING_NUMBER,
     FIELD(config, limits.channels),
     RANGE(1, 10000),
     .fallback = "100",
     .unit = "names",
     .help = "Channels and patterns on one stream."},
    {.path = "limits.name_bytes",
     .type = SETTING_NUMBER,
     FIELD(config, limits.name_bytes),
     RANGE(1, 1000),
     .fallback = "200",
     .unit = "bytes",
     .help = "Length of a channel's name or a pattern."},
    {.path = "limits.body_bytes",
     .type = SETTING_NUMBER,
     FIELD(config, limits.body_bytes),
     RANGE(1, GIB),
     .fallback = "1048576",
     .unit = "bytes",
     .help = "Size of a request's body."},
    {.path = "limits.message_bytes",
     .type = SETTING_NUMBER,
     FIELD(config, limits.message_bytes),
     RANGE(1, 512 * MIB),
     .fallback = "1048576",
     .unit = "bytes",
     .help = "Size of a message's payload; larger ones from Redis are dropped, counted and told."},
    {.path = "limits.queue_bytes",
     .type = SETTING_NUMBER,
     FIELD(config, limits.queue_bytes),
     RANGE(1, GIB),
     .fallback = "262144",
     .unit = "bytes",
     .help = "What may wait for a slow client behind the frame that is being written."},
    {.path = "limits.request_seconds",
     .type = SETTING_NUMBER,
     FIELD(config, limits.request_seconds),
     RANGE(1, 3600),
     .fallback = "10",
     .unit = "seconds",
     .help = "How long a request may take to arrive."},
    {.path = "keys",
     .type = SETTING_ARRAY,
     ENTRIES(config, keys, key_count),
     .size = sizeof(struct config_key),
     RANGE(0, MOST_ELEMENTS),
     .help = "API keys: whoever shows one as `Authorization: Bearer <key>` may do what its scopes "
             "say."},
    {.path = "keys[].name",
     .type = SETTING_TEXT,
     FIELD(config_key, name),
     RANGE(1, 64),
     .check = check_key_name,
     .valid = "1 to 64 of a-z A-Z 0-9 _ - .",
     .help = "What logs call the key; each name once."},
    {.path = "keys[].sha256",
     .type = SETTING_DIGEST,
     .secret = SETTING_SECRET,
     FIELD(config_key, sha256),
     .help = "The SHA-256 of the key, so that the file holds no key: "
             "`printf %s \"$KEY\" | sha256sum`."},
    {.path = "keys[].scopes",
     .type = SETTING_LIST,
     ENTRIES(config_key, scopes, scope_count),
     RANGE(1, 100),
     .check = check_scope,
     .valid = "publish:GLOB such as publish:orders.*, invalidate, peer, stats",
     .help = "What the key may do; publish:* is publishing to every channel."},
    {.path = "namespaces",
     .type = SETTING_ARRAY,
     ENTRIES(config, namespaces, namespace_count),
     .size = sizeof(struct config_namespace),
     RANGE(0, MOST_ELEMENTS),
     .help = "Settings for groups of channels: the first one whose match fits the channel's name "
             "is the channel's. Unless one has the match *, one with just that comes last."},
    {.path = "namespaces[].match",
     .type = SETTING_TEXT,
     FIELD(config_namespace, match),
     RANGE(1, 200),
     .check = namespace_match_error,
     .valid = "a glob such as orders.*; {word} stands for one segment without a dot",
     .help = "Which channels: a Redis glob (* crosses dots); {word} stands for one segment."},
    {.path = "namespaces[].history",
     .type = SETTING_GROUP,
     FIELD(config_namespace, durable),
     .help = "Makes the channels durable. Not in this version: refused."},
    {.path = "namespaces[].history.messages",
     .type = SETTING_NUMBER,
     FIELD(config_namespace, history_messages),
     RANGE(1, 1000000),
     .fallback = "1000",
     .unit = "messages",
     .help = "Messages of a channel that are kept."},
    {.path = "namespaces[].history.seconds",
     .type = SETTING_NUMBER,
     FIELD(config_namespace, history_seconds),
     RANGE(1, 31536000),
     .fallback = "3600",
     .unit = "seconds",
     .help = "How long they are kept."},
    {.path = "namespaces[].payload",
     .type = SETTING_CHOICE,
     FIELD(config_namespace, payload),
     .fallback = "raw",
     .words = payload_words,
     .help = "raw: the payload is the data. envelope: {\"event\":…,\"data\":…}."},
    {.path = "namespaces[].slow",
     .type = SETTING_CHOICE,
     FIELD(config_namespace, slow),
     .fallback = "disconnect",
     .words = slow_words,
     .help =
         "What happens to a client that reads too slowly. latest is not in this version: refused."},
};

const size_t config_table_size = sizeof(config_table) / sizeof(config_table[0]);

const struct setting *setting_find(struct span path)
{
    for (size_t i = 0; i < config_table_size; i++)
        if (span_is(path, config_table[i].path))
            return &config_table[i];
    return NULL;
}

bool setting_top(const struct setting *s)
{
    return strchr(s->path, '[') == NULL;
}

bool setting_has_below(struct span prefix)
{
    for (size_t i = 0; i < config_table_size; i++)
        if (setting_child(&config_table[i], prefix).len > 0)
            return true;
    return false;
}

struct span setting_child(const struct setting *s, struct span prefix)
{
    struct span path = span_of(s->path);
    if (path.len <= prefix.len || (prefix.len > 0 && memcmp(path.ptr, prefix.ptr, prefix.len) != 0))
        return span_make(NULL, 0);
    const char *word = path.ptr + prefix.len;
    return span_make(word, strcspn(word, ".["));
}

typedef void name_writer(struct buf *out, const struct setting *s);

static const struct setting *find_by(name_writer *write_name, struct span name)
{
    struct buf candidate = {0};
    const struct setting *found = NULL;
    for (size_t i = 0; i < config_table_size && !found; i++) {
        if (!setting_top(&config_table[i]))
            continue;
        buf_reset(&candidate);
        write_name(&candidate, &config_table[i]);
        if (span_eq(buf_view(&candidate), name))
            found = &config_table[i];
    }
    buf_free(&candidate);
    return found;
}

const struct setting *setting_of_flag(struct span name)
{
    return find_by(setting_flag_name, name);
}

const struct setting *setting_of_variable(struct span name)
{
    return find_by(setting_variable_name, name);
}

void setting_flag_name(struct buf *out, const struct setting *s)
{
    buf_str(out, "--");
    for (const char *c = s->path; *c; c++)
        buf_byte(out, (*c == '.' || *c == '_') ? '-' : *c);
}

void setting_variable_name(struct buf *out, const struct setting *s)
{
    buf_str(out, "SLUICE_");
    for (const char *c = s->path; *c; c++)
        buf_byte(out, *c == '.' ? '_' : (char)toupper((unsigned char)*c));
}

static void describe_words(struct buf *out, const char *const *words)
{
    for (size_t i = 0; words[i]; i++)
        buf_printf(out, "%s%s", i > 0 ? ", " : "", words[i]);
}

void setting_describe_valid(struct buf *out, const struct setting *s)
{
    switch (s->type) {
    case SETTING_BOOL:
        buf_str(out, "true, false");
        break;
    case SETTING_NUMBER:
        buf_printf(out, "%" PRIu64 " to %" PRIu64, s->min, s->max);
        break;
    case SETTING_CHOICE:
        describe_words(out, s->words);
        break;
    case SETTING_DIGEST:
        buf_str(out, "64 hex digits");
        break;
    case SETTING_TEXT:
    case SETTING_LIST:
        buf_str(out, s->valid);
        break;
    case SETTING_GROUP:
        buf_str(out, "an object");
        break;
    case SETTING_ARRAY:
        buf_str(out, "an array of objects, in the file");
        break;
    }
}
