/* `sluice publish`: one message to a gateway, and its answer. */
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/client.h"

#include <errno.h>
#include <stdio.h>

enum { READ_BYTES = 65536, MOST_DATA = 256 << 20, MOST_ANSWER = 1 << 20, ANSWER_MS = 60000 };

struct publish {
    struct client_options client;
    const char *channel; /* borrowed */
    const char *event;   /* borrowed; NULL: none */
    const char *once;    /* borrowed: the idempotency key; NULL: none */
    const char *data;    /* borrowed; NULL or "-": from standard input */
};

static const char usage[] =
    "Usage: sluice publish CHANNEL [flags]\n"
    "Publishes one message and prints the gateway's answer, which is JSON.\n"
    "Exit status: 0 when it was published, 1 when not, 2 when called wrongly.\n\n";

static int complain(const char *what)
{
    fprintf(stderr, "sluice publish: %s\n", what);
    return 1;
}

/* Standard input to its end, as it is: a line end at the end belongs to the message. */
static int read_input(struct buf *out)
{
    size_t got;
    do {
        got = fread(buf_reserve(out, READ_BYTES), 1, READ_BYTES, stdin);
        out->len += got;
        if (out->len > MOST_DATA)
            return complain("standard input: more than 256 MiB");
    } while (got);
    if (ferror(stdin)) {
        fprintf(stderr, "sluice publish: standard input: %s\n", strerror(errno));
        return 1;
    }
    return 0;
}

static size_t on_answer(char *bytes, size_t size, size_t count, void *ctx)
{
    struct buf *answer = ctx;
    if (size * count > MOST_ANSWER - answer->len)
        return 0;
    buf_append(answer, bytes, size * count);
    return size * count;
}

/* Prints the answer; the exit status. */
static int conclude(long status, const struct buf *answer)
{
    if (status < 200 || status > 299) {
        struct buf why = {0};
        client_refusal(&why, status, buf_view(answer));
        complain(buf_cstr(&why));
        buf_free(&why);
        return 1;
    }
    bool ended = answer->len && answer->data[answer->len - 1] == '\n';
    if (answer->len)
        fwrite(answer->data, 1, answer->len, stdout);
    if ((!ended && putchar('\n') == EOF) || fflush(stdout)) {
        fprintf(stderr, "sluice publish: standard output: %s\n", strerror(errno));
        return 1;
    }
    return 0;
}

static void publish_url(struct buf *out, const struct publish *p)
{
    client_url(out, &p->client, "/publish/");
    client_encode(out, span_of(p->channel));
    if (p->event) {
        buf_str(out, "?event=");
        client_encode(out, span_of(p->event));
    }
    if (p->once) {
        buf_str(out, p->event ? "&key=" : "?key=");
        client_encode(out, span_of(p->once));
    }
}

static int post(const struct publish *p, const struct buf *data)
{
    struct buf url = {0}, answer = {0};
    char error[CURL_ERROR_SIZE];
    long status = 0;
    int exit_status = 1;
    /* An empty Expect keeps libcurl from waiting for "100 Continue" before a large body. */
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    headers = curl_slist_append(headers, "Content-Type: text/plain; charset=utf-8");
    publish_url(&url, p);
    CURL *easy = client_easy(&p->client, buf_cstr(&url), &headers, error);
    if (!easy) {
        complain("out of memory");
        goto out;
    }
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)data->len);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, data->len ? data->data : "");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &answer);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)ANSWER_MS);
    CURLcode code = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    exit_status = code ? complain(client_failure(code, error)) : conclude(status, &answer);
out:
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
    buf_free(&answer);
    buf_free(&url);
    return exit_status;
}

static int run(void *ctx)
{
    const struct publish *p = ctx;
    struct buf data = {0};
    int status = 0;
    if (p->data && strcmp(p->data, "-") != 0)
        buf_str(&data, p->data);
    else
        status = read_input(&data);
    if (!status)
        status = post(p, &data);
    buf_free(&data);
    return status;
}

/* NULL, or what is wrong with how we were called. */
static const char *take_words(void *ctx, const struct arg_list *words)
{
    struct publish *p = ctx;
    if (words->count != 1)
        return words->count ? "expected one channel" : "expected a channel";
    p->channel = words->items[0];
    if (!*p->channel)
        return "the channel is empty";
    return client_options_error(&p->client);
}

int cli_publish(int argc, char **argv)
{
    struct publish p = {.client = client_defaults()};
    const struct arg table[] = {
        {"event", "E", "the event's name", ARG_TEXT, &p.event},
        {"data", "D", "the message; - or no --data at all: standard input, as it is", ARG_TEXT,
         &p.data},
        {"once", "ID",
         "publish just once however often it is tried with this ID (durable channels)", ARG_TEXT,
         &p.once},
        CLIENT_FLAGS(p.client),
    };
    struct arg_list words = {0};
    const struct client_command command = {
        .name = "publish",
        .usage = usage,
        .table = table,
        .count = sizeof(table) / sizeof(table[0]),
        .wrong = take_words,
        .run = run,
        .ctx = &p,
    };
    int status = client_command(&command, argc, argv, &words);
    args_list_free(&words);
    return status;
}
