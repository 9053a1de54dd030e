#include "reader.h"

#include <string.h>

enum state { IN_HEAD, IN_LINE, IN_PADDING, AT_LINE_END };

static const char data_field[] = "data: ";
enum { DATA_FIELD = sizeof(data_field) - 1, FRAME_HEAD = DATA_FIELD + HEAD_BYTES };

static const char *padding(void)
{
    static char page[65536];
    if (page[0] != PAD_BYTE)
        memset(page, PAD_BYTE, sizeof(page));
    return page;
}

static bool starts(const char *text, size_t len, const char *with)
{
    size_t n = strlen(with);
    return len >= n && memcmp(text, with, n) == 0;
}

static void corrupt(struct reader *r, struct ledger *l)
{
    l->tally.corrupt++;
    r->message = false;
    r->state = IN_LINE;
}

static void end_event(struct reader *r, struct ledger *l, uint64_t read_ns)
{
    if (r->id)
        ledger_see_id(l, r->id, r->message, &r->last_id);
    if (r->message) {
        uint32_t at = r->head.channel - r->first;
        if (at < r->span)
            ledger_deliver(l, &r->head, r->id, &r->next[at], read_ns);
        else
            l->tally.corrupt++;
    }
    l->tally.gaps += r->gap;
    r->message = r->named = r->gap = false;
    r->id = 0;
}

static void take_head_line(struct reader *r, const char *line, size_t len)
{
    if (starts(line, len, "HTTP/"))
        r->refused = !starts(line, len, "HTTP/1.1 200");
    else if (len <= 1)
        r->state = IN_LINE;
}

/* A line without its end; of a long one the beginning. */
static void take_line(struct reader *r, struct ledger *l, const char *line, size_t len,
                      uint64_t read_ns, const char *ready)
{
    if (r->state == IN_HEAD) {
        take_head_line(r, line, len);
    } else if (len == 0) {
        end_event(r, l, read_ns);
    } else if (line[0] == ':') {
        l->tally.comments++;
        r->ready = r->ready || starts(line, len, ready);
    } else if (starts(line, len, "event: ")) {
        r->named = true; /* our messages have no event name: it is the server's own, say a ping */
        r->gap = starts(line, len, "event: sluice.") && !starts(line, len, "event: sluice.ping") &&
                 !starts(line, len, "event: sluice.head");
    } else if (starts(line, len, "id: ")) {
        r->id = id_read(line + 4, len - 4); /* other servers have other ids: none */
    } else if (starts(line, len, "data:") && !r->named) {
        l->tally.corrupt++;
    }
}

/* Whether a message begins here; then its padding is expected next. */
static bool begins_message(struct reader *r, struct ledger *l, const char *line)
{
    if (r->state != IN_LINE || r->named || memcmp(line, data_field, DATA_FIELD) != 0)
        return false;
    if (r->message || !head_read(line + DATA_FIELD, &r->head)) {
        corrupt(r, l);
        return false;
    }
    r->padding = r->head.bytes - HEAD_BYTES;
    r->state = IN_PADDING;
    return true;
}

static size_t skip_padding(struct reader *r, struct ledger *l, const char *bytes, size_t len)
{
    size_t n = r->padding < len ? r->padding : len;
    n = n < 65536 ? n : 65536;
    if (memcmp(bytes, padding(), n) != 0) {
        corrupt(r, l);
        return n;
    }
    r->padding -= (uint32_t)n;
    if (r->padding == 0)
        r->state = AT_LINE_END;
    return n;
}

/* Adds to the line that is not complete; returns how many bytes it took. */
static size_t carry_on(struct reader *r, struct ledger *l, const char *bytes, size_t len,
                       uint64_t read_ns, const char *ready)
{
    const char *end = memchr(bytes, '\n', len);
    size_t run = end ? (size_t)(end - bytes) : len, room = READER_CARRY - r->carried;
    if (r->carried < FRAME_HEAD && room > (size_t)(FRAME_HEAD - r->carried))
        room = (size_t)(FRAME_HEAD - r->carried); /* stop where a message's padding begins */
    size_t kept = run < room ? run : room;
    memcpy(r->carry + r->carried, bytes, kept);
    r->carried += (uint8_t)kept;
    if (r->carried == FRAME_HEAD && begins_message(r, l, r->carry)) {
        r->carried = 0;
        return kept;
    }
    if (kept < run && r->carried < READER_CARRY)
        return kept;
    if (!end)
        return run;
    take_line(r, l, r->carry, r->carried, read_ns, ready);
    r->carried = 0;
    return run + 1;
}

static size_t read_line(struct reader *r, struct ledger *l, const char *bytes, size_t len,
                        uint64_t read_ns, const char *ready)
{
    if (r->carried == 0 && bytes[0] == '\n' && r->state == IN_LINE) {
        end_event(r, l, read_ns);
        return 1;
    }
    if (r->carried == 0 && len >= FRAME_HEAD && begins_message(r, l, bytes))
        return FRAME_HEAD;
    return carry_on(r, l, bytes, len, read_ns, ready);
}

void reader_skip_head(struct reader *r)
{
    r->state = IN_LINE;
}

void reader_feed(struct reader *r, struct ledger *l, const char *bytes, size_t len,
                 uint64_t read_ns, const char *ready)
{
    for (size_t used; len; bytes += used, len -= used) {
        switch ((enum state)r->state) {
        case IN_PADDING:
            used = skip_padding(r, l, bytes, len);
            break;
        case AT_LINE_END:
            used = 1;
            r->state = IN_LINE;
            r->message = true;
            if (*bytes != '\n')
                corrupt(r, l);
            break;
        default:
            used = read_line(r, l, bytes, len, read_ns, ready);
        }
    }
}
