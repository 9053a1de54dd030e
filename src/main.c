/*
 * The composition root: creates everything in order, runs the core's loop, destroys in reverse.
 * Nothing else knows all the rooms.
 */
#include "base/cast.h"
#include "base/err.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/random.h"
#include "broker/broker_memory.h"
#include "broker/broker_redis.h"
#include "cli/cli.h"
#include "gateway.h"
#include "ops/config.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static const uint64_t publish_bytes = UINT64_C(64) << 20; /* of HTTP publishes under way */

static void on_hangup(struct ev_loop *loop, ev_signal *signal, int revents);

/* The core's loop */

static void wake_core(void *ctx)
{
    struct gateway *g = CAST_CHECKED(struct gateway, ctx, GATEWAY_MAGIC);
    ev_async_send(g->loop, &g->wake);
}

static void policy_drop(struct gateway *g, struct policy **policy)
{
    if (*policy == g->first)
        *policy = NULL;
    else
        policy_destroy(policy);
}

static void on_wake(struct ev_loop *loop, ev_async *async, int revents)
{
    struct gateway *g = CAST_CHECKED(struct gateway, async->data, GATEWAY_MAGIC);
    core_take_messages(g->core);
    if (core_settings_due(g->core) == 0) {
        policy_drop(g, &g->old);
        if (g->hangup_again)
            ev_feed_event(loop, &g->hangup, EV_SIGNAL);
        g->hangup_again = false;
    }
    g->over = core_workers_left(g->core) == 0;
    if (g->over && g->tracker)
        tracker_leave(g->tracker);
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int revents)
{
    /* What is due is done in on_turn, which comes before the loop sleeps. */
}

/* Of two times, either of which may be 0: never. */
static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a && (!b || a < b) ? a : b;
}

static void on_turn(struct ev_loop *loop, ev_prepare *prepare, int revents)
{
    struct gateway *g = CAST_CHECKED(struct gateway, prepare->data, GATEWAY_MAGIC);
    uint64_t due = core_tick(g->core), now = clock_mono_us(&clock_system);
    if (g->hurry_us && g->hurry_us <= now) {
        bus_hurry(g->bus);
        g->hurry_us = 0;
    }
    due = sooner(due, g->hurry_us);
    due = sooner(due, bus_tick(g->bus, now));
    if (g->tracker)
        due = sooner(due, tracker_tick(g->tracker, now));
    core_end_turn(g->core);
    if (g->over && (!g->tracker || tracker_left(g->tracker)))
        ev_break(loop, EVBREAK_ALL);
    if (g->first->config->broker == CONFIG_BROKER_REDIS)
        metrics_set(&g->metrics[g->workers]->redis_may_evict, broker_redis_may_evict(g->broker));
    ev_timer_stop(loop, &g->tick);
    if (!due)
        return;
    ev_timer_set(&g->tick, due > now ? (double)(due - now) / 1e6 : 0., 0.);
    ev_timer_start(loop, &g->tick);
}

/* The first signal drains, a second one ends now. */
static void on_signal(struct ev_loop *loop, ev_signal *signal, int revents)
{
    struct gateway *g = CAST_CHECKED(struct gateway, signal->data, GATEWAY_MAGIC);
    uint32_t seconds = g->policy->config->drain_seconds;
    if (!g->stopping && seconds > 0) {
        log_info("main", "signal %d: draining for %u s", signal->signum, seconds);
        core_drain_workers(g->core, seconds);
        g->hurry_us = clock_mono_us(&clock_system) + seconds * UINT64_C(1000000);
    } else {
        log_info("main", "signal %d: stopping", signal->signum);
        bus_hurry(g->bus); /* its answers go before the workers' end */
        core_stop_workers(g->core);
    }
    g->stopping = true;
}

static void create_loop(struct gateway *g)
{
    g->loop = ev_default_loop(EVFLAG_AUTO | EVFLAG_NOENV);
    ev_async_init(&g->wake, on_wake);
    g->wake.data = g;
    ev_async_start(g->loop, &g->wake);
    ev_prepare_init(&g->turn, on_turn);
    g->turn.data = g;
    ev_timer_init(&g->tick, on_tick, 0., 0.);
    g->tick.data = g;
    ev_signal_init(&g->terminate, on_signal, SIGTERM);
    ev_signal_init(&g->interrupt, on_signal, SIGINT);
    g->terminate.data = g->interrupt.data = g;
    ev_signal_start(g->loop, &g->terminate);
    ev_signal_start(g->loop, &g->interrupt);
    ev_signal_init(&g->hangup, on_hangup, SIGHUP);
    g->hangup.data = g;
    ev_signal_start(g->loop, &g->hangup);
    mailbox_init(&g->uplink.control, (struct lane_wake){.wake = wake_core, .ctx = g});
}

/* Creation */

static void seed_maps(void)
{
    uint8_t key[16];
    random_bytes(key, sizeof(key));
    map_seed(key);
}

static void fill_http(struct gateway *g)
{
    policy_fill_http(g->policy, &(struct policy_surroundings){.max_connections = g->max_connections,
                                                              .uplink = &g->uplink,
                                                              .metrics = g->metrics});
}

static void create_metrics(struct gateway *g)
{
    g->metrics = mem_zalloc((g->workers + 1) * sizeof(*g->metrics));
    for (uint32_t i = 0; i <= g->workers; i++)
        g->metrics[i] = mem_zalloc(sizeof(**g->metrics));
}

static uint64_t linger_us(const struct config *c)
{
    return (uint64_t)c->redis_linger_ms * 1000;
}

static void create_core(struct gateway *g)
{
    const struct config *c = g->policy->config;
    struct core_options options = {
        .workers = g->workers,
        .downlinks = http_server_downlinks(g->http),
        .uplink = &g->uplink,
        .clock = &clock_system,
        .namespaces = g->policy->namespaces,
        .metrics = g->metrics[g->workers],
        .channel_prefix = c->channel_prefix,
        .linger_us = linger_us(c),
        .publish_bytes = publish_bytes,
        .hooks = joints_core_hooks(g),
        .replay_bytes = c->replay_bytes,
        .message_bytes = c->limits.message_bytes,
        .count_streams = c->broker == CONFIG_BROKER_MEMORY,
    };
    g->core = core_create(&options);
}

static void start_broker(struct gateway *g)
{
    const struct config *c = g->policy->config;
    if (c->broker == CONFIG_BROKER_MEMORY) {
        struct memory_options options = {.clock = &clock_system, .replay_bytes = c->replay_bytes};
        g->broker = broker_memory_create(&options, &core_broker_events, g->core);
        core_attach(g->core, g->broker);
        broker_memory_start(g->broker);
        log_info("main", "memory broker: one node, nothing outlives it and nobody else hears it");
        return;
    }
    char url[512];
    log_info("main", "redis at %s", broker_redis_describe_url(c->redis, url, sizeof(url)));
    struct redis_options options = {.url = c->redis, .message_bytes = c->limits.message_bytes};
    g->broker = broker_redis_create(g->loop, &options, &core_broker_events, g->core);
    core_attach(g->core, g->broker);
    joints_start_tracking(g);
    broker_redis_start(g->broker);
}

/* What config_load cannot know, since it knows no other room: the broker's URL and the files of
 * TLS. */
static int verify(const struct config *c, struct buf *why)
{
    char text[512];
    if (c->broker == CONFIG_BROKER_REDIS &&
        broker_redis_check_url(c->redis, text, sizeof(text)) != 0) {
        buf_printf(why, "redis: %s", text);
        return ERR_INVALID;
    }
    return c->tls.cert[0] ? http_check_tls(c->tls.cert, c->tls.key, why) : 0;
}

static int gateway_create(struct gateway *g, struct buf *why)
{
    int err = verify(g->policy->config, why);
    if (err)
        return err;
    g->workers = g->policy->config->workers;
    g->max_connections = descriptors_set(g->policy->config->limits.connections);
    create_loop(g);
    create_metrics(g);
    fill_http(g);
    err = http_server_create(&g->policy->http, &g->http, why);
    if (err)
        return err;
    joints_create_bus(g);
    create_core(g);
    start_broker(g);
    core_end_turn(g->core); /* so that a worker's first turn already knows of a broker that is up */
    ev_prepare_start(g->loop, &g->turn);
    err = http_server_start(g->http, why);
    if (err)
        core_stop_workers(g->core);
    return err;
}

static void gateway_destroy(struct gateway *g)
{
    if (g->broker) {
        core_attach(g->core, NULL);
        g->broker->ops->destroy(g->broker);
    }
    http_server_destroy(&g->http);
    core_destroy(&g->core);
    tracker_destroy(&g->tracker);
    bus_destroy(&g->bus);
    if (g->loop) {
        mailbox_fini(&g->uplink.control);
        ev_loop_destroy(g->loop);
    }
    for (uint32_t i = 0; g->metrics && i <= g->workers; i++)
        mem_free(g->metrics[i]);
    mem_free(g->metrics);
    policy_drop(g, &g->old);
    policy_drop(g, &g->policy);
    policy_destroy(&g->first);
}

/* Reload */

/* Everything that can be wrong with a new configuration is found before any of it is used. */
static int load_again(struct gateway *g, struct config **out, struct buf *why)
{
    struct config *c = NULL;
    int err = config_load(g->argc - 1, g->argv + 1, environ, &c, why);
    if (!err)
        err = verify(c, why);
    if (err)
        config_destroy(&c);
    else
        *out = c;
    return err;
}

static void say_reloaded(const struct config *old, const struct config *new)
{
    struct buf names = {0};
    config_restart_needed(old, new, &names);
    if (names.len)
        log_warn("main", "reloaded, but these need a restart and stay as they were: %s",
                 buf_cstr(&names));
    else
        log_info("main", "reloaded");
    buf_free(&names);
}

static void on_hangup(struct ev_loop *loop, ev_signal *signal, int revents)
{
    struct gateway *g = CAST_CHECKED(struct gateway, signal->data, GATEWAY_MAGIC);
    struct buf why = {0};
    struct config *config = NULL;
    if (g->stopping) {
        log_warn("main", "SIGHUP is ignored: the gateway is stopping");
        return;
    }
    if (g->old) {
        g->hangup_again = true;
        return;
    }
    if (load_again(g, &config, &why) != 0) {
        log_error("main", "nothing is reloaded: %s", buf_cstr(&why));
        buf_free(&why);
        return;
    }
    say_reloaded(g->first->config, config);
    log_setup((enum log_level)config->log_level, config->log_json);
    g->old = g->policy;
    /* Who may is decided by it, and the listeners that it would have to agree with have stayed. */
    config->open = g->first->config->open;
    g->policy = policy_create(config);
    fill_http(g);
    struct core_settings settings = {
        .namespaces = g->policy->namespaces,
        .linger_us = linger_us(config),
        .message_bytes = config->limits.message_bytes,
    };
    core_change(g->core, &settings, &g->policy->http);
    bus_change(g->bus, config->invalidation.tag_prefix);
    if (g->first->config->broker == CONFIG_BROKER_REDIS)
        broker_redis_limit(g->broker, config->limits.message_bytes);
}

/* Commands */

static void serve_help(void)
{
    struct buf out = {0};
    buf_str(&out, "Usage: sluice serve [--config FILE] [SETTINGS]\n\n"
                  "Runs the gateway until SIGTERM or SIGINT, which drain it; a second one ends it\n"
                  "at once. SIGHUP reads the settings again.\n\n");
    config_help(&out);
    fputs(buf_cstr(&out), stdout);
    buf_free(&out);
}

static int serve(int argc, char **argv)
{
    struct gateway g = {.magic = GATEWAY_MAGIC, .argc = argc, .argv = argv};
    struct buf why = {0};
    struct config *config = NULL;
    int err = config_load(argc - 1, argv + 1, environ, &config, &why);
    if (err == ERR_NOT_FOUND) {
        serve_help();
        return 0;
    }
    if (!err) {
        log_setup((enum log_level)config->log_level, config->log_json);
        signal(SIGPIPE, SIG_IGN);
        seed_maps();
        g.first = g.policy = policy_create(config);
        err = gateway_create(&g, &why);
    }
    if (err) {
        fprintf(stderr, "sluice: %s\n", buf_cstr(&why));
    } else {
        ev_run(g.loop, 0);
        log_info("main", "stopped");
    }
    gateway_destroy(&g);
    buf_free(&why);
    return err == ERR_INVALID ? 2 : err ? 1 : 0;
}

static int check(int argc, char **argv)
{
    return cli_check(argc, argv, verify);
}

static int functions(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    return cli_functions(argc, argv, broker_redis_functions);
}

static const struct cli_command commands[] = {
    {"serve", "run the gateway", serve},
    {"publish", "publish one message through a gateway", cli_publish},
    {"tail", "print a stream, reconnecting and resuming", cli_tail},
    {"check", "validate a configuration and print what is in force", check},
    {"reference", "print the reference page of the settings as Markdown", cli_reference},
    {"functions", "print the library that durable messages need in Redis", functions},
};

int main(int argc, char **argv)
{
    return cli_run(commands, sizeof(commands) / sizeof(commands[0]), argc, argv);
}
