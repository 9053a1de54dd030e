#include "broker/broker_redis/address.h"

#include "base/cast.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <ev.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/un.h>
#include <unistd.h>

enum { RESOLVER_MAGIC = 0x7265736f };

/* One look-up; counted: held by its thread and by its resolver, freed by the last. */
struct lookup {
    atomic_int holders;
    int done_fd; /* owned: an eventfd that the thread writes once, when all below is final */
    char *host;  /* owned */
    char port[8];
    struct address list[ADDRESSES_MAX];
    size_t count;
    char why[256];
};

struct resolver {
    uint32_t magic;
    struct ev_loop *loop; /* borrowed */
    resolver_fn *fn;
    void *ctx;             /* borrowed */
    struct lookup *lookup; /* counted; NULL: none is under way */
    bool wanted;           /* somebody waits for the answer */
    ev_io done;
    ev_timer known; /* fires at once: the address needed no look-up */
    struct address address;
};

static void release(struct lookup *l)
{
    if (atomic_fetch_sub(&l->holders, 1) > 1)
        return;
    if (l->done_fd >= 0)
        close(l->done_fd);
    mem_free(l->host);
    mem_free(l);
}

static void take_addresses(struct lookup *l, const struct addrinfo *found)
{
    for (const struct addrinfo *a = found; a && l->count < ADDRESSES_MAX; a = a->ai_next) {
        struct address *to = &l->list[l->count++];
        memcpy(&to->bytes, a->ai_addr, a->ai_addrlen);
        to->len = a->ai_addrlen;
    }
}

static void look_up(struct lookup *l, int flags)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int failed = getaddrinfo(l->host, l->port, &hints, &found);
    if (failed)
        snprintf(l->why, sizeof(l->why), "cannot look up %s: %s", l->host, gai_strerror(failed));
    take_addresses(l, found);
    if (found)
        freeaddrinfo(found);
}

static void *run_lookup(void *arg)
{
    struct lookup *l = arg;
    look_up(l, 0);
    eventfd_write(l->done_fd, 1);
    release(l);
    return NULL;
}

/* Signals are the main thread's business. */
static int start_thread(struct lookup *l)
{
    pthread_t thread;
    pthread_attr_t detached;
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread, &detached, run_lookup, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&detached);
    return failed;
}

static struct lookup *lookup_create(const struct redis_url *url)
{
    struct lookup *l = mem_zalloc(sizeof(*l));
    atomic_init(&l->holders, 1);
    l->host = mem_strdup(url->host);
    l->done_fd = -1;
    snprintf(l->port, sizeof(l->port), "%u", (unsigned)url->port);
    return l;
}

static void on_done(struct ev_loop *loop, ev_io *w, int revents)
{
    struct resolver *r = CAST_CHECKED(struct resolver, w->data, RESOLVER_MAGIC);
    struct lookup *l = r->lookup;
    bool wanted = r->wanted;
    eventfd_t written;
    /* Read: only then is the thread known to be done with the descriptor. */
    if (eventfd_read(l->done_fd, &written) != 0)
        return;
    ev_io_stop(loop, w);
    /* Here and not by whoever lets go last: libev still has it in its list of changes for epoll. */
    close(l->done_fd);
    l->done_fd = -1;
    r->lookup = NULL;
    r->wanted = false;
    if (wanted)
        r->fn(r->ctx, l->list, l->count, l->why);
    release(l);
}

static void on_known(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct resolver *r = CAST_CHECKED(struct resolver, w->data, RESOLVER_MAGIC);
    r->wanted = false;
    if (r->address.len > 0)
        r->fn(r->ctx, &r->address, 1, "");
    else
        r->fn(r->ctx, NULL, 0, "cannot start a thread to look up the host name");
}

struct resolver *resolver_create(struct ev_loop *loop, resolver_fn *fn, void *ctx)
{
    struct resolver *r = mem_zalloc(sizeof(*r));
    *r = (struct resolver){.magic = RESOLVER_MAGIC, .loop = loop, .fn = fn, .ctx = ctx};
    ev_init(&r->done, on_done);
    ev_timer_init(&r->known, on_known, 0., 0.);
    r->done.data = r->known.data = r;
    return r;
}

static void answer_soon(struct resolver *r, const struct address *address)
{
    r->address = *address;
    ev_timer_start(r->loop, &r->known);
}

static bool is_unix(const struct redis_url *url, struct address *out)
{
    if (url->transport != REDIS_UNIX)
        return false;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t len = strnlen(url->path, sizeof(un.sun_path) - 1);
    memcpy(un.sun_path, url->path, len);
    memcpy(&out->bytes, &un, sizeof(un));
    out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    return true;
}

/* Numbers need no name server, and so no thread. */
static bool is_numeric(struct lookup *l)
{
    look_up(l, AI_NUMERICHOST);
    l->why[0] = '\0';
    return l->count > 0;
}

void resolver_start(struct resolver *r, const struct redis_url *url)
{
    struct address address = {.len = 0};
    resolver_cancel(r);
    r->wanted = true;
    if (is_unix(url, &address)) {
        answer_soon(r, &address);
        return;
    }
    if (r->lookup)
        return; /* one of an earlier try: its answer is as good */
    struct lookup *l = lookup_create(url);
    if (is_numeric(l)) {
        answer_soon(r, &l->list[0]);
        release(l);
        return;
    }
    l->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    atomic_store(&l->holders, 2);
    if (l->done_fd < 0 || start_thread(l) != 0) {
        atomic_store(&l->holders, 1);
        release(l);
        answer_soon(r, &address);
        return;
    }
    r->lookup = l;
    ev_io_set(&r->done, l->done_fd, EV_READ);
    ev_io_start(r->loop, &r->done);
}

void resolver_cancel(struct resolver *r)
{
    r->wanted = false;
    ev_timer_stop(r->loop, &r->known);
}

void resolver_destroy(struct resolver **r)
{
    resolver_cancel(*r);
    ev_io_stop((*r)->loop, &(*r)->done);
    if ((*r)->lookup)
        release((*r)->lookup);
    (*r)->magic = 0;
    mem_free(*r);
    *r = NULL;
}

const char *address_text(const struct address *a, char *out, size_t out_size)
{
    char host[INET6_ADDRSTRLEN + 20], port[8];
    if (a->bytes.ss_family == AF_UNIX) {
        struct sockaddr_un un;
        memcpy(&un, &a->bytes, sizeof(un));
        snprintf(out, out_size, "%s", un.sun_path);
        return out;
    }
    if (getnameinfo((const struct sockaddr *)&a->bytes, a->len, host, sizeof(host), port,
                    sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        snprintf(out, out_size, "an address");
    else
        snprintf(out, out_size, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
    return out;
}
