/*
 * What the process counts. One table makes the struct and what /metrics says of it. Each thread
 * owns one struct metrics and is the only one that writes to it; any thread may read all of them
 * (relaxed atomics: the one thing beside frames that threads share). Never one series per channel.
 */
#ifndef OPS_METRICS_H
#define OPS_METRICS_H

#include "base/buf.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* METRIC(field, type, name, label, value, help): rows of one name stand together. */
#define METRICS(METRIC)                                                                            \
    METRIC(connections, PROM_GAUGE, "sluice_connections", NULL, NULL, "Open event streams.")       \
    METRIC(sockets, PROM_GAUGE, "sluice_sockets", NULL, NULL,                                      \
           "Open HTTP connections, streams included.")                                             \
    METRIC(http2, PROM_GAUGE, "sluice_http2_connections", NULL, NULL,                              \
           "Open connections that speak HTTP/2, each with any number of streams.")                 \
    METRIC(http2_floods, PROM_COUNTER, "sluice_http2_floods_total", NULL, NULL,                    \
           "HTTP/2 connections ended for a flood of frames that ask for nothing.")                 \
    METRIC(accepted, PROM_COUNTER, "sluice_accepted_total", NULL, NULL,                            \
           "HTTP connections accepted.")                                                           \
    METRIC(streams, PROM_COUNTER, "sluice_streams_total", NULL, NULL, "Event streams opened.")     \
    METRIC(deliveries, PROM_COUNTER, "sluice_deliveries_total", NULL, NULL,                        \
           "Messages written to streams, whole, to the socket.")                                   \
    METRIC(sent_bytes, PROM_COUNTER, "sluice_sent_bytes_total", NULL, NULL,                        \
           "Bytes written to HTTP connections.")                                                   \
    METRIC(slow_disconnects, PROM_COUNTER, "sluice_slow_disconnects_total", NULL, NULL,            \
           "Streams closed because more than queue_bytes waited for them.")                        \
    METRIC(slow_replays, PROM_COUNTER, "sluice_slow_replays_total", NULL, NULL,                    \
           "Times more than queue_bytes waited for a durable stream, which then read again.")      \
    METRIC(conflated, PROM_COUNTER, "sluice_conflated_total", NULL, NULL,                          \
           "Messages that a slow client was not sent because a newer one came (slow: latest).")    \
    METRIC(resumes, PROM_COUNTER, "sluice_resumes_total", NULL, NULL,                              \
           "Durable streams opened with a last event id, since or last.")                          \
    METRIC(heads, PROM_COUNTER, "sluice_heads_total", NULL, NULL, "Events sluice.head sent.")      \
    METRIC(refused, PROM_COUNTER, "sluice_over_limit_total", NULL, NULL,                           \
           "Streams and requests refused because of a limit of connections, or while draining.")   \
    METRIC(heartbeats, PROM_COUNTER, "sluice_heartbeats_total", NULL, NULL, "Heartbeats sent.")    \
    METRIC(requests_2xx, PROM_COUNTER, "sluice_http_requests_total", "code", "2xx",                \
           "HTTP requests answered, by class of status.")                                          \
    METRIC(requests_3xx, PROM_COUNTER, "sluice_http_requests_total", "code", "3xx", NULL)          \
    METRIC(requests_4xx, PROM_COUNTER, "sluice_http_requests_total", "code", "4xx", NULL)          \
    METRIC(requests_5xx, PROM_COUNTER, "sluice_http_requests_total", "code", "5xx", NULL)          \
    METRIC(malformed, PROM_COUNTER, "sluice_http_malformed_total", NULL, NULL,                     \
           "HTTP requests that could not be read.")                                                \
    METRIC(timeouts, PROM_COUNTER, "sluice_http_timeouts_total", NULL, NULL,                       \
           "Connections closed because a request did not arrive in time.")                         \
    METRIC(accept_paused, PROM_GAUGE, "sluice_accept_paused", NULL, NULL,                          \
           "Workers that accept nothing now because descriptors are used up.")                     \
    METRIC(messages, PROM_COUNTER, "sluice_messages_total", NULL, NULL,                            \
           "Messages that came from the broker and had somebody to go to, each once.")             \
    METRIC(dropped_oversize, PROM_COUNTER, "sluice_dropped_messages_total", "reason", "oversize",  \
           "Messages from the broker that were not passed on.")                                    \
    METRIC(dropped_name, PROM_COUNTER, "sluice_dropped_messages_total", "reason", "name", NULL)    \
    METRIC(invalid_utf8, PROM_COUNTER, "sluice_invalid_utf8_total", NULL, NULL,                    \
           "Messages in which invalid UTF-8 was replaced.")                                        \
    METRIC(no_envelope, PROM_COUNTER, "sluice_no_envelope_total", NULL, NULL,                      \
           "Messages of an envelope namespace that were no envelope and went out raw.")            \
    METRIC(gaps_redis, PROM_COUNTER, "sluice_gaps_total", "reason", "redis",                       \
           "Gaps told, counted once for each topic, by reason.")                                   \
    METRIC(gaps_overflow, PROM_COUNTER, "sluice_gaps_total", "reason", "overflow", NULL)           \
    METRIC(gaps_trimmed, PROM_COUNTER, "sluice_gaps_total", "reason", "trimmed", NULL)             \
    METRIC(gaps_unknown, PROM_COUNTER, "sluice_gaps_total", "reason", "unknown", NULL)             \
    METRIC(durable_messages, PROM_COUNTER, "sluice_durable_messages_total", NULL, NULL,            \
           "Durable messages released, each once, whether they came by notice or were read.")      \
    METRIC(holes, PROM_COUNTER, "sluice_holes_total", NULL, NULL,                                  \
           "Times a durable message was found missing.")                                           \
    METRIC(holes_healed, PROM_COUNTER, "sluice_holes_healed_total", NULL, NULL,                    \
           "Durable messages that no notice brought and that were read from Redis.")               \
    METRIC(late_messages, PROM_COUNTER, "sluice_late_messages_total", NULL, NULL,                  \
           "Durable messages found when later ones had gone out already.")                         \
    METRIC(foreign_notices, PROM_COUNTER, "sluice_foreign_notices_total", NULL, NULL,              \
           "Notices of another dataset, or that could not be read.")                               \
    METRIC(replays_ring, PROM_COUNTER, "sluice_replays_ring_total", NULL, NULL,                    \
           "Slices of a replay served from memory.")                                               \
    METRIC(replays_redis, PROM_COUNTER, "sluice_replays_redis_total", NULL, NULL,                  \
           "Slices of a replay that had to wait for a read from Redis.")                           \
    METRIC(replayed, PROM_COUNTER, "sluice_replayed_messages_total", NULL, NULL,                   \
           "Durable messages given in replays.")                                                   \
    METRIC(ring_bytes, PROM_GAUGE, "sluice_ring_bytes", NULL, NULL,                                \
           "Bytes of durable messages kept for replay.")                                           \
    METRIC(lane_full, PROM_COUNTER, "sluice_lane_full_total", NULL, NULL,                          \
           "Frames not posted because a worker's lane was full (told as gap overflow).")           \
    METRIC(publishes, PROM_COUNTER, "sluice_publishes_total", "result", "ok",                      \
           "Messages published over HTTP.")                                                        \
    METRIC(publishes_failed, PROM_COUNTER, "sluice_publishes_total", "result", "failed", NULL)     \
    METRIC(invalidations, PROM_COUNTER, "sluice_invalidations_total", "result", "ok",              \
           "Invalidations asked for over HTTP.")                                                   \
    METRIC(invalidations_failed, PROM_COUNTER, "sluice_invalidations_total", "result", "failed",   \
           NULL)                                                                                   \
    METRIC(applied, PROM_COUNTER, "sluice_invalidations_applied_total", NULL, NULL,                \
           "Confirmations of peers for invalidations that were accepted here.")                    \
    METRIC(applied_10ms, PROM_COUNTER, "sluice_invalidations_applied_within_total", "seconds",     \
           "0.01", "Those of them that came within so many seconds.")                              \
    METRIC(applied_100ms, PROM_COUNTER, "sluice_invalidations_applied_within_total", "seconds",    \
           "0.1", NULL)                                                                            \
    METRIC(applied_1s, PROM_COUNTER, "sluice_invalidations_applied_within_total", "seconds", "1",  \
           NULL)                                                                                   \
    METRIC(applied_10s, PROM_COUNTER, "sluice_invalidations_applied_within_total", "seconds",      \
           "10", NULL)                                                                             \
    METRIC(tracking_up, PROM_GAUGE, "sluice_tracking_up", NULL, NULL,                              \
           "Whether Redis tells this gateway of changed keys: 1 or 0.")                            \
    METRIC(tracking_recorder, PROM_GAUGE, "sluice_tracking_recorder", NULL, NULL,                  \
           "Whether this gateway is the one that announces them: 1 or 0.")                         \
    METRIC(tracking_keys, PROM_COUNTER, "sluice_tracking_keys_total", NULL, NULL,                  \
           "Changed keys that Redis told of.")                                                     \
    METRIC(tracking_flushes, PROM_COUNTER, "sluice_tracking_flushes_total", NULL, NULL,            \
           "Times that more may have changed than Redis told of, and a flush was announced.")      \
    METRIC(tracking_spoofed, PROM_COUNTER, "sluice_tracking_spoofed_total", NULL, NULL,            \
           "Messages that somebody published on Redis's own channel; they were ignored.")          \
    METRIC(channels, PROM_GAUGE, "sluice_channels", NULL, NULL, "Channels subscribed to.")         \
    METRIC(patterns, PROM_GAUGE, "sluice_patterns", NULL, NULL, "Patterns subscribed to.")         \
    METRIC(redis_up, PROM_GAUGE, "sluice_redis_up", NULL, NULL,                                    \
           "Whether the broker can be reached: 1 or 0.")                                           \
    METRIC(redis_connects, PROM_COUNTER, "sluice_redis_connects_total", NULL, NULL,                \
           "Times the broker became ready.")                                                       \
    METRIC(redis_may_evict, PROM_GAUGE, "sluice_redis_may_evict", NULL, NULL,                      \
           "Whether Redis may drop history when its memory is full: 1 or 0.")

enum { METRICS_LATENCY_BUCKETS = 12 };

/* Times, in the same buckets for all. */
struct metrics_histogram {
    atomic_uint_fast64_t counts[METRICS_LATENCY_BUCKETS + 1]; /* not cumulated; the last is +Inf */
    atomic_uint_fast64_t sum_us;
};

struct metrics {
#define METRICS_FIELD(field, type, name, label, value, help) atomic_uint_fast64_t field;
    METRICS(METRICS_FIELD)
#undef METRICS_FIELD
    struct metrics_histogram latency;    /* a message's arrival to its write */
    struct metrics_histogram applied_in; /* an invalidation accepted to a peer's confirmation */
};

/* Only the owning thread calls these; a plain load and store, since nobody else writes. */
static inline void metrics_add(atomic_uint_fast64_t *field, uint64_t n)
{
    atomic_store_explicit(field, atomic_load_explicit(field, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline void metrics_set(atomic_uint_fast64_t *field, uint64_t value)
{
    atomic_store_explicit(field, value, memory_order_relaxed);
}

static inline uint64_t metrics_get(const atomic_uint_fast64_t *field)
{
    return atomic_load_explicit(field, memory_order_relaxed);
}

/* metrics_observe: one more of a histogram, in microseconds. */
void metrics_observe(struct metrics_histogram *h, uint64_t us);

/* metrics_render: the sums over `n` threads, as Prometheus text, with process facts at the end. */
void metrics_render(struct buf *out, const struct metrics *const *threads, size_t n);

/* metrics_render_json: the same numbers as one JSON object, members named as the metrics are. */
void metrics_render_json(struct buf *out, const struct metrics *const *threads, size_t n);

#endif
