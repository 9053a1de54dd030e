#include "http/library.h"

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/conn.h"
#include "http/tls.h"

#include <stdio.h>

static const struct lws_protocols protocols[] = {
    {.name = "http", .callback = conn_callback, .per_session_data_size = 0},
    {0},
};

static void library_says(int level, const char *line)
{
    char text[256];
    size_t n = strcspn(line, "\n");
    snprintf(text, sizeof(text), "%.*s", (int)n, line);
    log_event(level & LLL_ERR ? LOG_WARN : LOG_DEBUG, "http", "libwebsockets: %s", text);
}

void library_log(void)
{
    lws_set_log_level(LLL_ERR | LLL_WARN, library_says);
}

static int on_tls_vhost(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                        size_t len)
{
    /* The one moment in which the library shows its SSL_CTX: later, a new certificate goes there.
     */
    if (reason == LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS) {
        struct worker *w = lws_context_user(lws_get_context(wsi));
        w->tls = user;
        return 0;
    }
    return conn_callback(wsi, reason, user, in, len);
}

static const struct lws_protocols tls_protocols[] = {
    {.name = "https", .callback = on_tls_vhost, .per_session_data_size = 0},
    {0},
};

#if LWS_LIBRARY_VERSION_NUMBER >= 4003000
/* From "interfaces known" on, the library closes connections whose route its own copy of the
 * routing table has lost. */
static int hold_before_routes(struct lws_state_manager *manager, struct lws_state_notify_link *link,
                              int current, int target)
{
    return target == LWS_SYSTATE_IFACE_COLDPLUG;
}

/* For the context and each of its virtual hosts. The default log counts the objects of every
 * context, without a lock: threads lose counts, and an assertion ends the process. */
static void use_own_log(struct worker *w, struct lws_context_creation_info *info)
{
    w->lws_log.u.emit = library_says;
    w->lws_log.lll_flags = LLL_ERR | LLL_WARN;
    info->log_cx = &w->lws_log;
}
#else
static void use_own_log(struct worker *w, struct lws_context_creation_info *info)
{
}
#endif

static int create_tls(struct worker *w, struct buf *why)
{ /* Left to itself the library makes a client's context too, with all the system's CAs, and leaks
     it. */
    w->unused_client = SSL_CTX_new(TLS_client_method());
    struct lws_context_creation_info host = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .provided_client_ssl_ctx = w->unused_client,
        .protocols = tls_protocols,
        .vhost_name = "sluice-tls",
        .options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
        .ssl_cert_filepath = w->options->tls_cert,
        .ssl_private_key_filepath = w->options->tls_key,
        .ssl_options_set = SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_RENEGOTIATION,
        .alpn = "http/1.1",
    };
    w->scratch = mem_alloc(TLS_SCRATCH);
    use_own_log(w, &host);
    w->tls_vhost = lws_create_vhost(w->lws, &host);
    if (w->tls_vhost && w->tls)
        return 0;
    buf_str(why, "tls: libwebsockets would not make a virtual host of tls.cert and tls.key");
    return ERR_SYS;
}

int library_start(struct worker *w, struct buf *why)
{
    void *loops[1] = {w->loop};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .options = LWS_SERVER_OPTION_LIBEV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                   (w->options->tls_cert ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0),
        .user = w,
        .foreign_loops = loops,
        .protocols = protocols,
        .gid = -1,
        .uid = -1,
    };
    use_own_log(w, &info);
#if LWS_LIBRARY_VERSION_NUMBER >= 4003000
    w->lws_state = (lws_state_notify_link_t){.notify_cb = hold_before_routes, .name = "sluice"};
    lws_state_notify_link_t *const links[] = {&w->lws_state, NULL};
    info.register_notifier_list = links;
#endif
    w->lws = lws_create_context(&info);
    if (!w->lws) {
        buf_str(why, "libwebsockets would not start: is the package libwebsockets-evlib-ev "
                     "installed?");
        return ERR_SYS;
    }
    struct lws_context_creation_info host = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER, .protocols = protocols, .vhost_name = "sluice"};
    use_own_log(w, &host);
    w->vhost = lws_create_vhost(w->lws, &host);
    if (!w->vhost) {
        buf_str(why, "libwebsockets would not make a virtual host");
        return ERR_SYS;
    }
    return w->options->tls_cert ? create_tls(w, why) : 0;
}

void library_stop(struct worker *w)
{
    if (w->lws)
        lws_context_destroy(w->lws);
    SSL_CTX_free(w->unused_client);
    mem_free(w->scratch);
}
