/*
 * SipHash-1-3: a keyed hash whose collisions an outsider who lacks the key cannot make. Pure; any
 * thread. Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012).
 */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include "base/span.h"

#include <stdint.h>

uint64_t siphash13(const uint8_t key[16], struct span bytes);

#endif
