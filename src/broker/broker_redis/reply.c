#include "broker/broker_redis/reply.h"

#include <hiredis/hiredis.h>
#include <stdio.h>

struct span reply_bytes(const struct redisReply *reply)
{
    if (!reply || (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_STATUS &&
                   reply->type != REDIS_REPLY_ERROR))
        return span_make(NULL, 0);
    return span_make(reply->str, reply->len);
}

const struct redisReply *reply_element(const struct redisReply *reply, size_t i)
{
    if (!reply || reply->type != REDIS_REPLY_ARRAY || i >= reply->elements)
        return NULL;
    return reply->element[i];
}

bool reply_is_error(const struct redisReply *reply)
{
    return reply && reply->type == REDIS_REPLY_ERROR;
}

bool reply_has_code(const struct redisReply *reply, const char *code)
{
    return reply_is_error(reply) && span_starts(reply_bytes(reply), code);
}

const char *reply_explain(const struct redisReply *reply, char *out, size_t out_size)
{
    struct span text = reply_bytes(reply);
    if (!text.ptr || text.len == 0) {
        snprintf(out, out_size, "an answer of an unexpected kind");
        return out;
    }
    size_t len = text.len < out_size - 1 ? text.len : out_size - 1;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        out[i] = c < ' ' || c >= 0x7f ? '?' : (char)c;
    }
    out[len] = '\0';
    return out;
}
