/*
 * What text is in HTTP/1.1: which bytes may stand where (RFC 9110 5.5 and 5.6.2, RFC 3986 3.2.2),
 * names without case, optional white space.
 */
#ifndef PROTO_HTTP1_TEXT_H
#define PROTO_HTTP1_TEXT_H

#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum http1_class {
    HTTP1_TOKEN = 1,  /* methods and header names */
    HTTP1_VALUE = 2,  /* header values: anything but control characters; the tab is allowed */
    HTTP1_TARGET = 4, /* the target: 0x21 and above, without '#' and 0x7f */
    HTTP1_HOST = 8,   /* host and port */
    HTTP1_HEX = 16,
    HTTP1_DIGIT = 32,
};

extern const uint8_t http1_classes[256];

static inline bool http1_is(char c, enum http1_class class)
{
    return http1_classes[(unsigned char)c] & class;
}

/* http1_same, http1_is_word: equal but for the case of ASCII letters. */
bool http1_same(struct span a, struct span b);
bool http1_is_word(struct span s, const char *word);

/* http1_trim: without the spaces and tabs at both ends. */
struct span http1_trim(struct span s);

#endif
