/*
 * Input: a namespace's match, 0xff, a name. A good name keeps every rule of PROTOCOL and matches
 * itself; namespace_match agrees with a search that tries every split.
 */
#include "fuzz.h"
#include "proto/channel.h"
#include "proto/glob.h"
#include "proto/utf8.h"

enum { LIMIT = 200, MAX_FIELD = 96 };

struct search {
    struct span match, name;
    uint8_t known[MAX_FIELD + 1][MAX_FIELD + 1]; /* 0: not tried yet, 1: no, 2: yes */
};

static bool matches_from(struct search *s, size_t at, size_t n);

/* at and n lie where a segment has begun; `end` is behind its closing brace. */
static bool segment_from(struct search *s, size_t end, size_t n)
{
    while (n < s->name.len && s->name.ptr[n] != '.')
        if (matches_from(s, end, ++n))
            return true;
    return false;
}

static bool search_from(struct search *s, size_t at, size_t n)
{
    if (at == s->match.len)
        return n == s->name.len;
    if (s->match.ptr[at] == '*')
        return matches_from(s, at + 1, n) || (n < s->name.len && matches_from(s, at, n + 1));
    if (s->match.ptr[at] == '{') {
        const char *close = memchr(s->match.ptr + at, '}', s->match.len - at);
        return segment_from(s, (size_t)(close + 1 - s->match.ptr), n);
    }
    size_t end = at;
    return n < s->name.len && glob_element(s->match, &end, s->name.ptr[n]) &&
           matches_from(s, end, n + 1);
}

static bool matches_from(struct search *s, size_t at, size_t n)
{
    uint8_t *known = &s->known[at][n];
    if (!*known)
        *known = search_from(s, at, n) ? 2 : 1;
    return *known == 2;
}

static void check_name(struct span name)
{
    if (channel_name_error(name, LIMIT))
        return;
    FUZZ_CHECK(name.len >= 1 && name.len <= LIMIT && utf8_valid(name));
    FUZZ_CHECK(!channel_reserved(name));
    FUZZ_CHECK(!channel_pattern_error(name, LIMIT));
    FUZZ_CHECK(!channel_name_error(name, name.len) && channel_name_error(name, name.len - 1));
    FUZZ_CHECK(!namespace_match_error(name) && namespace_match(name, name));
    for (size_t i = 0; i < name.len; i++)
        FUZZ_CHECK((uint8_t)name.ptr[i] >= 0x20 && !strchr("*?[]{}\\\x7f", name.ptr[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = span_make((const char *)data, size);
    struct search s = {.match = fuzz_field(&rest, MAX_FIELD)};
    check_name(rest);
    s.name = span_make(rest.ptr, rest.len > MAX_FIELD ? MAX_FIELD : rest.len);
    if (!channel_pattern_error(s.match, LIMIT))
        FUZZ_CHECK(!namespace_match_error(s.match));
    bool matches = namespace_match(s.match, s.name);
    if (!namespace_match_error(s.match))
        FUZZ_CHECK(matches == (s.name.len > 0 && matches_from(&s, 0, 0)));
    return 0;
}
