/* How long a client that lost its stream waits before it tries again. Pure: the chance is given. */
#ifndef CLI_BACKOFF_H
#define CLI_BACKOFF_H

#include <stdint.h>

enum {
    BACKOFF_LEAST_MS = 100,  /* a stream that says retry: 0 is not asked again without a pause */
    BACKOFF_MOST_MS = 30000, /* unless the stream itself said more */
    BACKOFF_MOST_ASKED_MS =
        300000, /* of a Retry-After header, so that no gateway silences us for good */
};

/*
 * backoff_ms: retry_ms is the stream's own `retry`; refusals counts the tries in a row that brought
 * no stream; asked_ms is what the refusal asked for, 0 for nothing; chance is any random number.
 * After a stream that ran: retry_ms. After the nth refusal: retry_ms doubled n - 1 times. Up to a
 * quarter is added, so that the clients of a killed gateway do not come back together.
 */
uint32_t backoff_ms(uint32_t retry_ms, unsigned refusals, uint32_t asked_ms, uint32_t chance);

#endif
