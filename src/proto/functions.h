/*
 * The Redis function library of durable messages, deploy/sluice.lua, which is part of the program:
 * the gateway loads it itself. What its functions take and answer stands at its top. Any thread.
 */
#ifndef PROTO_FUNCTIONS_H
#define PROTO_FUNCTIONS_H

#include <string.h>

/* What sluice_version answers when this text is loaded; a higher one is not to be replaced. */
enum { SLUICE_FUNCTIONS_VERSION = 6 };

/* For FUNCTION LOAD: the whole text. */
extern const char sluice_functions[];

/* For SCRIPT LOAD, where there are no functions: the text without the line that only they know. */
static inline const char *sluice_script(void)
{
    return strchr(sluice_functions, '\n') + 1;
}

#endif
