#include "base/mem.h"

#include "base/log.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *ptr, size_t bytes)
{
    if (!ptr) {
        log_error("base", "out of memory: %zu bytes were asked for", bytes);
        abort();
    }
    return ptr;
}

/* malloc(0) may answer NULL, which callers would take for a failure. */
static size_t at_least_one(size_t bytes)
{
    return bytes ? bytes : 1;
}

void *mem_alloc(size_t bytes)
{
    return checked(malloc(at_least_one(bytes)), bytes);
}

void *mem_zalloc(size_t bytes)
{
    return checked(calloc(1, at_least_one(bytes)), bytes);
}

void *mem_realloc(void *ptr, size_t bytes)
{
    return checked(realloc(ptr, at_least_one(bytes)), bytes);
}

void *mem_dup(const void *src, size_t bytes)
{
    if (bytes == SIZE_MAX)
        checked(NULL, bytes);
    char *copy = mem_alloc(bytes + 1);
    if (bytes)
        memcpy(copy, src, bytes);
    copy[bytes] = '\0';
    return copy;
}

char *mem_strdup(const char *s)
{
    return mem_dup(s, strlen(s));
}

void mem_free(void *ptr)
{
    free(ptr);
}
