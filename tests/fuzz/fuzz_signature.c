/*
 * Input: the signature's header, a list of headers, a time, another header, the prefix, and a body,
 * separated by 0xff. Whatever they are, no form takes them for genuine, since the secret is none
 * that the fuzzer has; but the token in clear, which it may find, is found by nothing else.
 */
#include "base/mem.h"
#include "bus/signature.h"
#include "fuzz.h"

#include <strings.h>

#define SECRET "\x01never to be guessed\x02"

struct sent {
    struct span signature, list, time, other;
};

static struct span find(const void *ctx, const char *name)
{
    const struct sent *s = ctx;
    FUZZ_CHECK(*name && strlen(name) < 128);
    if (strcasecmp(name, "x-sig") == 0)
        return s->signature;
    if (strcmp(name, "x-contentful-signed-headers") == 0)
        return s->list;
    if (strcmp(name, "x-contentful-timestamp") == 0)
        return s->time;
    return strcmp(name, "x-other") == 0 ? s->other : span_make(NULL, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = span_make((const char *)data, size);
    struct sent sent = {.signature = fuzz_field(&rest, 1000)};
    sent.list = fuzz_field(&rest, 1000);
    sent.time = fuzz_field(&rest, 100);
    sent.other = fuzz_field(&rest, 100);
    struct span prefix = fuzz_field(&rest, 20);
    char *prefix_text = mem_dup(prefix.len ? prefix.ptr : "", prefix.len);
    struct signature_request q = {.method = span_of("POST"),
                                  .path = span_of("/webhooks/w"),
                                  .body = rest,
                                  .header = find,
                                  .ctx = &sent,
                                  .now_seconds = 1760000000};
    for (int form = SIGNATURE_BODY; form <= SIGNATURE_TOKEN; form++) {
        for (int encoding = SIGNATURE_HEX; encoding <= SIGNATURE_BASE64; encoding++) {
            struct webhook_signature how = {.form = (enum signature_form)form,
                                            .encoding = (enum signature_encoding)encoding,
                                            .header = "X-Sig",
                                            .prefix = prefix_text,
                                            .secret = SECRET,
                                            .tolerance_seconds = 300};
            const char *wrong = signature_error(&how, &q);
            FUZZ_CHECK(wrong && *wrong && !strstr(wrong, "guessed"));
        }
    }
    FUZZ_CHECK(!secret_equal(sent.signature, SECRET));
    FUZZ_CHECK(secret_equal(span_of(prefix_text), prefix_text) == (*prefix_text != '\0'));
    mem_free(prefix_text);
    return 0;
}
