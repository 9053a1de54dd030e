/*
 * A line is built on the stack and goes out in one write. It stays far below PIPE_BUF (4096), so
 * that lines of several threads or processes never mix in a pipe.
 */
#include "base/log.h"

#include "base/clock.h"
#include "base/span.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE_BYTES = 1024, LINE_BYTES = MESSAGE_BYTES + 512, ROOM_BYTES = 64 };

struct line {
    char bytes[LINE_BYTES];
    size_t len;
    bool json;
};

static atomic_int wanted_level = LOG_INFO;
static atomic_bool wanted_json = false;

static const char *const level_names[] = {
    [LOG_ERROR] = "error",
    [LOG_WARN] = "warn",
    [LOG_INFO] = "info",
    [LOG_DEBUG] = "debug",
};

void log_setup(enum log_level level, bool json)
{
    atomic_store_explicit(&wanted_level, (int)level, memory_order_relaxed);
    atomic_store_explicit(&wanted_json, json, memory_order_relaxed);
}

bool log_wants(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&wanted_level, memory_order_relaxed);
}

static void put(struct line *line, const char *bytes, size_t len)
{
    memcpy(line->bytes + line->len, bytes, len);
    line->len += len;
}

static void put_str(struct line *line, const char *s)
{
    put(line, s, strlen(s));
}

static void put_time(struct line *line)
{
    uint64_t now_ms = clock_wall_us(&clock_system) / 1000;
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm utc;
    char text[40];
    gmtime_r(&seconds, &utc);
    size_t len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
    put(line, text, len);
    snprintf(text, sizeof(text), ".%03dZ", (int)(now_ms % 1000));
    put_str(line, text);
}

/* A code point of `len` bytes; len 0: the first byte begins no well-formed one. */
struct point {
    uint32_t value;
    size_t len;
};

static struct point first_point(struct span s)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t lead = (uint8_t)s.ptr[0];
    if (lead < 0x80)
        return (struct point){lead, 1};
    size_t len = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc0 || lead > 0xf7 || len > s.len)
        return (struct point){0};
    uint32_t value = lead & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        uint8_t next = (uint8_t)s.ptr[i];
        if ((next & 0xc0) != 0x80)
            return (struct point){0};
        value = value << 6 | (next & 0x3f);
    }
    bool surrogate = value >= 0xd800 && value <= 0xdfff;
    if (value < least[len] || value > 0x10ffff || surrogate)
        return (struct point){0};
    return (struct point){value, len};
}

/* What moves a terminal's cursor or makes some reader begin a new line. */
static bool is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x2028 || c == 0x2029;
}

/* Writes how the first code point of s is shown to `out`; returns how many bytes of s that was. */
static size_t show_first(struct span s, bool json, char out[16])
{
    struct point p = first_point(s);
    if (p.len == 0)
        snprintf(out, 16, json ? "\\ufffd" : "\\x%02x", (unsigned)(uint8_t)s.ptr[0]);
    else if (is_control(p.value) && (json || p.value > 0x9f))
        snprintf(out, 16, "\\u%04x", (unsigned)p.value);
    else if (is_control(p.value))
        snprintf(out, 16, "\\x%02x", (unsigned)p.value);
    else if (json && (p.value == '"' || p.value == '\\'))
        snprintf(out, 16, "\\%c", (char)p.value);
    else
        snprintf(out, 16, "%.*s", (int)p.len, s.ptr);
    return p.len ? p.len : 1;
}

/* Puts s, escaped, but no more than max bytes of it and nothing by halves. */
static void put_shown(struct line *line, struct span s, size_t max)
{
    char shown[16];
    while (s.len) {
        size_t used = show_first(s, line->json, shown);
        size_t len = strlen(shown);
        if (len > max)
            return;
        put(line, shown, len);
        max -= len;
        s = span_make(s.ptr + used, s.len - used);
    }
}

static void put_event(struct line *line, enum log_level level, const char *room,
                      struct span message)
{
    put_str(line, line->json ? "{\"time\":\"" : "");
    put_time(line);
    put_str(line, line->json ? "\",\"level\":\"" : " ");
    put_str(line, level_names[level]);
    put_str(line, line->json ? "\",\"room\":\"" : " ");
    put_shown(line, span_of(room), ROOM_BYTES);
    put_str(line, line->json ? "\",\"message\":\"" : ": ");
    put_shown(line, message, MESSAGE_BYTES);
    put_str(line, line->json ? "\"}\n" : "\n");
}

void log_event(enum log_level level, const char *room, const char *fmt, ...)
{
    if (!log_wants(level))
        return;
    int saved_errno = errno;
    char message[MESSAGE_BYTES + 1];
    va_list ap;
    va_start(ap, fmt);
    int written = vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    size_t len = written < 0 ? 0 : (size_t)written;
    if (len > MESSAGE_BYTES)
        len = MESSAGE_BYTES; /* a character cut here is shown escaped, for which no room is left */

    struct line line;
    line.len = 0;
    line.json = atomic_load_explicit(&wanted_json, memory_order_relaxed);
    put_event(&line, level, room, span_make(message, len));
    while (write(STDERR_FILENO, line.bytes, line.len) < 0 && errno == EINTR)
        ; /* any other failure: there is nowhere left to say so */
    errno = saved_errno;
}
