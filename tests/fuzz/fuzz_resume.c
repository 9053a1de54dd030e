/* Whatever a client sends, there is one place to begin, and it is within the limits. */
#include "base/err.h"
#include "fuzz.h"
#include "proto/event_id.h"
#include "proto/resume.h"

static struct span take_line(struct span *text)
{
    const char *end = text->len ? memchr(text->ptr, '\n', text->len) : NULL;
    struct span line = span_make(text->ptr, end ? (size_t)(end - text->ptr) : text->len);
    size_t used = line.len + (end != NULL);
    *text = span_make(text->ptr + used, text->len - used);
    return line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_make((const char *)data, size);
    struct span id = take_line(&text), since = take_line(&text), last = take_line(&text);
    struct resume r = {.value = UINT64_MAX};
    char why[RESUME_WHY_BYTES] = "";
    if (resume_parse(id, since, last, &r, why) != 0) {
        FUZZ_CHECK(r.value == UINT64_MAX && why[0] != '\0');
        return 0;
    }
    FUZZ_CHECK(r.value <= EVENT_ID_MAX);
    FUZZ_CHECK(r.from != RESUME_LAST || (r.value >= 1 && r.value <= 1000));
    FUZZ_CHECK(r.from != RESUME_SINCE || r.value <= 31536000);
    FUZZ_CHECK(!id.len || r.from == RESUME_AFTER || r.from == RESUME_UNKNOWN);
    FUZZ_CHECK(id.len || since.len || last.len || r.from == RESUME_NOW);
    return 0;
}
