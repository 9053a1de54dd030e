#include "bus/webhook.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define LIST(...)                                                                                  \
    {                                                                                              \
        .templates = (char *[]){__VA_ARGS__},                                                      \
        .count = sizeof((char *[]){__VA_ARGS__}) / sizeof(char *)                                  \
    }

/* What the library would get. */
static void assert_made(const struct webhook_rule *rules, size_t count, const char *body,
                        const char *want)
{
    struct invalidation inv;
    struct buf text = {0};
    char why[300] = "";
    if (webhook_evaluate(rules, count, span_of(body), &inv, why, sizeof why))
        fail_msg("%s: %s", body, why);
    for (size_t list = 0; list < INVALIDATION_LISTS; list++) {
        buf_str(&text, list ? "|" : "");
        buf_span(&text, buf_view(&inv.lists[list]));
    }
    assert_string_equal(buf_cstr(&text), want);
    buf_free(&text);
    invalidation_free(&inv);
}

static void assert_refused(const struct webhook_rule *rules, size_t count, const char *body,
                           int err, const char *want)
{
    struct invalidation inv = {.count = 77};
    char why[300] = "";
    assert_int_equal(webhook_evaluate(rules, count, span_of(body), &inv, why, sizeof why), err);
    assert_string_equal(why, want);
    assert_int_equal(inv.count, 77);
}

static void templates_are_filled_from_the_body(void **state)
{
    struct webhook_rule rule = {
        .lists = {[INVALIDATION_KEYS] = LIST("product:{data.id}", "{data.id}:{data.slug}"),
                  [INVALIDATION_TAGS] = LIST("products"),
                  [INVALIDATION_PATHS] = LIST("/blog/{data.slug}", "/t/{tags.1}"),
                  [INVALIDATION_PATTERNS] = LIST("page:{data.slug}:*", "{{x}}*")}};
    assert_made(&rule, 1, "{\"data\":{\"id\":12,\"slug\":\"a-b\"},\"tags\":[\"x\",\"y\"]}",
                "\"product:12\",\"12:a-b\"|\"products\"|\"/blog/a-b\",\"/t/y\"|"
                "\"page:a-b:*\",\"{x}*\"");
}

static void a_number_goes_in_with_the_digits_it_was_written_with(void **state)
{
    struct webhook_rule rule = {.lists = {[INVALIDATION_KEYS] = LIST("p:{id}")}};
    assert_made(&rule, 1, "{\"id\":12345678901234567890}", "\"p:12345678901234567890\"|||");
    assert_made(&rule, 1, "{\"id\":\"007\"}", "\"p:007\"|||");
}

static void a_rule_without_conditions_is_always_met(void **state)
{
    struct webhook_rule rule = {.lists = {[INVALIDATION_TAGS] = LIST("all")}};
    assert_made(&rule, 1, "{}", "|\"all\"||");
    assert_made(&rule, 1, " [1] ", "|\"all\"||");
}

static void a_rule_is_met_when_all_its_conditions_are(void **state)
{
    struct webhook_condition when[] = {{"type", JSON_STRING, "up"},
                                       {"data.0.n", JSON_NUMBER, "1.5"},
                                       {"live", JSON_LITERAL, "true"},
                                       {"gone", JSON_NULL, "null"}};
    struct webhook_rule rule = {
        .when = when, .when_count = 4, .lists = {[INVALIDATION_TAGS] = LIST("t")}};
    assert_made(&rule, 1,
                "{\"type\":\"up\",\"data\":[{\"n\":1.5}],\"live\":true,\"gone\":null,\"x\":1}",
                "|\"t\"||");
    static const char *const others[] = {
        "{\"type\":\"UP\",\"data\":[{\"n\":1.5}],\"live\":true,\"gone\":null}",
        "{\"type\":\"up\",\"data\":[{\"n\":\"1.5\"}],\"live\":true,\"gone\":null}",
        "{\"type\":\"up\",\"data\":[{\"n\":1.5}],\"live\":\"true\",\"gone\":null}",
        "{\"type\":\"up\",\"data\":[{\"n\":1.5}],\"live\":false,\"gone\":null}",
        "{\"type\":\"up\",\"data\":[{\"n\":1.5}],\"live\":true}",
        "{\"type\":\"up\",\"data\":{\"n\":1.5},\"live\":true,\"gone\":null}",
        "{}",
        "7"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_made(&rule, 1, others[i], "|||");
}

static void the_names_of_all_rules_that_are_met_unite(void **state)
{
    struct webhook_condition never = {"type", JSON_STRING, "other"};
    struct webhook_rule rules[] = {
        {.lists = {[INVALIDATION_KEYS] = LIST("a", "p:{id}"), [INVALIDATION_TAGS] = LIST("a")}},
        {.when = &never, .when_count = 1, .lists = {[INVALIDATION_KEYS] = LIST("{no.such}")}},
        {.lists = {[INVALIDATION_KEYS] = LIST("p:1", "b", "a")}}};
    assert_made(rules, 3, "{\"id\":1}", "\"a\",\"p:1\",\"b\"|\"a\"||");
}

static void what_a_field_puts_into_a_pattern_stands_for_itself(void **state)
{
    struct webhook_rule rule = {
        .lists = {
            [INVALIDATION_KEYS] = LIST("k:{slug}"), [INVALIDATION_PATTERNS] = LIST("p:{slug}:*")}};
    assert_made(&rule, 1, "{\"slug\":\"*a?[b]\\\\\"}",
                "\"k:*a?[b]\\\\\"|||\"p:\\\\*a\\\\?\\\\[b\\\\]\\\\\\\\:*\"");
}

static void a_field_that_cannot_be_filled_in_is_named(void **state)
{
    struct webhook_rule rules[] = {
        {.lists = {[INVALIDATION_TAGS] = LIST("t")}},
        {.lists = {[INVALIDATION_PATHS] = LIST("/a", "/blog/{data.slug}")}}};
    static const struct {
        const char *body, *what;
    } cases[] = {{"{}", "missing"},
                 {"{\"data\":{\"slugs\":\"x\"}}", "missing"},
                 {"{\"data\":{\"slug\":\"\"}}", "is empty"},
                 {"{\"data\":{\"slug\":null}}", "is null, not a string or a number"},
                 {"{\"data\":{\"slug\":{}}}", "is an object, not a string or a number"},
                 {"{\"data\":{\"slug\":[1]}}", "is an array, not a string or a number"},
                 {"{\"data\":{\"slug\":true}}", "is no string and no number"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char want[200];
        snprintf(want, sizeof want, "rules[1].paths[1]: data.slug: %s", cases[i].what);
        assert_refused(rules, 2, cases[i].body, ERR_NOT_FOUND, want);
    }
}

static void a_name_that_is_none_is_refused(void **state)
{
    struct webhook_rule rule = {.lists = {[INVALIDATION_KEYS] = LIST("{a}{b}")}};
    assert_refused(&rule, 1, "{\"a\":\"x\\n\",\"b\":1}", ERR_NOT_FOUND,
                   "rules[0].keys[0]: the name that it makes has a control character");
    assert_refused(&rule, 1, "{\"a\":\"x\\u0000\",\"b\":1}", ERR_NOT_FOUND,
                   "rules[0].keys[0]: the name that it makes has a control character");
    assert_refused(&rule, 1, "{\"a\":\"slui\",\"b\":\"ce:clock\"}", ERR_NOT_FOUND,
                   "rules[0].keys[0]: the name that it makes begins with sluice:, as the gateways' "
                   "own keys do");
}

static void a_body_that_is_no_json_is_told_with_the_place(void **state)
{
    struct webhook_rule rule = {.lists = {[INVALIDATION_TAGS] = LIST("t")}};
    assert_refused(&rule, 1, "", ERR_INVALID, "body is not JSON: unexpected end at byte 0");
    assert_refused(&rule, 1, "{\"a\":1} x", ERR_INVALID,
                   "body is not JSON: unexpected character at byte 8");
    assert_refused(&rule, 0, "payload=%7B%7D", ERR_INVALID,
                   "body is not JSON: unexpected character at byte 0");
}

static void ten_thousand_names_are_the_most(void **state)
{
    enum { RULES = 101, EACH = 100 };
    static char names[RULES * EACH][8];
    static char *templates[RULES * EACH];
    struct webhook_rule rules[RULES] = {0};
    for (size_t i = 0; i < (size_t)RULES * EACH; i++) {
        snprintf(names[i], sizeof names[i], "k%zu", i);
        templates[i] = names[i];
    }
    for (size_t i = 0; i < RULES; i++)
        rules[i].lists[INVALIDATION_KEYS] = (struct webhook_list){&templates[i * EACH], EACH};
    struct invalidation inv;
    char why[300];
    assert_int_equal(webhook_evaluate(rules, RULES - 1, span_of("{}"), &inv, why, sizeof why), 0);
    assert_int_equal(inv.count, 10000);
    invalidation_free(&inv);
    assert_refused(rules, RULES, "{}", ERR_TOO_LARGE, "the rules make more than 10000 names");
}

static void assert_key(struct webhook_delivery delivery, const char *header, const char *body,
                       const char *want)
{
    struct buf key = {0};
    char why[300] = "";
    int err = webhook_delivery_key(&delivery, "cms", span_of(header), span_of(body), &key, why,
                                   sizeof why);
    assert_string_equal(err ? why : buf_cstr(&key), want);
    assert_int_equal(err, *why ? ERR_NOT_FOUND : 0);
    buf_free(&key);
}

static void a_deliverys_key_is_made_of_its_id_and_the_webhooks_name(void **state)
{
    struct webhook_delivery header = {.header = "X-GitHub-Delivery", .field = ""},
                            field = {.header = "", .field = "event.id"},
                            none = {.header = "", .field = ""};
    assert_key(header, "72d3162e", "{}", "webhook:cms:72d3162e");
    assert_key(field, NULL, "{\"event\":{\"id\":\"evt_1\"}}", "webhook:cms:evt_1");
    assert_key(field, NULL, "{\"event\":{\"id\":17}}", "webhook:cms:17");
    assert_key(none, "72d3162e", "{}", "");
}

static void a_delivery_without_the_id_that_it_should_have_is_refused(void **state)
{
    struct webhook_delivery header = {.header = "X-GitHub-Delivery", .field = ""},
                            field = {.header = "", .field = "id"};
    char long_id[202];
    memset(long_id, 'x', 201);
    long_id[201] = '\0';
    assert_key(header, NULL, "{}", "delivery: X-GitHub-Delivery: missing");
    assert_key(header, "", "{}", "delivery: X-GitHub-Delivery: is empty");
    assert_key(header, long_id, "{}", "delivery: X-GitHub-Delivery: is longer than 200 bytes");
    assert_key(field, "x", "{}", "delivery: id: missing");
    assert_key(field, "x", "{\"id\":\"\"}", "delivery: id: is empty");
    assert_key(field, "x", "{\"id\":[]}", "delivery: id: is an array, not a string or a number");
    assert_key(field, "x", "{\"id\":\"a\\nb\"}", "delivery: id: has a control character");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(templates_are_filled_from_the_body),
        cmocka_unit_test(a_number_goes_in_with_the_digits_it_was_written_with),
        cmocka_unit_test(a_rule_without_conditions_is_always_met),
        cmocka_unit_test(a_rule_is_met_when_all_its_conditions_are),
        cmocka_unit_test(the_names_of_all_rules_that_are_met_unite),
        cmocka_unit_test(what_a_field_puts_into_a_pattern_stands_for_itself),
        cmocka_unit_test(a_field_that_cannot_be_filled_in_is_named),
        cmocka_unit_test(a_name_that_is_none_is_refused),
        cmocka_unit_test(a_body_that_is_no_json_is_told_with_the_place),
        cmocka_unit_test(ten_thousand_names_are_the_most),
        cmocka_unit_test(a_deliverys_key_is_made_of_its_id_and_the_webhooks_name),
        cmocka_unit_test(a_delivery_without_the_id_that_it_should_have_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
