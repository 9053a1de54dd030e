#include "cli/client.h"

#include "base/err.h"
#include "cli/json_fields.h"
#include "cli/printable.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CONNECT_MS = 10000, SHOWN_BYTES = 300 };

static const char *from_environment(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

struct client_options client_defaults(void)
{
    return (struct client_options){
        .url = from_environment("SLUICE_URL", "http://127.0.0.1:8080"),
        .key = from_environment("SLUICE_KEY", NULL),
    };
}

static bool has_control_or(const char *s, const char *others)
{
    for (; *s; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7f || strchr(others, *s))
            return true;
    }
    return false;
}

const char *client_options_error(const struct client_options *options)
{
    if (!span_starts(span_of(options->url), "http://") &&
        !span_starts(span_of(options->url), "https://"))
        return "--url: expected http://HOST[:PORT] or https://HOST[:PORT]";
    if (has_control_or(options->url, " ?#"))
        return "--url: has a space, a control character, ? or #";
    if (options->unix_path && !*options->unix_path)
        return "--unix: expected the path of a socket";
    if (options->key && has_control_or(options->key, ""))
        return "--key: has a control character";
    if (options->cacert && access(options->cacert, R_OK) != 0)
        return "--cacert: expected a file that can be read";
    return NULL;
}

void client_url(struct buf *out, const struct client_options *options, const char *path)
{
    struct span root = span_of(options->url);
    while (root.len && root.ptr[root.len - 1] == '/')
        root.len--;
    buf_span(out, root);
    buf_str(out, path);
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void client_encode(struct buf *out, struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (is_unreserved(s.ptr[i]))
            buf_byte(out, s.ptr[i]);
        else
            buf_printf(out, "%%%02X", (unsigned char)s.ptr[i]);
    }
}

void client_refusal(struct buf *out, long status, struct span body)
{
    struct json_field error = {.name = "error"};
    struct span shown = span_make(body.ptr, body.len < SHOWN_BYTES ? body.len : SHOWN_BYTES);
    if (json_fields_read(body, &error, 1) == 0 && error.given)
        shown = json_field_view(&error);
    while (shown.len && (shown.ptr[shown.len - 1] == '\n' || shown.ptr[shown.len - 1] == '\r'))
        shown.len--;
    buf_printf(out, "%ld", status);
    if (shown.len)
        buf_str(out, ": ");
    printable(out, shown);
    json_fields_free(&error, 1);
}

static void add_header(struct curl_slist **headers, const char *name, const char *value)
{
    struct buf line = {0};
    buf_printf(&line, "%s%s", name, value);
    struct curl_slist *longer = curl_slist_append(*headers, buf_cstr(&line));
    if (longer)
        *headers = longer;
    buf_free(&line);
}

CURL *client_easy(const struct client_options *options, const char *url,
                  struct curl_slist **headers, char *error)
{
    CURL *easy = curl_easy_init();
    if (!easy)
        return NULL;
    error[0] = '\0';
    if (options->key)
        add_header(headers, "Authorization: Bearer ", options->key);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, *headers);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "sluice/" SLUICE_VERSION);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    /* A channel may be called "..": libcurl would resolve that against the rest of the path. */
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    if (options->cacert) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, options->cacert);
        /* Or the system's directory of CAs would go on being trusted beside the file. */
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    if (options->unix_path) {
        curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, options->unix_path);
        curl_easy_setopt(easy, CURLOPT_PROXY, "");
    }
    return easy;
}

bool client_is_hopeless(CURLcode code)
{
    return code == CURLE_SSL_CACERT_BADFILE;
}

const char *client_failure(CURLcode code, const char *error)
{
    return *error ? error : curl_easy_strerror(code);
}

int client_command(const struct client_command *command, int argc, char **argv,
                   struct arg_list *words)
{
    struct buf text = {0};
    int status = 2;
    int err = args_parse(command->table, command->count, argc, argv, words, &text);
    const char *wrong = err ? buf_cstr(&text) : command->wrong(command->ctx, words);
    if (err == ERR_NOT_FOUND) {
        args_help(command->table, command->count, &text);
        status = printf("%s%s", command->usage, buf_cstr(&text)) < 0;
    } else if (wrong) {
        fprintf(stderr, "sluice %s: %s (see sluice %s --help)\n", command->name, wrong,
                command->name);
    } else {
        curl_global_init(CURL_GLOBAL_DEFAULT);
        status = command->run(command->ctx);
        curl_global_cleanup();
    }
    buf_free(&text);
    return status;
}
