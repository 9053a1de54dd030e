#include "proto/channel.h"

#include "base/mem.h"
#include "proto/glob.h"
#include "proto/utf8.h"

#include <stdint.h>

enum { MAX_WORD = 32 };

static bool has_any(struct span s, const char *set)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] && strchr(set, s.ptr[i]))
            return true;
    return false;
}

/* s is valid UTF-8, in which U+0080..U+009F are C2 80..C2 9F and C2 is nothing but a lead byte. */
static bool has_control(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = (uint8_t)s.ptr[i];
        if (c < 0x20 || c == 0x7f)
            return true;
        if (c == 0xc2 && (uint8_t)s.ptr[i + 1] <= 0x9f)
            return true;
    }
    return false;
}

bool channel_reserved(struct span name)
{
#ifdef SLUICE_MUTANT_no_name_check
    return false;
#endif
    return span_starts(name, "sluice:") || span_starts(name, "sluice.") || span_starts(name, "__");
}

static const char *text_error(struct span s)
{
#ifdef SLUICE_MUTANT_no_name_check
    return NULL;
#endif
    if (s.len == 0)
        return "is empty";
    if (!utf8_valid(s))
        return "is not valid UTF-8";
    if (has_control(s))
        return "has a control character";
    return NULL;
}

static const char *name_error(struct span name, size_t max_bytes, const char *refused,
                              const char *refusal)
{
    if (name.len > max_bytes)
        return "is longer than the limit of name_bytes";
    const char *error = text_error(name);
    if (error)
        return error;
    if (has_any(name, refused))
        return refusal;
    if (channel_reserved(name))
        return "begins with a reserved prefix (sluice: sluice. __)";
    return NULL;
}

const char *channel_name_error(struct span name, size_t max_bytes)
{
    return name_error(name, max_bytes, "*?[]{}\\", "has one of * ? [ ] { } \\");
}

const char *channel_pattern_error(struct span pattern, size_t max_bytes)
{
    return name_error(pattern, max_bytes, "{}", "has one of { }");
}

static bool is_word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* The length of the {word} at `at`, braces included; 0: none stands there. */
static size_t segment_at(struct span match, size_t at)
{
    if (match.ptr[at] != '{')
        return 0;
    size_t end = at + 1;
    while (end < match.len && end - at <= MAX_WORD && is_word_byte(match.ptr[end]))
        end++;
    if (end == at + 1 || end == match.len || match.ptr[end] != '}')
        return 0;
    return end + 1 - at;
}

const char *namespace_match_error(struct span match)
{
    const char *error = text_error(match);
    for (size_t at = 0; !error && at < match.len;) {
        size_t segment = segment_at(match, at);
        if (segment)
            at += segment;
        else if (match.ptr[at] == '{')
            error = "has a { that does not begin {word} (1 to 32 of a-z A-Z 0-9 _)";
        else if (match.ptr[at] == '}')
            error = "has a } that does not end {word}";
        else
            glob_element(match, &at, 'x'); /* for where it ends: a class may hold braces */
    }
    return error;
}

/*
 * reach[n]: the elements so far match the first n bytes of the name. A step turns that into the
 * same with one element more. Unlike in a plain glob, a retry of the last '*' alone would miss
 * matches, since a segment takes a varying number of bytes too.
 */
static void step_star(bool *reach, struct span name)
{
    for (size_t n = 1; n <= name.len; n++)
        reach[n] |= reach[n - 1];
}

static void step_segment(bool *reach, struct span name)
{
    bool begun = false; /* what reach[n] is to become */
    for (size_t n = 0; n < name.len; n++) {
        bool before = reach[n];
        reach[n] = begun;
        begun = (begun || before) && name.ptr[n] != '.';
    }
    reach[name.len] = begun;
}

static size_t step_element(bool *reach, struct span name, struct span match, size_t at)
{
    size_t end = at;
    for (size_t n = name.len; n > 0; n--) {
        end = at;
        reach[n] = glob_element(match, &end, name.ptr[n - 1]) && reach[n - 1];
    }
    reach[0] = false;
    return end;
}

static bool match_segments(struct span match, struct span name)
{
    bool *reach = mem_zalloc(name.len + 1);
    reach[0] = true;
    for (size_t at = 0; at < match.len;) {
        size_t segment = segment_at(match, at);
        if (segment) {
            step_segment(reach, name);
            at += segment;
        } else if (match.ptr[at] == '*') {
            step_star(reach, name);
            at++;
        } else {
            at = step_element(reach, name, match, at);
        }
    }
    bool matches = reach[name.len];
    mem_free(reach);
    return matches;
}

bool namespace_match(struct span match, struct span name)
{
    if (name.len == 0 || !has_any(match, "{"))
        return glob_match(match, name);
    return match_segments(match, name);
}
