/*
 * The commands of `sluice` besides `serve`: one file a command, and how one is chosen. argv[0] is
 * the command's name, the rest its words. Each runs to its end on the calling thread, writes
 * results to standard output and complaints to standard error, and returns the process's exit
 * status: 0, 1 when it failed, 2 when it was called wrongly.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stddef.h>

struct cli_command {
    const char *name, *help;
    int (*run)(int argc, char **argv);
};

/* cli_run: the command that the program's words name; else its usage. */
int cli_run(const struct cli_command *commands, size_t count, int argc, char **argv);

int cli_publish(int argc, char **argv); /* one message to a gateway */
int cli_tail(int argc, char **argv);    /* prints a stream, reconnects, resumes */

/*
 * cli_check validates a configuration and prints what is in force. What other rooms have to say of
 * it (the broker of its URL, http of the files of TLS) main brings along: 0, or an error with one
 * line in why.
 */
struct config;
struct buf;
typedef int cli_verify(const struct config *config, struct buf *why);
int cli_check(int argc, char **argv, cli_verify *verify);
int cli_reference(int argc, char **argv); /* prints the reference page of the settings */

/*
 * cli_functions prints the library that Redis needs, or says what is loaded; the broker is asked
 * through main: 0 when it is this program's version or a newer one, else an error; one line in out.
 */
typedef int cli_loaded(const char *url, struct buf *out);
int cli_functions(int argc, char **argv, cli_loaded *loaded);

#endif
