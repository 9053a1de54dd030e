/*
 * Where something stands among things that stand in rising order: by halves. Pure; any thread.
 */
#ifndef BASE_RISING_H
#define BASE_RISING_H

#include <stddef.h>
#include <stdint.h>

/* rising_up_to: how many of `count` things have a number up to `most`, when the i-th has
 * at(of, i), which never falls. */
static inline size_t rising_up_to(size_t count, uint64_t (*at)(const void *of, size_t i),
                                  const void *of, uint64_t most)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (at(of, middle) <= most)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

#endif
