/* Any bytes as a Redis URL: a refusal has a reason, and what is taken can be shown as a URL again.
 */
#include "fuzz.h"

#include "broker/broker_redis/redis_url.h"

/* A path may hold bytes that a URL has to escape, so only hosts come back as they were. */
static void check_description(const struct redis_url *url, const char *shown)
{
    struct redis_url again;
    char why[256];
    if (url->transport == REDIS_UNIX)
        return;
    FUZZ_CHECK(redis_url_parse(span_of(shown), &again, why, sizeof(why)) == 0);
    FUZZ_CHECK(strcmp(again.host, url->host) == 0 && again.port == url->port &&
               again.db == url->db);
    FUZZ_CHECK(!again.user && !again.password);
    redis_url_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct redis_url url;
    char why[256] = "", shown[512];
    if (redis_url_parse(span_make((const char *)data, size), &url, why, sizeof(why))) {
        FUZZ_CHECK(why[0] != '\0');
        return 0;
    }
    check_description(&url, redis_url_describe(&url, shown, sizeof(shown)));
    redis_url_free(&url);
    return 0;
}
