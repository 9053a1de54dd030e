#include "http/server.h"

#include "base/err.h"
#include "base/mem.h"
#include "http/listener.h"
#include "http/tls.h"
#include "http/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

enum { LANE_BYTES = 16 * 1024 * 1024 }; /* of frames on their way to one worker */

static void wake_worker(void *ctx)
{
    struct worker *w = ctx;
    ev_async_send(w->loop, &w->wake);
}

int http_server_create(const struct http_options *options, struct http_server **out,
                       struct buf *why)
{
    struct http_server *server = mem_zalloc(sizeof(*server));
    server->options = *options;
    server->base_path = mem_strdup(options->base_path);
    server->options.base_path = server->base_path;
    server->started_us = clock_mono_us(options->clock);
    server->workers = mem_zalloc(options->workers * sizeof(*server->workers));
    /* Lanes keep each side's counters on cache lines of their own. */
    server->downlinks =
        aligned_alloc(_Alignof(struct downlink), options->workers * sizeof(*server->downlinks));
    if (!server->downlinks)
        abort();
    for (uint32_t i = 0; i < options->workers; i++)
        downlink_init(&server->downlinks[i],
                      (struct lane_wake){.wake = wake_worker, .ctx = &server->workers[i]},
                      LANE_BYTES);
    if (options->max_per_address)
        server->addresses = addresses_create();
    int err = options->tls_cert ? tls_check(options->tls_cert, options->tls_key, why) : 0;
    if (!err)
        err = listeners_open(server, why);
    for (uint32_t i = 0; !err && i < options->workers; i++)
        err = worker_init(&server->workers[i], server, i, why);
    if (err) {
        http_server_destroy(&server);
        return err;
    }
    *out = server;
    return 0;
}

int http_check_tls(const char *cert, const char *key, struct buf *why)
{
    return tls_check(cert, key, why);
}

struct downlink *http_server_downlinks(struct http_server *server)
{
    return server->downlinks;
}

int http_server_start(struct http_server *server, struct buf *why)
{
    sigset_t all, old;
    sigfillset(&all);
    /* Signals are the core's: a worker that took one would only interrupt a system call. */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int err = 0;
    for (; !err && server->started < server->options.workers; server->started += !err)
        err = pthread_create(&server->workers[server->started].thread, NULL, worker_run,
                             &server->workers[server->started]);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!err)
        return 0;
    buf_printf(why, "a worker thread would not start: %s", strerror(err));
    return ERR_SYS;
}

void http_server_destroy(struct http_server **server)
{
    struct http_server *s = *server;
    if (!s)
        return;
    for (uint32_t i = 0; i < s->started; i++)
        pthread_join(s->workers[i].thread, NULL);
    listeners_close(s);
    for (uint32_t i = 0; i < s->options.workers; i++)
        if (s->workers[i].magic)
            worker_fini(&s->workers[i]);
    for (uint32_t i = 0; i < s->options.workers; i++)
        downlink_fini(&s->downlinks[i]);
    addresses_destroy(&s->addresses);
    free(s->downlinks);
    mem_free(s->workers);
    mem_free(s->base_path);
    mem_free(s);
    *server = NULL;
}
