#include "base/cast.h"

#include "base/log.h"

#include <stdlib.h>

void cast_failed(const char *type, const char *where, int line)
{
    log_error("base", "%s:%d: a callback was given a pointer that is no %s", where, line, type);
    abort();
}
