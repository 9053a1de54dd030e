#include "cli/printable.h"

#include "proto/utf8.h"

/* The control character that begins at p, or -1; the C1 ones (U+0080 to U+009F) are two bytes in
 * UTF-8. */
static int control_at(const unsigned char *p, size_t left)
{
    if (*p < 0x20 || *p == 0x7f)
        return *p;
    if (*p == 0xc2 && left > 1 && p[1] < 0xa0)
        return p[1];
    return -1;
}

static void put_control(struct buf *out, int c)
{
    if (c == '\n')
        buf_str(out, "\\n");
    else if (c == '\r')
        buf_str(out, "\\r");
    else if (c == '\t')
        buf_str(out, "\\t");
    else
        buf_printf(out, "\\x%02x", (unsigned)c);
}

static void put_valid(struct buf *out, struct span s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    size_t from = 0;
    for (size_t i = 0; i < s.len; i++) {
        int c = control_at(p + i, s.len - i);
        if (c < 0)
            continue;
        buf_append(out, p + from, i - from);
        put_control(out, c);
        i += c >= 0x80;
        from = i + 1;
    }
    buf_append(out, p + from, s.len - from);
}

void printable(struct buf *out, struct span s)
{
    struct buf repaired = {0};
    if (s.len == 0)
        return;
    if (!utf8_valid(s)) {
        utf8_repair(&repaired, s);
        s = buf_view(&repaired);
    }
    put_valid(out, s);
    buf_free(&repaired);
}
