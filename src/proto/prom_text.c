#include "proto/prom_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const type_names[] = {
    [PROM_COUNTER] = "counter",
    [PROM_GAUGE] = "gauge",
    [PROM_HISTOGRAM] = "histogram",
};

/* A quote is escaped in a label's value, but must stand as it is in a HELP line. */
static void put_escaped(struct buf *out, const char *s, bool in_quotes)
{
    for (; *s; s++) {
        if (*s == '\n')
            buf_str(out, "\\n");
        else if (*s == '\\' || (*s == '"' && in_quotes))
            buf_append(out, (char[]){'\\', *s}, 2);
        else
            buf_byte(out, *s);
    }
}

/* The shortest form that reads back as the same number. */
static void put_number(struct buf *out, double value)
{
    char text[32];
    if (isnan(value)) {
        buf_str(out, "NaN");
        return;
    }
    if (isinf(value)) {
        buf_str(out, value < 0 ? "-Inf" : "+Inf");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    buf_str(out, text);
}

void prom_head(struct buf *out, const char *name, enum prom_type type, const char *help)
{
    buf_printf(out, "# HELP %s ", name);
    put_escaped(out, help, false);
    buf_printf(out, "\n# TYPE %s %s\n", name, type_names[type]);
}

static void put_labels(struct buf *out, const char *const *labels)
{
    if (!labels || !labels[0])
        return;
    for (size_t i = 0; labels[i]; i += 2) {
        buf_printf(out, "%c%s=\"", i ? ',' : '{', labels[i]);
        put_escaped(out, labels[i + 1], true);
        buf_byte(out, '"');
    }
    buf_byte(out, '}');
}

void prom_value(struct buf *out, const char *name, const char *const *labels, double value)
{
    buf_str(out, name);
    put_labels(out, labels);
    buf_byte(out, ' ');
    put_number(out, value);
    buf_byte(out, '\n');
}

void prom_histogram(struct buf *out, const char *name, const double *bounds, const uint64_t *counts,
                    size_t n, double sum)
{
    uint64_t total = 0;
    for (size_t i = 0; i <= n; i++) {
        total += counts[i];
        buf_printf(out, "%s_bucket{le=\"", name);
        put_number(out, i < n ? bounds[i] : INFINITY);
        buf_printf(out, "\"} %" PRIu64 "\n", total);
    }
    buf_printf(out, "%s_sum ", name);
    put_number(out, sum);
    buf_printf(out, "\n%s_count %" PRIu64 "\n", name, total);
}
