/*
 * What ends a command that would else run for ever: SIGINT, SIGTERM, and a standard output that
 * nobody reads any more. Owns the two signals and SIGPIPE of the process from wake_create to
 * wake_destroy; one at a time, on the main thread.
 */
#ifndef CLI_WAKE_H
#define CLI_WAKE_H

#include "base/span.h"

#include <stdint.h>

enum wake_reason {
    WAKE_NONE,
    WAKE_SIGNAL,      /* asked to end */
    WAKE_OUTPUT_GONE, /* the reader of standard output has gone */
    WAKE_OUTPUT_BAD,  /* standard output cannot be written to; errno says why */
};

struct wake; /* opaque */

/* wake_create: NULL when there is no standard output or no descriptor left; errno says so. */
struct wake *wake_create(void);
void wake_destroy(struct wake **wake);

/* wake_fd: a descriptor that is readable when wake_wait would tell a reason. Borrowed. */
int wake_fd(const struct wake *wake);

/* wake_wait: waits at most ms for a reason. A reason stays. */
enum wake_reason wake_wait(struct wake *wake, uint32_t ms);

/* wake_write: writes all of it to standard output; a reader that pauses is waited for, WAKE_NONE is
 * success. */
enum wake_reason wake_write(struct wake *wake, struct span bytes);

#endif
