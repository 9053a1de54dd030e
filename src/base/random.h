/*
 * The kernel's random bytes: for names that nobody can guess, for keys, and for jitter. They cannot
 * fail to come: early at boot the caller waits, and a kernel that has none ends the process with a
 * message, as base/mem.h does. Any thread.
 */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

void random_bytes(void *out, size_t bytes);
uint64_t random_u64(void);

/* random_hex: so many of 0-9 a-f, and a NUL. */
void random_hex(char *out, size_t digits);

#endif
