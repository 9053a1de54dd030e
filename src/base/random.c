#include "base/random.h"

#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void random_bytes(void *out, size_t bytes)
{
    char *at = out;
    while (bytes > 0) {
        ssize_t got = getrandom(at, bytes, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            log_error("base", "the system gives no random bytes: %s", strerror(errno));
            abort();
        }
        at += got;
        bytes -= (size_t)got;
    }
}

uint64_t random_u64(void)
{
    uint64_t n;
    random_bytes(&n, sizeof(n));
    return n;
}

void random_hex(char *out, size_t digits)
{
    random_bytes(out, digits);
    for (size_t i = 0; i < digits; i++)
        out[i] = "0123456789abcdef"[out[i] & 15];
    out[digits] = '\0';
}
