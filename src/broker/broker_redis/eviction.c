#include "broker/broker_redis/eviction.h"

#include "base/log.h"
#include "broker/broker_redis/reply.h"

#include <string.h>

/* The value of "name:value" in the lines of INFO; ptr NULL: there is none. */
static struct span info_value(struct span info, const char *name)
{
    const char *p = info.ptr, *end = p + info.len;
    size_t len = strlen(name);
    while (p < end) {
        const char *line_end = memchr(p, '\r', (size_t)(end - p));
        if (!line_end)
            line_end = end;
        if ((size_t)(line_end - p) > len && memcmp(p, name, len) == 0 && p[len] == ':')
            return span_make(p + len + 1, (size_t)(line_end - p) - len - 1);
        p = line_end < end - 1 ? line_end + 2 : end;
    }
    return span_make(NULL, 0);
}

static void on_info(void *arg, const struct redisReply *reply)
{
    bool *may_evict = arg;
    struct span info = reply_bytes(reply);
    if (!info.ptr || reply_is_error(reply))
        return;
    struct span most = info_value(info, "maxmemory"), policy = info_value(info, "maxmemory_policy");
    *may_evict = most.ptr && policy.ptr && !span_is(most, "0") && !span_is(policy, "noeviction");
    if (*may_evict)
        log_warn("broker",
                 "Redis evicts when its memory is full (maxmemory-policy %.*s): history may go "
                 "without a word; set noeviction",
                 (int)(policy.len < 32 ? policy.len : 32), policy.ptr);
}

void eviction_ask(struct commands *commands, bool *may_evict)
{
    const struct span argv[] = {span_of("INFO"), span_of("memory")};
    commands_call(commands, 2, argv, on_info, may_evict);
}
