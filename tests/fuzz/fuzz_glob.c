/*
 * Input: pattern, 0xff, name. The loop agrees with a table of all splits, an escaped name matches
 * just itself, and the literal prefix of a pattern begins every name it matches.
 */
#include "fuzz.h"
#include "proto/glob.h"

enum { MAX_FIELD = 300 };

/* reach[n]: the pattern so far matches the first n bytes of the name. */
static bool matches_by_table(struct span pattern, struct span name)
{
    bool reach[MAX_FIELD + 1] = {true};
    if (name.len == 0)
        return pattern.len == 0;
    for (size_t at = 0; at < pattern.len;) {
        size_t end = at + 1;
        if (pattern.ptr[at] == '*') {
            for (size_t n = 1; n <= name.len; n++)
                reach[n] |= reach[n - 1];
        } else {
            for (size_t n = name.len; n > 0; n--) {
                end = at;
                reach[n] = glob_element(pattern, &end, name.ptr[n - 1]) && reach[n - 1];
            }
            reach[0] = false;
        }
        at = end;
    }
    return reach[name.len];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = span_make((const char *)data, size);
    struct span pattern = fuzz_field(&rest, MAX_FIELD);
    struct span name = span_make(rest.ptr, rest.len > MAX_FIELD ? MAX_FIELD : rest.len);
    bool matches = glob_match(pattern, name);
    FUZZ_CHECK(matches == matches_by_table(pattern, name));

    struct buf escaped = {0};
    glob_escape(&escaped, name);
    FUZZ_CHECK(glob_match(buf_view(&escaped), name));
    FUZZ_CHECK(glob_match(buf_view(&escaped), pattern) == span_eq(pattern, name));
    buf_free(&escaped);

    size_t literal = glob_literal_prefix(pattern);
    FUZZ_CHECK(literal <= pattern.len);
    if (literal == pattern.len)
        FUZZ_CHECK(matches == span_eq(pattern, name));
    if (matches && literal)
        FUZZ_CHECK(name.len >= literal && memcmp(name.ptr, pattern.ptr, literal) == 0);
    return 0;
}
