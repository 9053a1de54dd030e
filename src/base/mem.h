/*
 * Allocation that cannot fail: out of memory ends the process with a message, as in Redis. Anything
 * whose size an outsider chooses is bounded by a limit before it is allocated. Any thread.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

/* Each returns owned memory, to be given to mem_free; never NULL. */
void *mem_alloc(size_t bytes);
void *mem_zalloc(size_t bytes);
void *mem_realloc(void *ptr, size_t bytes);
void *mem_dup(const void *src, size_t bytes); /* the copy has a NUL after it */
char *mem_strdup(const char *s);

/* mem_free: NULL is allowed. */
void mem_free(void *ptr);

#endif
