/* Every id has one text, which is read back as it was; what is no id changes nothing. */
#include "base/err.h"
#include "fuzz.h"
#include "proto/event_id.h"

static void check_text(struct span text)
{
    uint64_t id = UINT64_MAX;
    char again[EVENT_ID_TEXT];
    if (event_id_parse(text, &id) != 0) {
        FUZZ_CHECK(id == UINT64_MAX);
        return;
    }
    FUZZ_CHECK(id <= EVENT_ID_MAX);
    FUZZ_CHECK(event_id_format(again, id) == text.len && span_is(text, again));
}

static void check_number(uint64_t id)
{
    char text[EVENT_ID_TEXT];
    uint64_t again;
    size_t len = event_id_format(text, id);
    FUZZ_CHECK(len == strlen(text) && len < EVENT_ID_TEXT);
    if (id <= EVENT_ID_MAX)
        FUZZ_CHECK(event_id_parse(span_of(text), &again) == 0 && again == id);
    else
        FUZZ_CHECK(event_id_parse(span_of(text), &again) == ERR_TOO_LARGE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t number = 0;
    check_text(span_make((const char *)data, size));
    memcpy(&number, data, size < sizeof(number) ? size : sizeof(number));
    check_number(number);
    return 0;
}
