/*
 * Sources: GitHub, "Validating webhook deliveries"; Stripe, "Resolve webhook signature verification
 * errors", on verifying by hand; Shopify, "Verify webhook deliveries"; Contentful, "Request
 * verification", and its node-apps-toolkit for the canonical form of a request.
 */
#include "bus/signature.h"

#include "base/buf.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>

enum { MAC_BYTES = 32, HEADER_NAME_BYTES = 128 };

static const char missing[] = "the signature is missing";
static const char unreadable[] = "the signature cannot be read";
static const char mismatch[] = "the signature does not match";
static const char stale[] = "the signature's time is too far from ours";

/* HMAC-SHA256 over the parts, one behind the other. False when the library failed. */
static bool compute_mac(const char *secret, const struct span *parts, size_t count,
                        uint8_t out[MAC_BYTES])
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                           OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
    size_t len = 0;
    bool good = ctx && EVP_MAC_init(ctx, (const uint8_t *)secret, strlen(secret), params);
    for (size_t i = 0; good && i < count; i++)
        good = parts[i].len == 0 ||
               EVP_MAC_update(ctx, (const uint8_t *)parts[i].ptr, parts[i].len) == 1;
    good = good && EVP_MAC_final(ctx, out, &len, MAC_BYTES) == 1 && len == MAC_BYTES;
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
    return good;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool decode_hex(struct span text, uint8_t out[MAC_BYTES])
{
    if (text.len != 2 * (size_t)MAC_BYTES)
        return false;
    for (size_t i = 0; i < MAC_BYTES; i++) {
        int high = hex_digit(text.ptr[2 * i]), low = hex_digit(text.ptr[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* 32 bytes are 43 digits and one "=". */
static bool decode_base64(struct span text, uint8_t out[MAC_BYTES])
{
    uint8_t bytes[MAC_BYTES + 1];
    if (text.len != 44 || text.ptr[43] != '=' || memchr(text.ptr, '=', 43))
        return false;
    if (EVP_DecodeBlock(bytes, (const uint8_t *)text.ptr, 44) != MAC_BYTES + 1)
        return false;
    memcpy(out, bytes, MAC_BYTES);
    return true;
}

static const char *compare(const char *secret, const struct span *parts, size_t count,
                           const uint8_t given[MAC_BYTES])
{
    uint8_t right[MAC_BYTES];
    if (!compute_mac(secret, parts, count, right))
        return mismatch;
    return CRYPTO_memcmp(given, right, MAC_BYTES) == 0 ? NULL : mismatch;
}

/* Only digits; false beyond 18 of them. */
static bool parse_number(struct span s, uint64_t *out)
{
    uint64_t n = 0;
    if (s.len == 0 || s.len > 18)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(s.ptr[i] - '0');
    }
    *out = n;
    return true;
}

static const char *time_error(const struct webhook_signature *how, uint64_t now, uint64_t signed_at)
{
    uint64_t apart = now > signed_at ? now - signed_at : signed_at - now;
    return apart > how->tolerance_seconds ? stale : NULL;
}

static const char *check_body(const struct webhook_signature *how,
                              const struct signature_request *q, struct span given)
{
    uint8_t mac[MAC_BYTES];
    size_t skip = strlen(how->prefix);
    if (!span_starts(given, how->prefix))
        return unreadable;
    given = span_make(given.ptr + skip, given.len - skip);
    bool good = how->encoding == SIGNATURE_HEX ? decode_hex(given, mac) : decode_base64(given, mac);
    return good ? compare(how->secret, &q->body, 1, mac) : unreadable;
}

/* Takes the next item off a list, up to the comma, without the blanks around it. */
static bool next_item(struct span *rest, struct span *item)
{
    if (!rest->ptr)
        return false;
    const char *comma = rest->len ? memchr(rest->ptr, ',', rest->len) : NULL;
    *item = span_make(rest->ptr, comma ? (size_t)(comma - rest->ptr) : rest->len);
    *rest = comma ? span_make(comma + 1, rest->len - item->len - 1) : span_make(NULL, 0);
    for (; item->len && item->ptr[0] == ' '; item->len--)
        item->ptr++;
    while (item->len && item->ptr[item->len - 1] == ' ')
        item->len--;
    return true;
}

static struct span behind(struct span s, size_t skip)
{
    return span_make(s.ptr + skip, s.len - skip);
}

/* While a secret is being replaced there are several v1; one that matches will do. */
static const char *check_stripe(const struct webhook_signature *how,
                                const struct signature_request *q, struct span given)
{
    struct span item, time = {0}, rest = given;
    uint64_t signed_at;
    uint8_t mac[MAC_BYTES];
    while (next_item(&rest, &item))
        if (span_starts(item, "t="))
            time = behind(item, 2);
    if (!parse_number(time, &signed_at))
        return unreadable;
    const struct span parts[] = {time, span_of("."), q->body};
    const char *wrong = unreadable;
    for (rest = given; wrong && next_item(&rest, &item);) {
        if (!span_starts(item, "v1=") || !decode_hex(behind(item, 3), mac))
            continue;
        wrong = compare(how->secret, parts, 3, mac);
    }
    return wrong ? wrong : time_error(how, q->now_seconds, signed_at);
}

/* The name in lower case as a C string; false when it is no name. */
static bool lower_name(struct span name, char out[HEADER_NAME_BYTES])
{
    if (name.len == 0 || name.len >= HEADER_NAME_BYTES || memchr(name.ptr, 0, name.len))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        out[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    out[name.len] = '\0';
    return true;
}

/* Appends "name:value;name:value" for the headers of the list. False: one is not there, or the time
 * or the list itself is not among them: then neither would be signed. */
static bool append_signed_headers(const struct signature_request *q, struct span list,
                                  struct buf *out)
{
    struct span item;
    char name[HEADER_NAME_BYTES];
    bool has_time = false, has_list = false;
    for (bool first = true; next_item(&list, &item); first = false) {
        if (!lower_name(item, name))
            return false;
        struct span value = q->header(q->ctx, name);
        if (!value.ptr)
            return false;
        buf_printf(out, "%s%s:", first ? "" : ";", name);
        buf_span(out, value);
        has_time = has_time || strcmp(name, "x-contentful-timestamp") == 0;
        has_list = has_list || strcmp(name, "x-contentful-signed-headers") == 0;
    }
    return has_time && has_list;
}

static const char *check_contentful(const struct webhook_signature *how,
                                    const struct signature_request *q, struct span given)
{
    struct span time = q->header(q->ctx, "x-contentful-timestamp"); /* milliseconds */
    struct span list = q->header(q->ctx, "x-contentful-signed-headers");
    struct buf headers = {0};
    uint64_t signed_at;
    uint8_t mac[MAC_BYTES];
    const char *wrong = unreadable;
    if (decode_hex(given, mac) && parse_number(time, &signed_at) &&
        append_signed_headers(q, list, &headers)) {
        const struct span line = span_of("\n");
        const struct span parts[] = {q->method,          line, q->path, line,
                                     buf_view(&headers), line, q->body};
        wrong = compare(how->secret, parts, sizeof(parts) / sizeof(parts[0]), mac);
        if (!wrong)
            wrong = time_error(how, q->now_seconds, signed_at / 1000);
    }
    buf_free(&headers);
    return wrong;
}

static const char *check_token(const struct webhook_signature *how,
                               const struct signature_request *q, struct span given)
{
    size_t skip = strlen(how->prefix);
    if (!span_starts(given, how->prefix))
        return unreadable;
    return secret_equal(behind(given, skip), how->secret) ? NULL : mismatch;
}

const char *signature_error(const struct webhook_signature *how,
                            const struct signature_request *request)
{
    static const char *(*const checks[])(const struct webhook_signature *how,
                                         const struct signature_request *q, struct span given) = {
        [SIGNATURE_BODY] = check_body,
        [SIGNATURE_STRIPE] = check_stripe,
        [SIGNATURE_CONTENTFUL] = check_contentful,
        [SIGNATURE_TOKEN] = check_token,
    };
    struct span given = request->header(request->ctx, how->header);
    if (!given.ptr || given.len == 0)
        return missing;
    return checks[how->form](how, request, given);
}

/* Digests are compared, which have one length whatever was given. */
bool secret_equal(struct span given, const char *secret)
{
    uint8_t a[MAC_BYTES], b[MAC_BYTES];
    struct span right = span_of(secret);
    if (right.len == 0 || !compute_mac(secret, &given, 1, a) || !compute_mac(secret, &right, 1, b))
        return false;
    return CRYPTO_memcmp(a, b, MAC_BYTES) == 0;
}
