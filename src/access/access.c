#include "access/access.h"

#include "access/foreign.h"
#include "base/err.h"
#include "base/mem.h"
#include "proto/glob.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

/* Longer ones are nobody's: it bounds what is hashed for a stranger. */
#define MOST_KEY_BYTES 512

struct scope {
    enum access_action action;
    char *glob; /* owned; of ACCESS_PUBLISH */
};

struct key {
    char *name; /* owned */
    uint8_t sha256[32];
    struct scope *scopes; /* owned */
    size_t scope_count;
};

struct access {
    bool open;
    EVP_MD *sha256;   /* owned; fetched once, since a fetch takes a lock */
    struct key *keys; /* owned */
    size_t key_count;
    char **cors_origins; /* owned */
    size_t cors_origin_count;
};

/* False for what this version does not know: such a scope allows nothing. */
static bool parse_scope(const char *text, struct scope *out)
{
    static const struct {
        const char *name;
        enum access_action action;
    } plain[] = {{"invalidate", ACCESS_INVALIDATE}, {"peer", ACCESS_PEER}, {"stats", ACCESS_STATS}};
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
        if (strcmp(text, plain[i].name) == 0) {
            *out = (struct scope){.action = plain[i].action};
            return true;
        }
    if (strncmp(text, "publish:", 8) != 0)
        return false;
    *out = (struct scope){.action = ACCESS_PUBLISH, .glob = mem_strdup(text + 8)};
    return true;
}

static void copy_key(struct key *to, const struct access_key *from)
{
    to->name = mem_strdup(from->name);
    memcpy(to->sha256, from->sha256, sizeof(to->sha256));
    to->scopes = mem_zalloc((from->scope_count + 1) * sizeof(*to->scopes));
    for (size_t i = 0; i < from->scope_count; i++)
        if (parse_scope(from->scopes[i], &to->scopes[to->scope_count]))
            to->scope_count++;
}

struct access *access_create(const struct access_options *options)
{
    struct access *a = mem_zalloc(sizeof(*a));
    a->open = options->open;
    a->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    a->key_count = options->key_count;
    a->keys = mem_zalloc((a->key_count + 1) * sizeof(*a->keys));
    for (size_t i = 0; i < a->key_count; i++)
        copy_key(&a->keys[i], &options->keys[i]);
    a->cors_origin_count = options->cors_origin_count;
    a->cors_origins = mem_zalloc((a->cors_origin_count + 1) * sizeof(*a->cors_origins));
    for (size_t i = 0; i < a->cors_origin_count; i++)
        a->cors_origins[i] = mem_strdup(options->cors_origins[i]);
    return a;
}

static void free_key(struct key *key)
{
    for (size_t i = 0; i < key->scope_count; i++)
        mem_free(key->scopes[i].glob);
    mem_free(key->scopes);
    mem_free(key->name);
}

void access_destroy(struct access **access)
{
    struct access *a = *access;
    *access = NULL;
    if (!a)
        return;
    for (size_t i = 0; i < a->key_count; i++)
        free_key(&a->keys[i]);
    for (size_t i = 0; i < a->cors_origin_count; i++)
        mem_free(a->cors_origins[i]);
    mem_free(a->keys);
    mem_free(a->cors_origins);
    EVP_MD_free(a->sha256);
    mem_free(a);
}

/*
 * The key behind "Bearer" (RFC 6750, 2.1; the scheme in any case, RFC 9110, 11.1). False when no
 * bearer is shown: none at all, or another scheme, which may be meant for a proxy on the way. A
 * bearer that is no key at all gives an empty span.
 */
static bool parse_bearer(struct span header, struct span *key)
{
    static const char scheme[] = "bearer";
    size_t at = sizeof(scheme) - 1;
    if (header.len < at || strncasecmp(header.ptr, scheme, at) != 0)
        return false;
    if (header.len > at && header.ptr[at] != ' ' && header.ptr[at] != '\t')
        return false;
    while (at < header.len && (header.ptr[at] == ' ' || header.ptr[at] == '\t'))
        at++;
    size_t end = header.len;
    while (end > at && (header.ptr[end - 1] == ' ' || header.ptr[end - 1] == '\t'))
        end--;
    *key = span_make(header.ptr + at, end - at);
    for (size_t i = 0; i < key->len; i++)
        if (key->ptr[i] <= ' ' || key->ptr[i] >= 0x7f)
            key->len = 0; /* one key, of visible characters */
    if (key->len > MOST_KEY_BYTES)
        key->len = 0;
    return true;
}

/*
 * Index + 1 of the key with that digest, 0 when there is none. Every key is compared, whole and
 * without a branch on the outcome, so that the time tells nothing about any of them.
 */
static uint32_t find_key(const struct access *a, const uint8_t digest[32])
{
    uint32_t found = 0;
    for (size_t i = 0; i < a->key_count; i++) {
        uint32_t differs = CRYPTO_memcmp(a->keys[i].sha256, digest, 32) != 0;
        uint32_t mask = differs - 1; /* all ones where they are equal */
        found = (found & ~mask) | ((uint32_t)(i + 1) & mask);
    }
    return found;
}

static uint32_t look_up(const struct access *a, struct span key)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (key.len == 0 || EVP_Digest(key.ptr, key.len, digest, &len, a->sha256, NULL) != 1 ||
        len != 32)
        return 0;
    uint32_t found = find_key(a, digest);
    OPENSSL_cleanse(digest, sizeof(digest));
    return found;
}

/* "*" is for reading pages; here only an origin that was named counts. */
static bool is_named_origin(const struct access *a, struct span origin)
{
    for (size_t i = 0; i < a->cors_origin_count; i++)
        if (strcmp(a->cors_origins[i], "*") != 0 && span_is(origin, a->cors_origins[i]))
            return true;
    return false;
}

static bool is_foreign(const struct access *a, const struct access_request *request)
{
    if (!request->unix_socket && !host_is_loopback(request->host))
        return true;
    return request->origin.ptr && !is_named_origin(a, request->origin) &&
           !origin_is_host(request->origin, request->host);
}

struct identity access_identify(const struct access *access, const struct access_request *request)
{
    struct identity who = {0};
    struct span key;
    bool asks_key = !access->open || access->key_count > 0;
    if (asks_key && parse_bearer(request->authorization, &key)) {
        who.key = look_up(access, key);
        who.bad_key = who.key == 0;
    }
    /* Who shows a key is no page that a browser was lured to: those know none. */
    who.foreign = access->open && who.key == 0 && is_foreign(access, request);
    who.open = access->open && who.key == 0 && !who.bad_key && !who.foreign;
    return who;
}

static bool has_scope(const struct key *key, enum access_action action, struct span channel)
{
    for (size_t i = 0; i < key->scope_count; i++) {
        const struct scope *s = &key->scopes[i];
        if (s->action == action && (!s->glob || glob_match(span_of(s->glob), channel)))
            return true;
    }
    return false;
}

static const char *missing_scope(enum access_action action)
{
    static const char *const sentences[] = {
        [ACCESS_READ] = "reading is not allowed",
        [ACCESS_PUBLISH] = "the key has no scope publish:<glob> that matches this channel",
        [ACCESS_INVALIDATE] = "the key has not the scope invalidate",
        [ACCESS_PEER] = "the key has not the scope peer",
        [ACCESS_STATS] = "the key has not the scope stats"};
    return sentences[action];
}

static int refuse(int err, const char *sentence, const char **why)
{
    *why = sentence;
    return err;
}

static int refuse_foreign(const char **why)
{
    return refuse(
        ERR_DENIED,
        "in open mode the Host must be loopback, and an Origin the same or in cors.origins", why);
}

int access_decide(const struct access *access, const struct identity *who,
                  enum access_action action, struct span channel, const char **why)
{
#ifdef SLUICE_MUTANT_no_key_check
    if (action == ACCESS_PUBLISH)
        return 0;
#endif
    if (action == ACCESS_READ)
        return who->foreign ? refuse_foreign(why) : 0;
    if (who->bad_key)
        return refuse(ERR_UNKNOWN_ID, "this gateway does not know the key", why);
    if (who->key > 0)
        return has_scope(&access->keys[who->key - 1], action, channel)
                   ? 0
                   : refuse(ERR_DENIED, missing_scope(action), why);
    if (who->foreign)
        return refuse_foreign(why);
    if (who->open)
        return 0;
    return refuse(ERR_UNKNOWN_ID, "a key is needed: Authorization: Bearer <key>", why);
}

const char *access_name(const struct access *access, const struct identity *who)
{
    if (who->key > 0)
        return access->keys[who->key - 1].name;
    return who->open ? "open" : "anonymous";
}
