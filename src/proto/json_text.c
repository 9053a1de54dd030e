#include "proto/json_text.h"

#include "proto/utf8.h"

#include <stdint.h>

static void put_escaped(struct buf *out, char c)
{
    static const char named[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                 ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\'};
    char name = named[(uint8_t)c];
    if (name)
        buf_append(out, (char[]){'\\', name}, 2);
    else
        buf_printf(out, "\\u%04x", (unsigned)(uint8_t)c);
}

static bool needs_escape(char c)
{
    return c == '"' || c == '\\' || (uint8_t)c < 0x20;
}

void json_text_string(struct buf *out, struct span s)
{
    size_t done = 0; /* what lies before it is written */
    buf_byte(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        if (!needs_escape(s.ptr[i]))
            continue;
        buf_append(out, s.ptr + done, i - done);
        put_escaped(out, s.ptr[i]);
        done = i + 1;
    }
    if (s.len)
        buf_append(out, s.ptr + done, s.len - done);
    buf_byte(out, '"');
}

void json_text_error(struct buf *out, struct span message)
{
    struct buf valid = {0};
    utf8_repair(&valid, message);
    buf_str(out, "{\"error\":");
    json_text_string(out, buf_view(&valid));
    buf_byte(out, '}');
    buf_free(&valid);
}
