/*
 * The client swarm of tests/bench/run. It takes commands on standard input, one a line, and answers
 * each with one line of JSON:
 *
 *   connect streams=N channels=C span=S bulk=0|1   opens a group of streams,
 *        per_link=P                                P a connection (HTTP/2)
 *   publish messages=N bytes=B window=W group=G    W at a time: 1 is one by one, N is all at once
 *   rate messages=N per_second=R bytes=B group=G   at a fixed rate, for latencies
 *        bigs=K big_bytes=B big_group=G            and big messages meanwhile
 *        durable=1                                 both: by the gateway's function in Redis
 *   resume streams=N messages=M group=G            opens further streams of that group's one
 * channel, which ask for its last M messages server port=P pid=N                            what is
 * opened from now on goes there idle seconds=N                                 nothing, but for
 * heartbeats disconnect                                     closes all
 *
 * Every command takes seconds=N, the longest that it may last.
 */
#include "proc.h"
#include "workload.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static const struct {
    const char *name;
    void (*run)(struct bench *b, const struct order *o, struct result *r);
} commands[] = {
    {"connect", workload_connect}, {"disconnect", workload_disconnect},
    {"publish", workload_publish}, {"rate", workload_rate},
    {"idle", workload_idle},       {"resume", workload_resume},
    {"server", workload_server},
};

static const struct {
    const char *name;
    size_t at;
} words[] = {
    {"streams", offsetof(struct order, streams)},
    {"channels", offsetof(struct order, channels)},
    {"span", offsetof(struct order, span)},
    {"per_link", offsetof(struct order, per_link)},
    {"bulk", offsetof(struct order, bulk)},
    {"group", offsetof(struct order, group)},
    {"messages", offsetof(struct order, messages)},
    {"bytes", offsetof(struct order, bytes)},
    {"durable", offsetof(struct order, durable)},
    {"port", offsetof(struct order, port)},
    {"pid", offsetof(struct order, pid)},
    {"window", offsetof(struct order, window)},
    {"per_second", offsetof(struct order, per_second)},
    {"bigs", offsetof(struct order, bigs)},
    {"big_bytes", offsetof(struct order, big_bytes)},
    {"big_group", offsetof(struct order, big_group)},
    {"seconds", offsetof(struct order, seconds)},
};

static const struct order defaults = {.streams = 1,
                                      .channels = 1,
                                      .span = 1,
                                      .per_link = 1,
                                      .messages = 1,
                                      .bytes = 100,
                                      .window = 1,
                                      .per_second = 1000,
                                      .big_bytes = 1 << 20,
                                      .seconds = 60};

static void usage(const char *why)
{
    fprintf(stderr,
            "swarm: %s\nusage: swarm DIALECT SERVER_PORT SERVER_PID PUBLISH_PORT CHANNEL_PREFIX "
            "[WIRE]\n"
            "DIALECT is sluice or nchan, which is published to by HTTP, else by Redis;\n"
            "WIRE is clear (the default), tls or h2, and is how streams are read\n",
            why);
    exit(2);
}

static bool take_word(struct order *o, char *word)
{
    char *value = strchr(word, '='), *end = NULL;
    if (!value)
        return false;
    *value++ = '\0';
    unsigned long n = strtoul(value, &end, 10);
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        if (strcmp(words[i].name, word) != 0 || end == value || *end)
            continue;
        *(uint32_t *)(void *)((char *)o + words[i].at) = (uint32_t)n;
        return true;
    }
    return false;
}

static void number(const char *name, uint64_t value)
{
    printf(",\"%s\":%llu", name, (unsigned long long)value);
}

static const char *wrong_in(const struct tally *t)
{
    if (t->lost || t->repeated || t->corrupt)
        return "deliveries were lost, repeated or corrupt";
    if (t->disordered)
        return "ids did not rise";
    if (t->closed)
        return "the server closed streams";
    return t->gaps ? "the server told of gaps" : NULL;
}

static struct tally since(const struct tally *now, const struct tally *then)
{
    return (struct tally){.messages = now->messages - then->messages,
                          .deliveries = now->deliveries - then->deliveries,
                          .lost = now->lost - then->lost,
                          .repeated = now->repeated - then->repeated,
                          .corrupt = now->corrupt - then->corrupt,
                          .disordered = now->disordered - then->disordered,
                          .gaps = now->gaps - then->gaps,
                          .comments = now->comments - then->comments,
                          .closed = now->closed - then->closed};
}

static void print_result(const struct bench *b, const char *name, const struct result *r,
                         const struct tally *t)
{
    const struct histogram *h = &b->ledger->latency;
    const char *wrong = wrong_in(t);
    const char *failure = r->failure ? r->failure : wrong;
    printf("{\"command\":\"%s\",\"failure\":%s%s%s", name, failure ? "\"" : "",
           failure ? failure : "null", failure ? "\"" : "");
    number("cpu_ns", r->cpu_ns);
    number("wall_ns", r->wall_ns);
    number("own_cpu_ns", r->own_cpu_ns);
    number("messages", t->messages);
    number("deliveries", t->deliveries);
    number("lost", t->lost);
    number("repeated", t->repeated);
    number("corrupt", t->corrupt);
    number("disordered", t->disordered);
    number("gaps", t->gaps);
    number("comments", t->comments);
    number("closed", t->closed);
    number("timed", h->count);
    number("p50_ns", histogram_at(h, 0.5));
    number("p99_ns", histogram_at(h, 0.99));
    number("max_ns", h->max_ns);
    number("late_ns", r->late_ns);
    number("big_messages", r->big_messages);
    number("big_ns", r->big_ns);
    number("rss", proc_rss(b->pid));
    number("streams", crowd_ready(b->crowd));
    number("total_deliveries", b->ledger->tally.deliveries);
    printf("}\n");
    fflush(stdout);
}

static void obey(struct bench *b, char *line)
{
    struct order order = defaults;
    struct result result = {0};
    struct tally before = b->ledger->tally;
    char *rest = NULL, *name = strtok_r(line, " \n", &rest);
    if (!name)
        return;
    for (char *word; (word = strtok_r(NULL, " \n", &rest));)
        if (!take_word(&order, word))
            usage("a command's word is not known");
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
        if (strcmp(commands[i].name, name) != 0)
            continue;
        commands[i].run(b, &order, &result);
        struct tally t = since(&b->ledger->tally, &before);
        print_result(b, name, &result, &t);
        return;
    }
    usage("no such command");
}

/* Between commands streams are still read: heartbeats come. */
static void serve(struct bench *b)
{
    char line[512];
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    setvbuf(stdin, NULL, _IONBF, 0);
    crowd_watch(b->crowd, STDIN_FILENO, false);
    for (;;) {
        workload_wait(b, 1000000000u);
        if (poll(&input, 1, 0) != 1)
            continue;
        if (!fgets(line, sizeof(line), stdin))
            return;
        obey(b, line);
    }
}

static struct sockaddr_in loopback(const char *port)
{
    int n = atoi(port);
    if (n <= 0 || n > 65535)
        usage("a port is not one");
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)n),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

int main(int argc, char **argv)
{
    static struct ledger ledger;
    static struct bench bench = {.ledger = &ledger, .random = 2463534242u};
    struct rlimit files;
    enum wire wire = WIRE_CLEAR;
    if (argc != 6 && argc != 7)
        usage("five or six arguments are needed");
    if (argc == 7 && !link_wire(argv[6], &wire))
        usage("no such wire");
    const struct dialect *dialect = dialect_find(argv[1]);
    if (!dialect)
        usage("no such dialect");
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    prctl(PR_SET_TIMERSLACK, 1000ul, 0, 0, 0);
    struct sockaddr_in server = loopback(argv[2]);
    struct sockaddr_in publish = loopback(argv[4]);
    bench.pid = atoi(argv[3]);
    if (!publisher_open(&bench.publisher, dialect, &publish) ||
        !publisher_open(&bench.big_publisher, dialect, &publish))
        usage("cannot connect to publish");
    bench.crowd = crowd_create(&ledger, dialect, &server, wire, argv[5]);
    crowd_watch(bench.crowd, bench.publisher.fd, false);
    usleep(
        100000); /* for the server to accept the publishers, before its descriptors are counted */
    bench.base_fds = proc_fds(bench.pid);
    serve(&bench);
    return 0;
}
