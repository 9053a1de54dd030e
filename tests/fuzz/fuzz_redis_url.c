/* Any bytes as a Redis URL: what is taken can be shown, and its description is a URL again. */
#include "broker/broker_redis/url.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A path may hold bytes that a URL has to escape, so only hosts come back as they were. */
static void check_description(const struct redis_url *url, const char *shown)
{
    struct redis_url again;
    char why[256];
    if (url->transport == REDIS_UNIX)
        return;
    if (redis_url_parse(span_of(shown), &again, why, sizeof(why)) ||
        strcmp(again.host, url->host) != 0 || again.port != url->port || again.db != url->db ||
        again.user || again.password)
        abort();
    redis_url_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct redis_url url;
    char why[256] = "", shown[512];
    if (redis_url_parse(span_make((const char *)data, size), &url, why, sizeof(why))) {
        if (why[0] == '\0')
            abort();
        return 0;
    }
    check_description(&url, redis_url_describe(&url, shown, sizeof(shown)));
    redis_url_free(&url);
    return 0;
}
