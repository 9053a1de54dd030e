/* GET /invalidations: the feed of a peer. */
#include "http/feed.h"
#include "http/router.h"
#include "http/stream.h"
#include "proto/invalidation.h"
#include "proto/resume.h"

static bool read_peer(struct exchange *x, struct feed_options *options)
{
    options->peer = query_get(&x->query, "peer");
    const char *wrong = options->peer.ptr ? peer_name_error(options->peer) : "must be given";
    if (wrong)
        exchange_error(x, 400, "peer: %s", wrong);
    return !wrong;
}

static bool read_echo(struct exchange *x, struct feed_options *options)
{
    struct span echo = query_get(&x->query, "echo");
    options->echo = span_is(echo, "1");
    if (!echo.ptr || options->echo || span_is(echo, "0"))
        return true;
    exchange_error(x, 400, "echo: expected 0 or 1");
    return false;
}

/* An id that is none of ours is as good as none: the peer begins anew, by a flush. */
static void read_resume(struct exchange *x, struct feed_options *options)
{
    struct resume resume;
    char why[RESUME_WHY_BYTES];
    const struct span none = {0};
    options->resume.from = REPLAY_NOW;
    if (resume_parse(endpoint_last_id(x), none, none, &resume, why) == 0 &&
        resume.from == RESUME_AFTER)
        options->resume = (struct shard_resume){.from = REPLAY_AFTER, .value = resume.value};
}

bool endpoint_feed_admit(struct exchange *x)
{
    return exchange_may(x, ACCESS_PEER, span_make("", 0)) && bus_admit(x);
}

void endpoint_feed(struct exchange *x)
{
    struct feed_options options = {0};
    if (!read_peer(x, &options) || !read_echo(x, &options))
        return;
    read_resume(x, &options);
    if (exchange_worker(x)->draining)
        stream_busy(x, "the gateway is being drained");
    else if (conn_too_many(x->conn)) /* an EventSource would give up for good on a 503 */
        stream_busy(x, conn_too_many(x->conn));
    else
        feed_open(x, &options);
}
