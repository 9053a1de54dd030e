/* sluice functions: prints the library that durable messages need in Redis, or what is loaded. */
#include "proto/functions.h"
#include "base/buf.h"
#include "cli/cli.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "Usage: sluice functions [--script | --status [--redis URL]]\n\n"
    "Prints the library of functions that durable messages need in Redis. The gateway loads it\n"
    "itself where it may; elsewhere, with Redis 7.0 or later:\n\n"
    "  sluice functions | redis-cli -x FUNCTION LOAD REPLACE\n\n"
    "  --script      the same as one script, for Redis 6.2 or where functions are not allowed:\n"
    "                sluice functions --script | redis-cli -x SCRIPT LOAD\n"
    "  --status      says which version is loaded; ends with 0 when it is this one or a newer one\n"
    "  --redis URL   where; else SLUICE_REDIS, REDIS_URL or redis://127.0.0.1:6379/0. Other users\n"
    "                of this machine may see a password that stands in a command";

struct request {
    bool help, script, status;
    const char *url, *unexpected; /* borrowed */
};

static void read_words(struct request *r, int argc, char **argv)
{
    for (int i = 1; i < argc && !r->unexpected; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            r->help = true;
        else if (strcmp(argv[i], "--script") == 0 && !r->status)
            r->script = true;
        else if (strcmp(argv[i], "--status") == 0 && !r->script)
            r->status = true;
        else if (strcmp(argv[i], "--redis") == 0 && i + 1 < argc)
            r->url = argv[++i];
        else
            r->unexpected = argv[i];
    }
    if (r->url && !r->status && !r->unexpected)
        r->unexpected = "--redis";
}

static const char *usual_url(void)
{
    static const char *const names[] = {"SLUICE_REDIS", "REDIS_URL"};
    for (size_t i = 0; i < 2; i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return value;
    }
    return "redis://127.0.0.1:6379/0";
}

static int tell_status(const char *url, cli_loaded *loaded)
{
    struct buf out = {0};
    int err = loaded(url ? url : usual_url(), &out);
    fprintf(err ? stderr : stdout, "%s\n", buf_cstr(&out));
    buf_free(&out);
    return err ? 1 : 0;
}

static int print(const char *text)
{
    return fputs(text, stdout) >= 0 && fflush(stdout) == 0 ? 0 : 1;
}

int cli_functions(int argc, char **argv, cli_loaded *loaded)
{
    struct request r = {0};
    read_words(&r, argc, argv);
    if (r.unexpected) {
        fprintf(stderr,
                "sluice functions: unexpected argument \"%s\"; valid are --script, --status and "
                "--redis URL\n",
                r.unexpected);
        return 2;
    }
    if (r.help)
        return puts(usage) < 0;
    if (r.status)
        return tell_status(r.url, loaded);
    return print(r.script ? sluice_script() : sluice_functions);
}
