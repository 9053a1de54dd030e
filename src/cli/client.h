/*
 * What the commands that call a gateway share: where it is, who calls, and how its refusals read.
 * The only thing here that touches libcurl is client_easy.
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include "base/buf.h"
#include "base/span.h"
#include "cli/args.h"

#include <curl/curl.h>
#include <stdbool.h>

struct client_options {
    const char *url;       /* borrowed: the gateway's root, http:// or https:// */
    const char *unix_path; /* borrowed: NULL means by TCP */
    const char *key;       /* borrowed: NULL means without credentials */
    const char *cacert;    /* borrowed: a file of the only CAs to trust; NULL means the system's */
};

/* The rows of a table of flags that set them. */
#define CLIENT_FLAGS(options)                                                                      \
    {"url", "U", "the gateway (SLUICE_URL, else http://127.0.0.1:8080)", ARG_TEXT,                 \
     &(options).url},                                                                              \
        {"cacert", "FILE", "trust this PEM file's CAs and no others", ARG_TEXT,                    \
         &(options).cacert},                                                                       \
        {"unix", "PATH", "connect to the gateway by this socket", ARG_TEXT, &(options).unix_path}, \
    {                                                                                              \
        "key", "K", "the API key (better SLUICE_KEY: other users see arguments)", ARG_TEXT,        \
            &(options).key                                                                         \
    }

/* client_defaults: SLUICE_URL or http://127.0.0.1:8080, and SLUICE_KEY; an empty variable is no
 * variable. */
struct client_options client_defaults(void);

/* client_options_error: NULL, or what is wrong: the flag and a phrase. Never repeats the key. */
const char *client_options_error(const struct client_options *options);

/* client_url: appends the root without its last slashes, then path ("/events"). */
void client_url(struct buf *out, const struct client_options *options, const char *path);

/* client_encode: appends s percent-encoded: good in a path segment and in a query. */
void client_encode(struct buf *out, struct span s);

/*
 * client_refusal: appends one line for people about an HTTP answer that is not the wanted one: the
 * status and the gateway's own {"error"}, or else the beginning of the body.
 */
void client_refusal(struct buf *out, long status, struct span body);

/*
 * client_easy: an easy handle for one request. The caller adds its own headers to *headers first
 * (may be NULL) and frees both handle and list; `error` (CURL_ERROR_SIZE bytes) must live as long
 * as the handle. NULL when libcurl has no memory.
 */
CURL *client_easy(const struct client_options *options, const char *url,
                  struct curl_slist **headers, char *error);

/* client_is_hopeless: a failure that the next try would meet too, whatever the gateway does. */
bool client_is_hopeless(CURLcode code);

/* A command that calls a gateway, from its words to its exit status. */
struct client_command {
    const char *name, *usage;
    const struct arg *table;
    size_t count;
    /* NULL, or what is wrong with how we were called */
    const char *(*wrong)(void *ctx, const struct arg_list *words);
    int (*run)(void *ctx); /* the exit status */
    void *ctx;             /* borrowed */
};

/* client_command: reads the words, of which those that are no flags go to `words`, and runs, or
 * prints help or what is wrong. The lists are to be freed in each case. */
int client_command(const struct client_command *command, int argc, char **argv,
                   struct arg_list *words);

/* client_failure: what to say of a transfer that failed: libcurl's detailed text, else its general
 * one. */
const char *client_failure(CURLcode code, const char *error);

#endif
