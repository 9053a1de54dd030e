#include "ops/metrics.h"

#include "proto/json_text.h"
#include "proto/prom_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct metric_row {
    const char *name, *label, *value, *help;
    size_t offset; /* into struct metrics */
    enum prom_type type;
};

static const struct metric_row rows[] = {
#define METRICS_ROW(field, type, name, label, value, help)                                         \
    {name, label, value, help, offsetof(struct metrics, field), type},
    METRICS(METRICS_ROW)
#undef METRICS_ROW
};

enum { ROW_COUNT = sizeof(rows) / sizeof(rows[0]) };

/* With the deadlines of /api/stats among them: 10 ms, 100 ms, 1 s and 10 s. */
static const double bounds[METRICS_LATENCY_BUCKETS] = {
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1, 10};

static const struct histogram_row {
    const char *name, *help;
    size_t offset; /* into struct metrics */
} histograms[] = {
    {"sluice_publish_to_write_seconds",
     "From a message's arrival to its last write of the first pass, once for each worker.",
     offsetof(struct metrics, latency)},
    {"sluice_invalidation_applied_seconds",
     "From an invalidation accepted here to its confirmation, once for each peer.",
     offsetof(struct metrics, applied_in)},
};

void metrics_observe(struct metrics_histogram *h, uint64_t us)
{
    size_t i = 0;
    while (i < METRICS_LATENCY_BUCKETS && (double)us > bounds[i] * 1e6)
        i++;
    metrics_add(&h->counts[i], 1);
    metrics_add(&h->sum_us, us);
}

static uint64_t sum_at(const struct metrics *const *threads, size_t n, size_t offset)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        const char *base = (const char *)threads[i];
        sum += metrics_get((const atomic_uint_fast64_t *)(const void *)(base + offset));
    }
    return sum;
}

static void render_histogram(struct buf *out, const struct histogram_row *r,
                             const struct metrics *const *threads, size_t n)
{
    uint64_t counts[METRICS_LATENCY_BUCKETS + 1];
    size_t at = r->offset + offsetof(struct metrics_histogram, counts);
    for (size_t b = 0; b <= METRICS_LATENCY_BUCKETS; b++)
        counts[b] = sum_at(threads, n, at + b * sizeof(atomic_uint_fast64_t));
    double sum =
        (double)sum_at(threads, n, r->offset + offsetof(struct metrics_histogram, sum_us)) / 1e6;
    prom_head(out, r->name, PROM_HISTOGRAM, r->help);
    prom_histogram(out, r->name, bounds, counts, METRICS_LATENCY_BUCKETS, sum);
}

static uint64_t resident_bytes(void)
{
    uint64_t pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return 0;
    if (fscanf(f, "%*u %" SCNu64, &pages) != 1)
        pages = 0;
    fclose(f);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void render_process(struct buf *out)
{
    prom_head(out, "process_resident_memory_bytes", PROM_GAUGE, "Resident memory, in bytes.");
    prom_value(out, "process_resident_memory_bytes", NULL, (double)resident_bytes());
    prom_head(out, "process_cpu_seconds_total", PROM_COUNTER, "CPU time used, in seconds.");
    prom_value(out, "process_cpu_seconds_total", NULL, cpu_seconds());
    const char *const labels[] = {"version", SLUICE_VERSION, NULL};
    prom_head(out, "sluice_build_info", PROM_GAUGE, "Always 1; the label is the version.");
    prom_value(out, "sluice_build_info", labels, 1);
}

void metrics_render(struct buf *out, const struct metrics *const *threads, size_t n)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const struct metric_row *r = &rows[i];
        const char *const labels[] = {r->label, r->value, NULL};
        if (r->help)
            prom_head(out, r->name, r->type, r->help);
        prom_value(out, r->name, r->label ? labels : NULL, (double)sum_at(threads, n, r->offset));
    }
    for (size_t i = 0; i < sizeof(histograms) / sizeof(histograms[0]); i++)
        render_histogram(out, &histograms[i], threads, n);
    render_process(out);
}

/* sluice_gaps_total{reason="redis"} becomes "gaps_redis". */
static void json_member(struct buf *out, const struct metric_row *r, uint64_t value)
{
    const char *name = r->name + strlen("sluice_");
    size_t len = strlen(name);
    if (len > 6 && strcmp(name + len - 6, "_total") == 0)
        len -= 6;
    buf_printf(out, "\"%.*s%s%s\":%" PRIu64 ",", (int)len, name, r->value ? "_" : "",
               r->value ? r->value : "", value);
}

void metrics_render_json(struct buf *out, const struct metrics *const *threads, size_t n)
{
    buf_byte(out, '{');
    for (size_t i = 0; i < ROW_COUNT; i++)
        json_member(out, &rows[i], sum_at(threads, n, rows[i].offset));
    buf_printf(out,
               "\"resident_bytes\":%" PRIu64 ",\"cpu_seconds\":%.3f,\"version\":", resident_bytes(),
               cpu_seconds());
    json_text_string(out, span_of(SLUICE_VERSION));
    buf_byte(out, '}');
}
