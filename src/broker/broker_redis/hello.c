#include "broker/broker_redis/hello.h"

#include "broker/broker_redis/reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { WORDS = 3 };

/* A step that has nothing to say for this URL sends no words and awaits no answer. */
struct step {
    size_t (*words)(const struct redis_url *url, struct span words[WORDS], char *scratch);
    bool (*refused)(const struct redisReply *reply, char *why, size_t why_size);
};

static bool begins_with_one_of(const struct redisReply *reply, const char *const *codes)
{
    for (; *codes; codes++)
        if (reply_has_code(reply, *codes))
            return true;
    return false;
}

static size_t auth_words(const struct redis_url *url, struct span words[WORDS], char *scratch)
{
    if (!url->user && !url->password)
        return 0;
    size_t n = 0;
    words[n++] = span_of("AUTH");
    if (url->user)
        words[n++] = span_of(url->user);
    words[n++] = span_of(url->password ? url->password : "");
    return n;
}

/*
 * Only answers that are known to be fixed text are repeated: "ERR unknown command 'AUTH', with args
 * beginning with: …" quotes the password.
 */
static bool auth_refused(const struct redisReply *reply, char *why, size_t why_size)
{
    static const char *const harmless[] = {"WRONGPASS ",
                                           "NOAUTH ",
                                           "LOADING ",
                                           "MASTERDOWN ",
                                           "ERR invalid password",
                                           "ERR Client sent AUTH, but no password is set",
                                           "ERR AUTH <password> called without any password",
                                           "ERR wrong number of arguments for 'auth' command",
                                           "ERR max number of clients reached",
                                           NULL};
    if (!reply_is_error(reply) && reply_bytes(reply).ptr)
        return false;
    if (begins_with_one_of(reply, harmless))
        reply_explain(reply, why, why_size);
    else
        snprintf(why, why_size, "Redis refused AUTH");
    return true;
}

static size_t ping_words(const struct redis_url *url, struct span words[WORDS], char *scratch)
{
    words[0] = span_of("PING");
    return 1;
}

/*
 * PING is the one command here that a Redis which is LOADING refuses. MISCONF (it cannot save) does
 * not touch pub/sub, and a user who may not PING may still do all that is needed.
 */
static bool ping_refused(const struct redisReply *reply, char *why, size_t why_size)
{
    static const char *const tolerated[] = {"NOPERM", "MISCONF", "ERR unknown command", NULL};
    if (reply_bytes(reply).ptr && (!reply_is_error(reply) || begins_with_one_of(reply, tolerated)))
        return false;
    reply_explain(reply, why, why_size);
    return true;
}

static size_t select_words(const struct redis_url *url, struct span words[WORDS], char *scratch)
{
    if (url->db == 0)
        return 0;
    words[0] = span_of("SELECT");
    words[1] = span_make(scratch, (size_t)sprintf(scratch, "%" PRIu32, url->db));
    return 2;
}

static bool select_refused(const struct redisReply *reply, char *why, size_t why_size)
{
    char text[160];
    if (!reply_is_error(reply))
        return false;
    snprintf(why, why_size, "SELECT: %s", reply_explain(reply, text, sizeof(text)));
    return true;
}

static size_t name_words(const struct redis_url *url, struct span words[WORDS], char *scratch)
{
    words[0] = span_of("CLIENT");
    words[1] = span_of("SETNAME");
    words[2] = span_of("sluice");
    return 3;
}

/* A courtesy to who reads CLIENT LIST. */
static bool name_refused(const struct redisReply *reply, char *why, size_t why_size)
{
    return false;
}

static size_t role_words(const struct redis_url *url, struct span words[WORDS], char *scratch)
{
    words[0] = span_of("ROLE");
    return 1;
}

static bool role_refused(const struct redisReply *reply, char *why, size_t why_size)
{
    static const char *const tolerated[] = {"NOPERM", "ERR unknown command", NULL};
    const char *not_primary = hello_role(reply);
    if (!not_primary && (!reply_is_error(reply) || begins_with_one_of(reply, tolerated)))
        return false;
    if (not_primary)
        snprintf(why, why_size, "%s", not_primary);
    else
        reply_explain(reply, why, why_size);
    return true;
}

static const struct step steps[] = {
    {auth_words, auth_refused}, {ping_words, ping_refused}, {select_words, select_refused},
    {name_words, name_refused}, {role_words, role_refused},
};

enum { STEPS = sizeof(steps) / sizeof(steps[0]) };

const char *hello_role(const struct redisReply *reply)
{
    struct span role = reply_bytes(reply_element(reply, 0));
    if (span_is(role, "slave"))
        return "READONLY: this Redis is a replica";
    if (span_is(role, "sentinel"))
        return "this is a Redis Sentinel; give the address of the primary";
    return NULL;
}

/* The first step from h->step on that awaits an answer; the words are in `words`. */
static size_t skip_silent(struct hello *h, struct span words[WORDS], char *scratch)
{
    size_t n = 0;
    while (h->step < STEPS && (n = steps[h->step].words(h->url, words, scratch)) == 0)
        h->step++;
    return n;
}

void hello_begin(struct hello *h, struct link *link, const struct redis_url *url)
{
    struct span words[WORDS];
    char scratch[16];
    *h = (struct hello){.url = url};
    for (size_t n; (n = skip_silent(h, words, scratch)) > 0; h->step++)
        link_command(link, n, words);
    h->step = 0;
    skip_silent(h, words, scratch);
}

enum hello_verdict hello_reply(struct hello *h, const struct redisReply *reply, char *why,
                               size_t why_size)
{
    struct span words[WORDS];
    char scratch[16];
    if (steps[h->step].refused(reply, why, why_size))
        return HELLO_REFUSED;
    h->step++;
    skip_silent(h, words, scratch);
    h->done = h->step >= STEPS;
    return h->done ? HELLO_DONE : HELLO_WAITING;
}
