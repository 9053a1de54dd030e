#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static void usage(FILE *to, const struct cli_command *commands, size_t count)
{
    fputs("sluice " SLUICE_VERSION ": from Redis to everything that listens over HTTP\n\n"
          "Usage: sluice COMMAND [ARGUMENTS]\n\n",
          to);
    for (size_t i = 0; i < count; i++)
        fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].help);
    fputs("\n`sluice COMMAND --help` says more. `sluice --version` prints the version.\n", to);
}

int cli_run(const struct cli_command *commands, size_t count, int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < count; i++)
        if (strcmp(commands[i].name, name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        usage(stdout, commands, count);
        return 0;
    }
    if (strcmp(name, "--version") == 0) {
        puts("sluice " SLUICE_VERSION);
        return 0;
    }
    if (*name)
        fprintf(stderr, "sluice: there is no command \"%s\"\n\n", name);
    usage(stderr, commands, count);
    return 2;
}
