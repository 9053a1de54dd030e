/* Prometheus text format 0.0.4: https://prometheus.io/docs/instrumenting/exposition_formats/ */
#ifndef PROTO_PROM_TEXT_H
#define PROTO_PROM_TEXT_H

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

enum prom_type { PROM_COUNTER, PROM_GAUGE, PROM_HISTOGRAM };

/* prom_head: the # HELP and # TYPE lines of one metric. */
void prom_head(struct buf *out, const char *name, enum prom_type type, const char *help);

/* prom_value: one sample; labels is NULL or pairs, {"reason","slow",NULL}; values are escaped. */
void prom_value(struct buf *out, const char *name, const char *const *labels, double value);

/*
 * prom_histogram: _bucket lines (cumulated here), _sum and _count. bounds: `n` upper bounds,
 * ascending; counts: n+1 numbers, not cumulated, the last for +Inf.
 */
void prom_histogram(struct buf *out, const char *name, const double *bounds, const uint64_t *counts,
                    size_t n, double sum);

#endif
