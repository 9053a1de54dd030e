/* The repaired text is valid, repairing it again changes nothing, and iconv agrees on validity. */
#include "fuzz.h"
#include "proto/utf8.h"

#include <iconv.h>

static bool iconv_accepts(struct span s)
{
    static iconv_t to_utf16;
    if (!to_utf16)
        to_utf16 = iconv_open("UTF-16LE", "UTF-8");
    char *in = (char *)s.ptr;
    char *room = malloc(s.len * 2 + 4), *out = room;
    size_t in_left = s.len, out_left = s.len * 2 + 4;
    iconv(to_utf16, NULL, NULL, NULL, NULL);
    bool accepted = iconv(to_utf16, &in, &in_left, &out, &out_left) == 0 && in_left == 0;
    free(room);
    return accepted;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_make((const char *)data, size);
    struct buf once = {0}, twice = {0};
    bool valid = utf8_valid(input);
    FUZZ_CHECK(valid == (size == 0 || iconv_accepts(input)));

    buf_str(&once, "before");
    size_t replaced = utf8_repair(&once, input);
    struct span added = span_make(once.data + 6, once.len - 6);
    FUZZ_CHECK(span_starts(buf_view(&once), "before"));
    FUZZ_CHECK(utf8_valid(added));
    FUZZ_CHECK((replaced == 0) == valid);
    FUZZ_CHECK(span_eq(added, input) == valid);
    FUZZ_CHECK(added.len <= 3 * size);

    FUZZ_CHECK(utf8_repair(&twice, added) == 0);
    FUZZ_CHECK(span_eq(buf_view(&twice), added));
    buf_free(&once);
    buf_free(&twice);
    return 0;
}
