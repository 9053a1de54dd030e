#include "proto/http1_text.h"

#include <strings.h>

enum {
    V = HTTP1_VALUE,
    VT = HTTP1_VALUE | HTTP1_TARGET,
    VTN = VT | HTTP1_TOKEN,
    VTH = VT | HTTP1_HOST,
    ALL = VTN | HTTP1_HOST,
};

/* clang-format off */
const uint8_t http1_classes[256] = {
    ['\t'] = V, [' '] = V,
    ['!'] = ALL, ['"'] = VT, ['#'] = V | HTTP1_TOKEN,
    ['$' ... '\''] = ALL, ['(' ... ')'] = VTH, ['*' ... '+'] = ALL,
    [','] = VTH, ['-' ... '.'] = ALL, ['/'] = VT, ['0' ... '9'] = ALL | HTTP1_HEX | HTTP1_DIGIT,
    [':' ... ';'] = VTH, ['<'] = VT, ['='] = VTH, ['>' ... '@'] = VT,
    ['A' ... 'F'] = ALL | HTTP1_HEX, ['G' ... 'Z'] = ALL,
    ['['] = VTH, ['\\'] = VT, [']'] = VTH, ['^'] = VTN, ['_'] = ALL, ['`'] = VTN,
    ['a' ... 'f'] = ALL | HTTP1_HEX, ['g' ... 'z'] = ALL,
    ['{'] = VT, ['|'] = VTN, ['}'] = VT, ['~'] = ALL,
    [0x80 ... 0xff] = VT,
};
/* clang-format on */

bool http1_same(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp(a.ptr, b.ptr, a.len) == 0);
}

bool http1_is_word(struct span s, const char *word)
{
    return http1_same(s, span_of(word));
}

struct span http1_trim(struct span s)
{
    while (s.len && (*s.ptr == ' ' || *s.ptr == '\t'))
        s = span_make(s.ptr + 1, s.len - 1);
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}
