/*
 * Input: the text of a configuration file, then words, separated by 0xff. A word that begins with a
 * dash, or stands behind one that does, is a flag or its value; the others are variables. What is
 * refused is refused in one line; what is accepted keeps its promises, and prints as whole lines.
 */
#include "fuzz.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "ops/config_check.h"
#include "ops/config_load.h"
#include "proto/cidr.h"
#include "proto/json_path.h"
#include "proto/utf8.h"

enum { MAX_WORDS = 16, MAX_FIELD = 4096 };

struct words {
    char *list[MAX_WORDS + 1]; /* owned; ends with NULL */
    int count;
};

static void add_word(struct words *w, struct span word)
{
    /* The kernel gives no words with a NUL in them. */
    const char *end = word.len ? memchr(word.ptr, 0, word.len) : NULL;
    size_t len = end ? (size_t)(end - word.ptr) : word.len;
    w->list[w->count++] = mem_dup(len ? word.ptr : "", len);
}

static void free_words(struct words *w)
{
    for (int i = 0; i < w->count; i++)
        mem_free(w->list[i]);
}

static void split_words(struct span rest, struct words *flags, struct words *env)
{
    bool value = false;
    for (int i = 0; i < MAX_WORDS && rest.len > 0; i++) {
        struct span word = fuzz_field(&rest, MAX_FIELD);
        bool flag = word.len > 0 && word.ptr[0] == '-';
        add_word(flag || value ? flags : env, word);
        value = flag && !memchr(word.ptr, '=', word.len);
    }
}

static void check_refusal(int err, struct buf *why)
{
    FUZZ_CHECK(err == ERR_INVALID || (err == ERR_NOT_FOUND && why->len == 0));
    FUZZ_CHECK(err == ERR_NOT_FOUND || why->len > 0);
    FUZZ_CHECK(why->len == 0 || !memchr(why->data, '\n', why->len));
    FUZZ_CHECK(utf8_valid(buf_view(why)));
}

static void check_namespaces(const struct config *c)
{
    FUZZ_CHECK(c->namespace_count > 0);
    bool rest = false;
    for (size_t i = 0; i < c->namespace_count; i++) {
        const struct config_namespace *ns = &c->namespaces[i];
        FUZZ_CHECK(ns->match[0] && ns->history_messages > 0 && ns->history_seconds > 0);
        rest = rest || strspn(ns->match, "*") == strlen(ns->match);
    }
    FUZZ_CHECK(rest);
}

static void check_edge(const struct config *c)
{
    struct cidr network;
    struct span address;
    char why[CIDR_WHY_BYTES];
    FUZZ_CHECK((c->tls.cert[0] == 0) == (c->tls.key[0] == 0));
    for (size_t i = 0; i < c->listen_count; i++)
        FUZZ_CHECK(config_listen_split(span_of(c->listen[i]), &address) != CONFIG_LISTEN_TLS ||
                   c->tls.cert[0]);
    for (size_t i = 0; i < c->trusted_proxy_count; i++)
        FUZZ_CHECK(cidr_parse(span_of(c->trusted_proxies[i]), &network, why) == 0);
    FUZZ_CHECK(!c->proxy_protocol || c->trusted_proxy_count > 0);
}

static void check_bus(const struct config *c)
{
    FUZZ_CHECK(c->invalidation.tag_prefix[0]);
    for (size_t i = 0; i < c->invalidation.webhook_count; i++) {
        const struct config_webhook *hook = &c->invalidation.webhooks[i];
        FUZZ_CHECK(hook->name[0] && hook->has_signature && hook->rule_count > 0);
        FUZZ_CHECK(hook->signature.header[0] && hook->signature.secret[0]);
        for (size_t r = 0; r < hook->rule_count; r++)
            for (size_t w = 0; w < hook->rules[r].when_count; w++)
                FUZZ_CHECK(!json_path_error(span_of(hook->rules[r].when[w].field)));
    }
}

static void check_config(const struct config *c)
{
    FUZZ_CHECK(c->listen_count > 0 && c->workers >= 1 && c->workers <= 256 && c->redis[0]);
    for (size_t i = 0; i < c->listen_count; i++)
        FUZZ_CHECK(!c->open || listen_is_private(span_of(c->listen[i])));
    for (size_t i = 0; i < c->key_count; i++)
        FUZZ_CHECK(c->keys[i].name[0] && c->keys[i].scope_count > 0);
    check_namespaces(c);
    check_edge(c);
    check_bus(c);
    struct buf page = {0};
    config_print(c, &page);
    FUZZ_CHECK(page.len > 0 && page.data[page.len - 1] == '\n' && utf8_valid(buf_view(&page)));
    buf_free(&page);
}

static void check_help(void)
{
    struct buf help = {0};
    config_help(&help);
    config_reference(&help);
    FUZZ_CHECK(utf8_valid(buf_view(&help)));
    buf_free(&help);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = span_make((const char *)data, size);
    struct words flags = {0}, env = {0};
    struct config *config = NULL;
    struct buf why = {0};
    struct span text = fuzz_field(&rest, 1 << 20);
    split_words(rest, &flags, &env);
    int err = config_load_text(text.len > 0 ? "c.json" : NULL, text, flags.count, flags.list,
                               env.list, &config, &why);
    if (err == 0)
        check_config(config);
    else
        check_refusal(err, &why);
    if (err == ERR_NOT_FOUND)
        check_help();
    FUZZ_CHECK((err == 0) == (config != NULL));
    config_destroy(&config);
    buf_free(&why);
    free_words(&flags);
    free_words(&env);
    return 0;
}
