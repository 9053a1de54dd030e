/*
 * Redis matches by recursion and gives up a '*' for good when a later one has run out of name.
 * Every element between two '*' takes just one byte, so only the last '*' passed is worth another
 * try: the loop here gives the same answers without the recursion.
 */
#include "proto/glob.h"

/* Redis refuses to nest deeper, one level for each run of '*' that is not the pattern's end. */
enum { MAX_STARS = 1000 };

/*
 * One member of a class at *at: `\x`, a range or a byte. Bytes are compared as `char`, signed or
 * not, since Redis does so. A range is read whatever stands at its end, be it ']'.
 */
static bool class_member(struct span pattern, size_t *at, char c)
{
    const char *p = pattern.ptr + *at;
    size_t left = pattern.len - *at;
    if (p[0] == '\\' && left >= 2) {
        *at += 2;
        return p[1] == c;
    }
    if (left >= 3 && p[1] == '-') {
        *at += 3;
        return p[0] <= p[2] ? c >= p[0] && c <= p[2] : c >= p[2] && c <= p[0];
    }
    *at += 1;
    return p[0] == c;
}

/* *at stands behind the '['. A class that is never closed ends with the pattern. */
static bool class_matches(struct span pattern, size_t *at, char c)
{
    bool negated = *at < pattern.len && pattern.ptr[*at] == '^';
    bool found = false;
    if (negated)
        ++*at;
    while (*at < pattern.len && pattern.ptr[*at] != ']')
        found |= class_member(pattern, at, c);
    if (*at < pattern.len)
        ++*at;
    return found != negated;
}

bool glob_element(struct span pattern, size_t *at, char c)
{
    char first = pattern.ptr[(*at)++];
    if (first == '?')
        return true;
    if (first == '[')
        return class_matches(pattern, at, c);
    if (first == '\\' && *at < pattern.len)
        return pattern.ptr[(*at)++] == c;
    return first == c;
}

static size_t skip_stars(struct span pattern, size_t at)
{
    while (at < pattern.len && pattern.ptr[at] == '*')
        at++;
    return at;
}

bool glob_match(struct span pattern, struct span name)
{
    if (name.len == 0)
        return pattern.len == 0; /* not even "*" matches nothing there */
    size_t p = 0, n = 0, stars = 0;
    size_t retry_p = 0, retry_n = 0; /* behind the last '*', and the name where it was last tried */
    while (n < name.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            p = skip_stars(pattern, p);
            if (p == pattern.len)
                return true;
            if (++stars > MAX_STARS)
                return false;
            retry_p = p;
            retry_n = n;
        } else if (p < pattern.len && glob_element(pattern, &p, name.ptr[n])) {
            n++;
        } else if (stars) {
            p = retry_p;
            n = ++retry_n;
        } else {
            return false;
        }
    }
    return skip_stars(pattern, p) == pattern.len;
}

static bool is_special(char c)
{
    return c == '*' || c == '?' || c == '[' || c == '\\';
}

void glob_escape(struct buf *out, struct span name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (is_special(name.ptr[i]))
            buf_byte(out, '\\');
        buf_byte(out, name.ptr[i]);
    }
}

size_t glob_literal_prefix(struct span pattern)
{
    size_t i = 0;
    while (i < pattern.len && !is_special(pattern.ptr[i]))
        i++;
    if (i + 1 == pattern.len && pattern.ptr[i] == '\\')
        i++; /* with nothing behind it to escape, it stands for itself */
    return i;
}
