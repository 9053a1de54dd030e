/*
 * The words of a command line, by a table from which `--help` is made too. `--name value` and
 * `--name=value` are the same; after `--` everything is a word. Pure: prints nothing.
 */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum arg_kind {
    ARG_SWITCH, /* bool: no value */
    ARG_TEXT,   /* const char *: borrowed from argv */
    ARG_LIST,   /* struct arg_list: may be given several times */
    ARG_COUNT,  /* uint64_t: a whole number from 1 */
};

struct arg_list {
    const char **items; /* owned; the texts are borrowed from argv */
    size_t count;
};

struct arg {
    const char *name;  /* without its dashes */
    const char *value; /* what help calls the value */
    const char *help;
    enum arg_kind kind;
    void *
        into; /* borrowed: of the kind's type; holds the default and is left alone when not given */
};

/*
 * args_parse: argv[0] is the command's name. Words that are no flags go to `words`. 0; ERR_INVALID
 * with a line in why; ERR_NOT_FOUND when --help (or -h) was asked for. The lists are to be freed in
 * each case.
 */
int args_parse(const struct arg *table, size_t count, int argc, char **argv, struct arg_list *words,
               struct buf *why);
void args_list_free(struct arg_list *list);

/* args_help: appends a line for each flag. */
void args_help(const struct arg *table, size_t count, struct buf *out);

#endif
