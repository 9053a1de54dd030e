#include "base/err.h"

#include <stddef.h>

static const char *const names[] = {
    [-ERR_OK] = "ok",
    [-ERR_INVALID] = "invalid",
    [-ERR_TOO_LARGE] = "too large",
    [-ERR_NOT_FOUND] = "not found",
    [-ERR_DENIED] = "denied",
    [-ERR_UNKNOWN_ID] = "unknown identity",
    [-ERR_UNAVAILABLE] = "unavailable",
    [-ERR_FULL] = "full",
    [-ERR_TIMEOUT] = "timeout",
    [-ERR_SYS] = "system error",
};

const char *err_name(int err)
{
    const int count = sizeof(names) / sizeof(names[0]);
    if (err > 0 || err <= -count)
        return "unknown error";
    return names[-err];
}
