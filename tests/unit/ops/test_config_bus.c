/* The settings of the invalidation bus. */
#include "config_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIGNATURE     "\"signature\":{\"header\":\"X-Sig\",\"secret\":\"s\"}"
#define RULES         "\"rules\":[{\"keys\":[\"k\"]}]"
#define HOOK(members) "{\"invalidation\":{\"webhooks\":{\"cms\":{" members "}}}}"
#define TEMPLATES_VALID                                                                            \
    "templates such as product:{data.id}: {field} is a string or a number of the body, by its "    \
    "path"

/* Writes a file that is gone again when the test program ends well. */
static void write_secret(char path[64], const char *text, size_t len)
{
    snprintf(path, 64, "/tmp/sluice-secret-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), len);
    close(fd);
}

static void nothing_is_given_by_default_but_the_prefix_of_tags(void **state)
{
    struct config *c = load(NULL, WORDS(NULL), WORDS(NULL));
    assert_string_equal(c->invalidation.secret.value, "");
    assert_string_equal(c->invalidation.tag_prefix, "tag:");
    assert_int_equal(c->invalidation.tracking_prefix_count, 0);
    assert_int_equal(c->invalidation.webhook_count, 0);
    config_destroy(&c);
}

static void every_setting_of_a_webhook_reaches_its_field(void **state)
{
    struct config *c = load(
        "{\"invalidation\":{\"secret\":\"top\",\"tag_prefix\":\"t:\",\"tracking\":{\"prefixes\":"
        "[\"product:\",\"user:\"]},\"webhooks\":{\"a\":{" SIGNATURE "," RULES "},"
        "\"shop-1\":{\"signature\":{\"form\":\"contentful\",\"header\":\"X-H\",\"prefix\":\"p=\","
        "\"encoding\":\"base64\",\"secret\":\"x y\",\"tolerance_seconds\":30},\"delivery\":{"
        "\"header\":\"X-Id\"},\"rules\":[{\"when\":{\"type\":\"up\",\"a.0.n\":1.50,\"ok\":true,"
        "\"gone\":null},\"keys\":[\"k:{id}\"],\"tags\":[\"t\"],\"paths\":[\"/p\"],\"patterns\":"
        "[\"x*\"]},{\"tags\":[\"u\"]}]}}}}",
        WORDS(NULL), WORDS(NULL));
    assert_string_equal(c->invalidation.secret.value, "top");
    assert_string_equal(c->invalidation.tag_prefix, "t:");
    assert_string_equal(c->invalidation.tracking_prefixes[1], "user:");
    assert_int_equal(c->invalidation.webhook_count, 2);
    assert_string_equal(c->invalidation.webhooks[0].name, "a");
    const struct config_webhook *hook = &c->invalidation.webhooks[1];
    assert_string_equal(hook->name, "shop-1");
    assert_int_equal(hook->signature.form, SIGNATURE_CONTENTFUL);
    assert_int_equal(hook->signature.encoding, SIGNATURE_BASE64);
    assert_string_equal(hook->signature.header, "X-H");
    assert_string_equal(hook->signature.prefix, "p=");
    assert_string_equal(hook->signature.secret, "x y");
    assert_int_equal(hook->signature.tolerance_seconds, 30);
    assert_string_equal(hook->delivery.header, "X-Id");
    assert_string_equal(hook->delivery.field, "");
    assert_int_equal(hook->rule_count, 2);
    const struct webhook_rule *rule = &hook->rules[0];
    static const enum json_kind kinds[] = {JSON_STRING, JSON_NUMBER, JSON_LITERAL, JSON_NULL};
    static const char *const values[] = {"up", "1.50", "true", "null"};
    assert_int_equal(rule->when_count, 4);
    assert_string_equal(rule->when[1].field, "a.0.n");
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(rule->when[i].kind, kinds[i]);
        assert_string_equal(rule->when[i].value, values[i]);
    }
    static const char *const templates[] = {"k:{id}", "t", "/p", "x*"};
    for (size_t list = 0; list < INVALIDATION_LISTS; list++) {
        assert_int_equal(rule->lists[list].count, 1);
        assert_string_equal(rule->lists[list].templates[0], templates[list]);
    }
    assert_int_equal(hook->rules[1].when_count, 0);
    config_destroy(&c);
}

static void a_webhooks_signature_is_of_the_body_in_hex_unless_it_says_otherwise(void **state)
{
    struct config *c = load(HOOK(SIGNATURE "," RULES), WORDS(NULL), WORDS(NULL));
    const struct webhook_signature *s = &c->invalidation.webhooks[0].signature;
    assert_int_equal(s->form, SIGNATURE_BODY);
    assert_int_equal(s->encoding, SIGNATURE_HEX);
    assert_string_equal(s->prefix, "");
    assert_int_equal(s->tolerance_seconds, 300);
    config_destroy(&c);
}

static void a_secret_may_lie_in_a_file_with_or_without_a_line_end(void **state)
{
    static const char *const texts[] = {"from a file", "from a file\n", "from a file\r\n"};
    for (size_t i = 0; i < 3; i++) {
        char path[64], text[200];
        write_secret(path, texts[i], strlen(texts[i]));
        snprintf(text, sizeof text, "{\"invalidation\":{\"secret_file\":\"%s\"}}", path);
        struct config *c = load(text, WORDS(NULL), WORDS(NULL));
        assert_string_equal(c->invalidation.secret.value, "from a file");
        config_destroy(&c);
        unlink(path);
    }
}

static void a_secret_may_lie_in_a_variable(void **state)
{
    struct config *c = load(
        HOOK("\"signature\":{\"header\":\"X\",\"secret_env\":\"CMS_SECRET\"}," RULES), WORDS(NULL),
        WORDS("CMS_SECRET=from a variable", "SLUICE_INVALIDATION_SECRET_ENV=OTHER", "OTHER=o",
              NULL));
    assert_string_equal(c->invalidation.webhooks[0].signature.secret, "from a variable");
    assert_string_equal(c->invalidation.secret.value, "o");
    config_destroy(&c);
}

static void a_secret_is_given_in_one_way_only(void **state)
{
    assert_refused(
        "{\"invalidation\":{\"secret\":\"hunter2\"}}", WORDS(NULL),
        WORDS("SLUICE_INVALIDATION_SECRET_FILE=/nowhere", NULL),
        "invalidation.secret_file: only one of secret, secret_file and secret_env may be "
        "given (env SLUICE_INVALIDATION_SECRET_FILE)");
    assert_file_refused(HOOK("\"signature\":{\"header\":\"X\",\"secret\":\"a\",\"secret_env\":"
                             "\"B\"}," RULES),
                        "invalidation.webhooks.cms.signature.secret_env: only one of secret, "
                        "secret_file and secret_env may be given (file t.json)");
    assert_file_refused(HOOK("\"signature\":{\"header\":\"X\"}," RULES),
                        "invalidation.webhooks.cms.signature: needs secret, secret_file or "
                        "secret_env (file t.json)");
}

static void a_secret_that_is_not_where_it_should_be_ends_the_start(void **state)
{
    assert_file_refused("{\"invalidation\":{\"secret_file\":\"/nowhere/s\"}}",
                        "invalidation.secret_file: \"/nowhere/s\": No such file or directory (file "
                        "t.json)");
    assert_file_refused("{\"invalidation\":{\"secret_file\":\"/dev/null\"}}",
                        "invalidation.secret_file: \"/dev/null\": is not a regular file (file "
                        "t.json)");
    assert_file_refused("{\"invalidation\":{\"secret_env\":\"GONE\"}}",
                        "invalidation.secret_env: \"GONE\" is not set (file t.json)");
    assert_refused("{\"invalidation\":{\"secret_env\":\"S\"}}", WORDS(NULL), WORDS("S=", NULL),
                   "invalidation.secret_env: \"S\" has an empty secret (file t.json)");
}

static void assert_secret_file(const char *secret, size_t len, const char *problem)
{
    char path[64], text[200], want[300];
    write_secret(path, secret, len);
    snprintf(text, sizeof text, "{\"invalidation\":{\"secret_file\":\"%s\"}}", path);
    snprintf(want, sizeof want, "invalidation.secret_file: \"%s\": %s (file t.json)", path,
             problem);
    assert_file_refused(text, want);
    unlink(path);
}

static void a_file_that_holds_no_secret_ends_the_start(void **state)
{
    char secret[1100];
    memset(secret, 'x', sizeof secret);
    assert_secret_file("", 0, "has an empty secret");
    assert_secret_file("\n", 1, "has an empty secret");
    assert_secret_file("a\nb\n", 4, "has a secret with a control character");
    assert_secret_file("a\0b", 3, "has a secret with a control character");
    assert_secret_file("\xff", 1, "has a secret that is not valid UTF-8");
    assert_secret_file(secret, 1025, "has a secret of more than 1024 bytes");
    assert_secret_file(secret, 1100, "has a secret of more than 1024 bytes");
}

static void a_secret_is_not_in_the_error_about_it(void **state)
{
    assert_file_refused("{\"invalidation\":{\"secret\":4711}}",
                        "invalidation.secret: expected a string, found a number; valid: 1 to 1024 "
                        "bytes without control characters (file t.json, line 1, column 18)");
    assert_file_refused("{\"invalidation\":{\"secret\":\"hunter\\n2\"}}",
                        "invalidation.secret: has a control character; valid: 1 to 1024 bytes "
                        "without control characters (file t.json, line 1, column 18)");
}

static void prefixes_that_overlap_are_named_both(void **state)
{
    assert_file_refused("{\"invalidation\":{\"tracking\":{\"prefixes\":[\"a:\",\"b:\",\"b:c\"]}}}",
                        "invalidation.tracking.prefixes: \"b:\" and \"b:c\" overlap: one of them "
                        "covers the other's keys (file t.json)");
    assert_flags_refused(WORDS("--invalidation-tracking-prefixes", "user:x,user", NULL),
                         "invalidation.tracking.prefixes: \"user:x\" and \"user\" overlap: one of "
                         "them covers the other's keys (flag --invalidation-tracking-prefixes)");
    assert_file_accepted("{\"invalidation\":{\"tracking\":{\"prefixes\":[\"ab\",\"ac\",\"b\"]}}}");
}

static void the_gateways_own_keys_can_be_neither_tracked_nor_tags(void **state)
{
    assert_file_refused("{\"invalidation\":{\"tracking\":{\"prefixes\":[\"slu\"]}}}",
                        "invalidation.tracking.prefixes: \"slu\" covers the gateways' own keys, "
                        "which begin with sluice: (file t.json)");
    assert_file_refused(
        "{\"invalidation\":{\"tag_prefix\":\"sluice:t:\"}}",
        "invalidation.tag_prefix: \"sluice:t:\" begins with sluice:, as the gateways' own keys do; "
        "valid: what a key may begin with: 1 to 200 bytes, no control characters, not sluice: "
        "(file t.json, line 1, column 18)");
}

static void a_webhook_needs_a_signature_and_rules(void **state)
{
    assert_file_refused(HOOK(RULES), "invalidation.webhooks.cms.signature: missing; valid: an "
                                     "object (file t.json, line 1, column 30)");
    assert_file_refused(HOOK(SIGNATURE), "invalidation.webhooks.cms.rules: missing; valid: an "
                                         "array of objects, in the file (file t.json, line 1, "
                                         "column 30)");
    assert_file_refused(HOOK("\"signature\":{\"secret\":\"s\"}," RULES),
                        "invalidation.webhooks.cms.signature.header: missing; valid: a header's "
                        "name such as X-Hub-Signature-256 (file t.json, line 1, column 37)");
    assert_file_refused(HOOK(SIGNATURE ",\"rules\":[]"),
                        "invalidation.webhooks.cms.rules: has 0 entries; valid: 1 to 100 (file "
                        "t.json, line 1, column 81)");
    assert_file_refused(HOOK(SIGNATURE ",\"rules\":[{\"when\":{\"a\":1}}]"),
                        "invalidation.webhooks.cms.rules[0]: makes nothing: it needs keys, tags, "
                        "paths or patterns (file t.json)");
}

static void an_error_in_a_webhook_has_its_whole_path(void **state)
{
    assert_file_refused(
        HOOK(SIGNATURE ",\"rules\":[{\"keys\":[\"a\",\"b{c\"]}]"),
        "invalidation.webhooks.cms.rules[0].keys[1]: \"b{c\" has a { that is not closed; {{ is the "
        "brace itself; valid: " TEMPLATES_VALID " (file t.json, line 1, column 91)");
    assert_file_refused(HOOK(SIGNATURE ",\"rules\":[{\"when\":{\"a..b\":1},\"keys\":[\"a\"]}]"),
                        "invalidation.webhooks.cms.rules[0].when: \"a..b\" has a dot with no name "
                        "beside it; valid: paths in the body such as type or data.items.0.sku "
                        "(file t.json, line 1, column 99)");
    assert_file_refused(HOOK(SIGNATURE ",\"rules\":[{\"when\":{\"a\":[1]},\"keys\":[\"a\"]}]"),
                        "invalidation.webhooks.cms.rules[0].when.a: expected a string, a number, "
                        "true, false or null, found an array (file t.json, line 1, column 99)");
    assert_file_refused(HOOK("\"sig\":1"),
                        "invalidation.webhooks.cms.sig: unknown setting; valid here: signature, "
                        "delivery, rules (file t.json, line 1, column 37)");
    assert_file_refused(HOOK("\"signature\":{\"form\":\"hmac\"}"),
                        "invalidation.webhooks.cms.signature.form: \"hmac\" is unknown; valid: "
                        "body, stripe, contentful, token (file t.json, line 1, column 50)");
    assert_file_refused(HOOK("\"signature\":{\"header\":\"X Sig\"}"),
                        "invalidation.webhooks.cms.signature.header: \"X Sig\" has a character "
                        "that no header's name has; valid: a header's name such as "
                        "X-Hub-Signature-256 (file t.json, line 1, column 50)");
}

static void the_id_of_a_delivery_stands_in_one_place(void **state)
{
    assert_file_refused(
        HOOK(SIGNATURE "," RULES ",\"delivery\":{\"header\":\"X-Id\",\"field\":\"id\"}"),
        "invalidation.webhooks.cms.delivery.field: stands beside delivery.header (file t.json)");
}

static void a_webhooks_name_is_part_of_a_path(void **state)
{
    assert_file_refused("{\"invalidation\":{\"webhooks\":{\"a/b\":{}}}}",
                        "invalidation.webhooks: \"a/b\" has a character that is not allowed in it; "
                        "valid: 1 to 64 of a-z A-Z 0-9 _ - . (file t.json, line 1, column 30)");
    assert_file_refused("{\"invalidation\":{\"webhooks\":{\"\":{}}}}",
                        "invalidation.webhooks: \"\" is empty; valid: 1 to 64 of a-z A-Z 0-9 _ - . "
                        "(file t.json, line 1, column 30)");
    assert_file_refused("{\"invalidation\":{\"webhooks\":{\"a.b\":7}}}",
                        "invalidation.webhooks.a.b: expected an object, found the number 7; valid: "
                        "an object, in the file; its members' names: 1 to 64 of a-z A-Z 0-9 _ - . "
                        "(file t.json, line 1, column 30)");
}

static void a_webhooks_name_has_at_most_64_bytes(void **state)
{
    char name[66], text[400], want[300];
    memset(name, 'n', 65);
    name[64] = name[65] = '\0';
    snprintf(text, sizeof text,
             "{\"invalidation\":{\"webhooks\":{\"%s\":{" SIGNATURE "," RULES "}}}}", name);
    assert_file_accepted(text);
    name[64] = 'n';
    snprintf(text, sizeof text, "{\"invalidation\":{\"webhooks\":{\"%s\":{}}}}", name);
    snprintf(want, sizeof want,
             "invalidation.webhooks: \"%s\" is longer than 64 bytes; valid: 1 to 64 of a-z A-Z 0-9 "
             "_ - . (file t.json, line 1, column 30)",
             name);
    assert_file_refused(text, want);
}

static void webhooks_are_in_the_file_only(void **state)
{
    assert_env_refused(WORDS("SLUICE_INVALIDATION_WEBHOOKS={}", NULL),
                       "invalidation.webhooks: can be set in the file only (env "
                       "SLUICE_INVALIDATION_WEBHOOKS)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_given_by_default_but_the_prefix_of_tags),
        cmocka_unit_test(every_setting_of_a_webhook_reaches_its_field),
        cmocka_unit_test(a_webhooks_signature_is_of_the_body_in_hex_unless_it_says_otherwise),
        cmocka_unit_test(a_secret_may_lie_in_a_file_with_or_without_a_line_end),
        cmocka_unit_test(a_secret_may_lie_in_a_variable),
        cmocka_unit_test(a_secret_is_given_in_one_way_only),
        cmocka_unit_test(a_secret_that_is_not_where_it_should_be_ends_the_start),
        cmocka_unit_test(a_file_that_holds_no_secret_ends_the_start),
        cmocka_unit_test(a_secret_is_not_in_the_error_about_it),
        cmocka_unit_test(prefixes_that_overlap_are_named_both),
        cmocka_unit_test(the_gateways_own_keys_can_be_neither_tracked_nor_tags),
        cmocka_unit_test(a_webhook_needs_a_signature_and_rules),
        cmocka_unit_test(an_error_in_a_webhook_has_its_whole_path),
        cmocka_unit_test(the_id_of_a_delivery_stands_in_one_place),
        cmocka_unit_test(a_webhooks_name_is_part_of_a_path),
        cmocka_unit_test(a_webhooks_name_has_at_most_64_bytes),
        cmocka_unit_test(webhooks_are_in_the_file_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
