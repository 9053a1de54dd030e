#include "ops/config_text.h"

#include "ops/config.h"
#include "proto/utf8.h"

#include <string.h>

#define LONGEST_QUOTE 100
#define LONGEST_NAME  64

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

void show_escaped(struct buf *out, struct span text)
{
    bool readable = utf8_valid(text);
    size_t end = least(text.len, LONGEST_QUOTE);
    while (readable && end < text.len && ((unsigned char)text.ptr[end] & 0xc0) == 0x80)
        end--; /* not in the middle of a character */
    for (size_t i = 0; i < end; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c < 0x20 || c == 0x7f || (c >= 0x80 && !readable))
            buf_printf(out, "\\x%02x", c);
        else
            buf_byte(out, (char)c);
    }
    if (end < text.len)
        buf_str(out, "…");
}

void show_quoted(struct buf *out, struct span text)
{
    buf_byte(out, '"');
    show_escaped(out, text);
    buf_byte(out, '"');
}

static size_t find_last(struct span text, char c)
{
    const char *found = text.len > 0 ? memrchr(text.ptr, c, text.len) : NULL;
    return found ? (size_t)(found - text.ptr) : text.len;
}

/* "redis://name:word" with the host forgotten: what stands behind the colon is no port. */
static bool hides_password(struct span authority)
{
    size_t colon = find_last(authority, ':'), bracket = find_last(authority, ']');
    if (colon == authority.len || (bracket < authority.len && bracket > colon))
        return false;
    for (size_t i = colon + 1; i < authority.len; i++)
        if (authority.ptr[i] < '0' || authority.ptr[i] > '9')
            return true;
    return false;
}

/*
 * Errs on the side of hiding: a password may itself hold @ / or ? where somebody forgot to encode
 * it, so all up to the last @ goes.
 */
void config_redact_url(struct buf *out, struct span url)
{
    const char *mark = url.len > 0 ? memmem(url.ptr, url.len, "://", 3) : NULL;
    size_t begin = mark ? (size_t)(mark - url.ptr) + 3 : 0;
    struct span rest = span_make(url.ptr + begin, url.len - begin);
    buf_append(out, url.ptr, begin);
    size_t at = find_last(rest, '@');
    if (at < rest.len) {
        buf_str(out, "***@");
        rest = span_make(rest.ptr + at + 1, rest.len - at - 1);
    }
    const char *query = rest.len > 0 ? memchr(rest.ptr, '?', rest.len) : NULL;
    size_t end = query ? (size_t)(query - rest.ptr) : rest.len;
    const char *slash = end > 0 ? memchr(rest.ptr, '/', end) : NULL;
    size_t authority = slash ? (size_t)(slash - rest.ptr) : end;
    if (hides_password(span_make(rest.ptr, authority))) {
        buf_str(out, "***");
        rest = span_make(rest.ptr + authority, rest.len - authority);
        end -= authority;
    }
    buf_append(out, rest.ptr, end);
    if (query)
        buf_str(out, "?***");
}

/*
 * How many bytes to insert, delete, replace or swap with their neighbour to get from a to b: the
 * "optimal string alignment" distance (Damerau 1964), by rows; three are enough, as a swap looks
 * two back.
 */
static size_t distance(struct span a, struct span b)
{
    size_t rows[3][LONGEST_NAME + 1];
    for (size_t j = 0; j <= b.len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t replace = above[j - 1] + (a.ptr[i - 1] != b.ptr[j - 1]);
            row[j] = least(replace, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1])
                row[j] = least(row[j], above2[j - 2] + 1);
        }
    }
    return rows[a.len % 3][b.len];
}

struct span suggest(struct span name, const struct span *names, size_t count)
{
    struct span best = span_make(NULL, 0);
    size_t nearest = 3; /* three or more is another word */
    if (name.len > LONGEST_NAME)
        return best;
    for (size_t i = 0; i < count; i++) {
        if (names[i].len > LONGEST_NAME)
            continue;
        size_t d = distance(name, names[i]);
        if (d < nearest && d < names[i].len) {
            nearest = d;
            best = names[i];
        }
    }
    return best;
}

void show_unknown(struct buf *out, struct span name, const struct span *valid, size_t count)
{
    struct span near = suggest(name, valid, count);
    if (near.len > 0) {
        buf_str(out, "; did you mean ");
        buf_span(out, near);
        buf_byte(out, '?');
    }
    buf_str(out, near.len > 0 ? " Valid here: " : "; valid here: ");
    for (size_t i = 0; i < count; i++) {
        buf_str(out, i > 0 ? ", " : "");
        buf_span(out, valid[i]);
    }
}
