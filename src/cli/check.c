/* sluice check: validates a configuration and prints what is in force. */
#include "base/err.h"
#include "cli/cli.h"
#include "ops/config.h"

#include <stdio.h>
#include <unistd.h>

static int print(FILE *to, struct buf *text)
{
    bool good = fwrite(text->data, 1, text->len, to) == text->len && fflush(to) == 0;
    buf_free(text);
    return good ? 0 : 1;
}

static int print_usage(void)
{
    struct buf text = {0};
    buf_str(
        &text,
        "Usage: sluice check [--config PATH] [settings]\n\n"
        "Validates the settings as `sluice serve` does, and prints which are in force and\n"
        "where each comes from. Reads the files of TLS, opens no port and no connection. Exits\n"
        "with 0, or with 2 and the reason on standard error.\n\n");
    config_help(&text);
    return print(stdout, &text);
}

static int refuse(struct buf *why)
{
    struct buf line = {0};
    buf_printf(&line, "sluice check: %s\n", buf_cstr(why));
    (void)print(stderr, &line);
    return 2;
}

static int check(const struct config *config, cli_verify *verify)
{
    struct buf text = {0};
    int status;
    if (verify(config, &text) != 0) {
        status = refuse(&text);
    } else {
        config_print(config, &text);
        status = print(stdout, &text);
    }
    buf_free(&text);
    return status;
}

int cli_check(int argc, char **argv, cli_verify *verify)
{
    struct config *config = NULL;
    struct buf why = {0};
    int status;
    switch (config_load(argc - 1, argv + 1, environ, &config, &why)) {
    case 0:
        status = check(config, verify);
        break;
    case ERR_NOT_FOUND:
        status = print_usage();
        break;
    default:
        status = refuse(&why);
    }
    config_destroy(&config);
    buf_free(&why);
    return status;
}
