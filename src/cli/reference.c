/* sluice reference: prints the reference page of the settings, as Markdown. */
#include "cli/cli.h"
#include "ops/config.h"

#include <stdio.h>
#include <string.h>

int cli_reference(int argc, char **argv)
{
    struct buf page = {0};
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        puts("Usage: sluice reference\n\nPrints the reference page of the settings, as Markdown.");
        return 0;
    }
    if (argc > 1) {
        fprintf(stderr, "sluice reference: unexpected argument \"%s\"; it takes none\n", argv[1]);
        return 2;
    }
    config_reference(&page);
    bool good = fwrite(page.data, 1, page.len, stdout) == page.len && fflush(stdout) == 0;
    buf_free(&page);
    return good ? 0 : 1;
}
