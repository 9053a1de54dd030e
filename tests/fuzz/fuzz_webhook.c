/*
 * Input: a template for each of the four lists, the path and the value of a condition, and a body,
 * separated by 0xff. A template or path that has an error is left out, as the configuration would
 * have refused it. What is made are names that the library takes; what is refused says why.
 */
#include "base/err.h"
#include "base/mem.h"
#include "bus/webhook.h"
#include "fuzz.h"
#include "proto/json_path.h"
#include "proto/template.h"
#include "proto/utf8.h"

enum { MAX_FIELD = 2000 };

static char *take_string(struct span *rest)
{
    struct span field = fuzz_field(rest, MAX_FIELD);
    const char *end = field.len ? memchr(field.ptr, 0, field.len) : NULL;
    return mem_dup(field.len ? field.ptr : "", end ? (size_t)(end - field.ptr) : field.len);
}

/* Written by hand it is what a body of POST /invalidate says, so that it is read as one. */
static void check_made(struct invalidation *inv)
{
    struct buf text = {0};
    struct invalidation again;
    char why[200];
    invalidation_write(inv, "webhook", &text);
    FUZZ_CHECK(utf8_valid(buf_view(&text)));
    text.len -= strlen(",\"origin\":\"\",\"cause\":\"webhook\"}");
    buf_byte(&text, '}');
    if (inv->count) {
        FUZZ_CHECK(invalidation_parse(buf_view(&text), &again, why, sizeof why) == 0);
        FUZZ_CHECK(again.count == inv->count);
        invalidation_free(&again);
    }
    buf_free(&text);
}

static void check_key(char *field, struct span body)
{
    struct webhook_delivery by_field = {.header = "", .field = field};
    struct webhook_delivery by_header = {.header = "X-Id", .field = ""};
    struct buf key = {0};
    char why[300] = "";
    int err = webhook_delivery_key(&by_field, "w", body, body, &key, why, sizeof why);
    FUZZ_CHECK(err ? *why && !key.len : span_starts(buf_view(&key), *field ? "webhook:w:" : ""));
    buf_reset(&key);
    err = webhook_delivery_key(&by_header, "w", body, body, &key, why, sizeof why);
    FUZZ_CHECK(err ? *why && !key.len : key.len > strlen("webhook:w:"));
    buf_free(&key);
}

static void evaluate(const struct webhook_rule *rules, size_t count, struct span body)
{
    struct invalidation inv = {.count = 4711};
    char why[300] = "";
    int err = webhook_evaluate(rules, count, body, &inv, why, sizeof why);
    if (err) {
        FUZZ_CHECK(err == ERR_INVALID || err == ERR_NOT_FOUND);
        FUZZ_CHECK(*why && inv.count == 4711);
        return;
    }
    FUZZ_CHECK(!*why && inv.count <= 2 * (size_t)INVALIDATION_LISTS);
    check_made(&inv);
    invalidation_free(&inv);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = span_make((const char *)data, size);
    char *templates[INVALIDATION_LISTS];
    struct webhook_rule rules[2] = {0};
    for (size_t i = 0; i < INVALIDATION_LISTS; i++) {
        templates[i] = take_string(&rest);
        rules[0].lists[i] = (struct webhook_list){&templates[i], 1};
        if (template_error(span_of(templates[i])))
            rules[0].lists[i].count = 0;
        rules[1].lists[i] = rules[0].lists[i];
    }
    char *field = take_string(&rest), *value = take_string(&rest);
    struct webhook_condition when = {field, JSON_STRING, value};
    bool good = json_path_error(span_of(field)) == NULL;
    rules[1].when = &when;
    rules[1].when_count = good;
    evaluate(&rules[1], 1, rest);
    evaluate(rules, 2, rest);
    if (good)
        check_key(field, rest);
    for (size_t i = 0; i < INVALIDATION_LISTS; i++)
        mem_free(templates[i]);
    mem_free(field);
    mem_free(value);
    return 0;
}
