#include "bus/signature.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <strings.h>

#include <cmocka.h>

enum { MOST_HEADERS = 4 };

/* The signatures here were made by Python's hmac and, in the first case, by GitHub's own example in
 * "Validating webhook deliveries". */
struct sent {
    const char *names[MOST_HEADERS], *values[MOST_HEADERS];
};

static struct span find(const void *ctx, const char *name)
{
    const struct sent *s = ctx;
    for (size_t i = 0; i < MOST_HEADERS && s->names[i]; i++)
        if (strcasecmp(s->names[i], name) == 0)
            return span_of(s->values[i]);
    return span_make(NULL, 0);
}

static const char *check(const struct webhook_signature *how, struct sent sent, const char *body,
                         uint64_t now)
{
    struct signature_request q = {.method = span_of("POST"),
                                  .path = span_of("/webhooks/cms"),
                                  .body = span_of(body),
                                  .header = find,
                                  .ctx = &sent,
                                  .now_seconds = now};
    return signature_error(how, &q);
}

#define SENT(name, value) ((struct sent){.names = {name}, .values = {value}})

static const char missing[] = "the signature is missing";
static const char unreadable[] = "the signature cannot be read";
static const char mismatch[] = "the signature does not match";
static const char stale[] = "the signature's time is too far from ours";

/* GitHub */

#define GITHUB_MAC "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

static struct webhook_signature github(void)
{
    return (struct webhook_signature){.header = "X-Hub-Signature-256",
                                      .prefix = "sha256=",
                                      .secret = "It's a Secret to Everybody"};
}

static const char *check_github(const char *value, const char *body)
{
    struct webhook_signature how = github();
    return check(&how, SENT("x-hub-signature-256", value), body, 0);
}

static void what_github_signed_is_genuine(void **state)
{
    assert_null(check_github("sha256=" GITHUB_MAC, "Hello, World!"));
    assert_null(
        check_github("sha256=757107EA0EB2509FC211221CCE984B8A37570B6D7586C22C46F4379C8B043E17",
                     "Hello, World!"));
}

static void another_body_or_secret_or_signature_does_not_match(void **state)
{
    struct webhook_signature how = github();
    how.secret = "It's a secret to Everybody";
    assert_string_equal(
        check(&how, SENT("X-Hub-Signature-256", "sha256=" GITHUB_MAC), "Hello, World!", 0),
        mismatch);
    assert_string_equal(check_github("sha256=" GITHUB_MAC, "Hello, World"), mismatch);
    assert_string_equal(check_github("sha256=" GITHUB_MAC, ""), mismatch);
    assert_string_equal(
        check_github("sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e18",
                     "Hello, World!"),
        mismatch);
}

static void a_signature_that_is_not_there_is_missing(void **state)
{
    struct webhook_signature how = github();
    assert_string_equal(check(&how, SENT(NULL, NULL), "Hello, World!", 0), missing);
    assert_string_equal(check(&how, SENT("X-Hub-Signature", "sha256=" GITHUB_MAC), "", 0), missing);
    assert_string_equal(check_github("", "Hello, World!"), missing);
}

static void a_signature_in_another_form_cannot_be_read(void **state)
{
    static const char *const values[] = {GITHUB_MAC,
                                         "sha1=" GITHUB_MAC,
                                         "sha256=",
                                         "sha256=" GITHUB_MAC "0",
                                         "sha256=757107ea",
                                         "sha256=g57107ea0eb2509fc211221cce984b8a37570b6d7586c22c46"
                                         "f4379c8b043e17",
                                         "sha256= 57107ea0eb2509fc211221cce984b8a37570b6d7586c22c46"
                                         "f4379c8b043e17",
                                         "s"};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        assert_string_equal(check_github(values[i], "Hello, World!"), unreadable);
}

/* Shopify */

#define SHOPIFY_MAC "VnKUjZsLuN5iZWjn5EntcBVCF9kMN43LglzCE1/GSeY="

static const char *check_shopify(const char *value)
{
    struct webhook_signature how = {.header = "X-Shopify-Hmac-Sha256",
                                    .encoding = SIGNATURE_BASE64,
                                    .prefix = "",
                                    .secret = "hush"};
    return check(&how, SENT("X-Shopify-Hmac-Sha256", value), "{\"id\":1}", 0);
}

static void what_shopify_signed_is_genuine(void **state)
{
    assert_null(check_shopify(SHOPIFY_MAC));
}

static void base64_of_another_length_or_alphabet_cannot_be_read(void **state)
{
    char value[45];
    assert_int_equal(strlen(SHOPIFY_MAC), 44);
    memcpy(value, SHOPIFY_MAC, 45);
    value[43] = '\0';
    assert_string_equal(check_shopify(value), unreadable);
    memcpy(value, SHOPIFY_MAC, 45);
    value[42] = '=';
    assert_string_equal(check_shopify(value), unreadable);
    value[42] = value[0];
    value[0] = '-';
    assert_string_equal(check_shopify(value), unreadable);
    assert_string_equal(check_shopify(GITHUB_MAC), unreadable);
    memcpy(value, SHOPIFY_MAC, 45);
    value[0] = value[0] == 'A' ? 'B' : 'A';
    assert_string_equal(check_shopify(value), mismatch);
}

/* Stripe */

#define STRIPE_MAC "66e880d7175fffb43ce10c4e14db1cfb230c8804b5aafb116affbc9a836c7690"
#define STRIPE_AT  1760000000

static const char *check_stripe(const char *value, uint64_t now)
{
    struct webhook_signature how = {.form = SIGNATURE_STRIPE,
                                    .header = "Stripe-Signature",
                                    .prefix = "",
                                    .secret = "whsec_test",
                                    .tolerance_seconds = 300};
    return check(&how, SENT("Stripe-Signature", value), "{\"id\":\"evt_1\"}", now);
}

static void what_stripe_signed_is_genuine_within_its_tolerance(void **state)
{
    static const char value[] = "t=1760000000,v1=" STRIPE_MAC ",v0=" GITHUB_MAC;
    assert_null(check_stripe(value, STRIPE_AT));
    assert_null(check_stripe(value, STRIPE_AT + 300));
    assert_null(check_stripe(value, STRIPE_AT - 300));
    assert_string_equal(check_stripe(value, STRIPE_AT + 301), stale);
    assert_string_equal(check_stripe(value, STRIPE_AT - 301), stale);
}

static void of_several_signatures_one_must_match(void **state)
{
    assert_null(check_stripe("t=1760000000,v1=" GITHUB_MAC ",v1=" STRIPE_MAC, STRIPE_AT));
    assert_null(check_stripe("v1=" STRIPE_MAC ", t=1760000000", STRIPE_AT));
    assert_string_equal(check_stripe("t=1760000000,v1=" GITHUB_MAC ",v1=" GITHUB_MAC, STRIPE_AT),
                        mismatch);
    assert_string_equal(check_stripe("t=1760000000,v0=" STRIPE_MAC, STRIPE_AT), unreadable);
}

static void a_time_that_was_not_signed_does_not_match(void **state)
{
    assert_string_equal(check_stripe("t=1760000001,v1=" STRIPE_MAC, STRIPE_AT), mismatch);
    assert_string_equal(check_stripe("t=1860000000,v1=" STRIPE_MAC, 1860000000), mismatch);
}

static void stripes_header_without_a_time_cannot_be_read(void **state)
{
    static const char *const values[] = {"v1=" STRIPE_MAC,       "t=,v1=" STRIPE_MAC,
                                         "t=-1,v1=" STRIPE_MAC,  "t=1e9,v1=" STRIPE_MAC,
                                         "t=1760000000",         ",,,",
                                         "t=9999999999999999999"};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        assert_string_equal(check_stripe(values[i], STRIPE_AT), unreadable);
}

/* Contentful */

#define CONTENTFUL_MAC  "565a98db07cc1e0b498ccce92de8f0326caa85124a79797cecdc7a4f3fc5d745"
#define CONTENTFUL_LIST "x-contentful-signed-headers,x-contentful-timestamp,x-contentful-topic"
#define CONTENTFUL_TIME "1760000000123"
#define TOPIC           "ContentManagement.Entry.publish"

static const struct webhook_signature contentful = {.form = SIGNATURE_CONTENTFUL,
                                                    .header = "X-Contentful-Signature",
                                                    .prefix = "",
                                                    .secret = "a-secret-of-contentful",
                                                    .tolerance_seconds = 30};

static struct sent sent_by_contentful(const char *mac, const char *list, const char *time,
                                      const char *topic)
{
    return (struct sent){.names = {"X-Contentful-Signature", "X-Contentful-Signed-Headers",
                                   "X-Contentful-Timestamp", "X-Contentful-Topic"},
                         .values = {mac, list, time, topic}};
}

static const char *check_contentful_as(const char *mac, const char *list, const char *time,
                                       const char *topic, uint64_t now)
{
    return check(&contentful, sent_by_contentful(mac, list, time, topic), "{\"sys\":{}}", now);
}

static void what_contentful_signed_is_genuine_within_its_tolerance(void **state)
{
    assert_null(
        check_contentful_as(CONTENTFUL_MAC, CONTENTFUL_LIST, CONTENTFUL_TIME, TOPIC, 1760000030));
    assert_string_equal(
        check_contentful_as(CONTENTFUL_MAC, CONTENTFUL_LIST, CONTENTFUL_TIME, TOPIC, 1760000031),
        stale);
}

static void a_header_that_was_changed_does_not_match(void **state)
{
    assert_string_equal(check_contentful_as(CONTENTFUL_MAC, CONTENTFUL_LIST, CONTENTFUL_TIME,
                                            "ContentManagement.Entry.delete", 1760000000),
                        mismatch);
    assert_string_equal(
        check_contentful_as(CONTENTFUL_MAC, CONTENTFUL_LIST, "1760000000124", TOPIC, 1760000000),
        mismatch);
}

static void a_list_that_leaves_the_time_or_itself_unsigned_cannot_be_read(void **state)
{
    assert_string_equal(
        check_contentful_as("c4d05b534a574091fa54a666c4eab2a4efee7ce300199b92acc8c678c3dcb8bc",
                            "x-contentful-signed-headers", CONTENTFUL_TIME, TOPIC, 1760000000),
        unreadable);
    assert_string_equal(
        check_contentful_as("096b6b5124c2f5ec82a724fc37df04cc36ce3aac3aef06523a5c443b61a23d32",
                            "x-contentful-timestamp", CONTENTFUL_TIME, TOPIC, 1760000000),
        unreadable);
    assert_string_equal(check_contentful_as(CONTENTFUL_MAC, CONTENTFUL_LIST ",x-gone",
                                            CONTENTFUL_TIME, TOPIC, 1760000000),
                        unreadable);
    assert_string_equal(check_contentful_as(CONTENTFUL_MAC, "", CONTENTFUL_TIME, TOPIC, 1760000000),
                        unreadable);
    assert_string_equal(
        check_contentful_as(CONTENTFUL_MAC, CONTENTFUL_LIST, "soon", TOPIC, 1760000000),
        unreadable);
}

static void the_path_is_part_of_what_contentful_signs(void **state)
{
    struct sent sent = sent_by_contentful(CONTENTFUL_MAC, CONTENTFUL_LIST, CONTENTFUL_TIME, TOPIC);
    struct signature_request q = {.method = span_of("POST"),
                                  .path = span_of("/webhooks/other"),
                                  .body = span_of("{\"sys\":{}}"),
                                  .header = find,
                                  .ctx = &sent,
                                  .now_seconds = 1760000000};
    assert_string_equal(signature_error(&contentful, &q), mismatch);
    q.path = span_of("/webhooks/cms");
    assert_null(signature_error(&contentful, &q));
    q.method = span_of("PUT");
    assert_string_equal(signature_error(&contentful, &q), mismatch);
}

/* Tokens */

static const char *check_token(const char *value)
{
    struct webhook_signature how = {.form = SIGNATURE_TOKEN,
                                    .header = "X-Gitlab-Token",
                                    .prefix = "Bearer ",
                                    .secret = "token"};
    return check(&how, SENT("X-Gitlab-Token", value), "{}", 0);
}

static void a_token_is_the_secret_itself_behind_the_prefix(void **state)
{
    assert_null(check_token("Bearer token"));
    assert_string_equal(check_token("Bearer tokens"), mismatch);
    assert_string_equal(check_token("Bearer toke"), mismatch);
    assert_string_equal(check_token("Bearer "), mismatch);
    assert_string_equal(check_token("token"), unreadable);
}

static void secrets_are_equal_when_all_their_bytes_are(void **state)
{
    assert_true(secret_equal(span_of("hush"), "hush"));
    assert_false(secret_equal(span_of("husH"), "hush"));
    assert_false(secret_equal(span_of("hush "), "hush"));
    assert_false(secret_equal(span_of(""), "hush"));
    assert_false(secret_equal(span_make(NULL, 0), "hush"));
    assert_false(secret_equal(span_of("hush"), ""));
    assert_false(secret_equal(span_of(""), ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_github_signed_is_genuine),
        cmocka_unit_test(another_body_or_secret_or_signature_does_not_match),
        cmocka_unit_test(a_signature_that_is_not_there_is_missing),
        cmocka_unit_test(a_signature_in_another_form_cannot_be_read),
        cmocka_unit_test(what_shopify_signed_is_genuine),
        cmocka_unit_test(base64_of_another_length_or_alphabet_cannot_be_read),
        cmocka_unit_test(what_stripe_signed_is_genuine_within_its_tolerance),
        cmocka_unit_test(of_several_signatures_one_must_match),
        cmocka_unit_test(a_time_that_was_not_signed_does_not_match),
        cmocka_unit_test(stripes_header_without_a_time_cannot_be_read),
        cmocka_unit_test(what_contentful_signed_is_genuine_within_its_tolerance),
        cmocka_unit_test(a_header_that_was_changed_does_not_match),
        cmocka_unit_test(a_list_that_leaves_the_time_or_itself_unsigned_cannot_be_read),
        cmocka_unit_test(the_path_is_part_of_what_contentful_signs),
        cmocka_unit_test(a_token_is_the_secret_itself_behind_the_prefix),
        cmocka_unit_test(secrets_are_equal_when_all_their_bytes_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
