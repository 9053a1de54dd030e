/*
 * The one error enum of the program. Functions that can fail return `int`: 0 or one of these.
 * Output parameters are untouched on failure.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

enum err {
    ERR_OK = 0,
    ERR_INVALID = -1,     /* the input is not what it claims to be */
    ERR_TOO_LARGE = -2,   /* a limit was passed */
    ERR_NOT_FOUND = -3,   /* no such thing */
    ERR_DENIED = -4,      /* known, and may not */
    ERR_UNKNOWN_ID = -5,  /* nobody we know: credentials are missing or wrong */
    ERR_UNAVAILABLE = -6, /* the broker is away */
    ERR_FULL = -7,        /* a bounded queue took no more */
    ERR_TIMEOUT = -8,     /* no answer in time */
    ERR_SYS = -9,         /* a system call failed; errno says why */
};

/* err_name: a short English word for an enum err; never NULL. */
const char *err_name(int err);

#endif
