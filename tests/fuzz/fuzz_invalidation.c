/*
 * A body that was read names something, within the limits, and what is written of it is read again
 * to the same, its cause aside; its origin is then found in it as in an event. A body that is
 * refused leaves the output alone and says why in one line. Whatever it is, reading it as an event
 * or a confirmation does no harm.
 */
#include "base/err.h"
#include "fuzz.h"
#include "proto/ack_body.h"
#include "proto/invalidation.h"

#define CAUSE ",\"cause\":\"api\"}"

/* What is written has a cause and maybe an empty origin, which strangers may not give. */
static void read_again(const struct invalidation *inv)
{
    struct buf text = {0}, again_text = {0};
    struct invalidation again;
    char why[200], origin[INVALIDATION_PEER_BYTES + 1];
    invalidation_write(inv, "api", &text);
    FUZZ_CHECK(invalidation_origin(buf_view(&text), origin) == (inv->origin[0] != '\0'));
    FUZZ_CHECK(strcmp(origin, inv->origin) == 0);
    size_t cut = text.len - strlen(CAUSE);
    FUZZ_CHECK(strcmp(buf_cstr(&text) + cut, CAUSE) == 0);
    struct buf body = {0};
    buf_span(&body, span_make(text.data, inv->origin[0] ? cut : cut - strlen("\"\"")));
    buf_str(&body, inv->origin[0] ? "}" : "null}");
    FUZZ_CHECK(invalidation_parse(buf_view(&body), &again, why, sizeof why) == 0);
    FUZZ_CHECK(again.count == inv->count);
    invalidation_write(&again, "api", &again_text);
    FUZZ_CHECK(span_eq(buf_view(&text), buf_view(&again_text)));
    invalidation_free(&again);
    buf_free(&body);
    buf_free(&text);
    buf_free(&again_text);
}

static void check_ack(struct span body)
{
    struct ack_body ack = {.id = 4711};
    char why[200] = "";
    if (ack_body_parse(body, &ack, why, sizeof why) != 0) {
        FUZZ_CHECK(*why && ack.id == 4711);
        return;
    }
    FUZZ_CHECK(!*why && !peer_name_error(span_of(ack.session)));
    FUZZ_CHECK(!ack.peer[0] || !peer_name_error(span_of(ack.peer)));
    FUZZ_CHECK(!ack.close || ack.peer[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span body = span_make((const char *)data, size);
    struct invalidation inv = {.count = 4711};
    char why[200] = "", origin[INVALIDATION_PEER_BYTES + 1];
    int err = invalidation_parse(body, &inv, why, sizeof why);
    check_ack(body);
    FUZZ_CHECK(!invalidation_origin(body, origin) || !peer_name_error(span_of(origin)));
    if (err) {
        FUZZ_CHECK(err == ERR_INVALID || err == ERR_TOO_LARGE);
        FUZZ_CHECK(*why && inv.count == 4711 && !inv.lists[0].data);
        return 0;
    }
    FUZZ_CHECK(!*why && inv.count >= 1 && inv.count <= INVALIDATION_NAMES);
    read_again(&inv);
    invalidation_free(&inv);
    return 0;
}
