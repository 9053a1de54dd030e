/*
 * Input: help, 0xff, a label's value, 0xff, eight bytes of a double, then bytes that are a
 * histogram's counts. What is written is as many lines as it should be and reads back as what went
 * in.
 */
#include "base/mem.h"
#include "fuzz.h"
#include "proto/prom_text.h"

#include <math.h>

enum { MAX_FIELD = 200, MAX_BOUNDS = 20 };

static size_t count_lines(const struct buf *b)
{
    size_t lines = 0;
    for (size_t i = 0; i < b->len; i++)
        lines += b->data[i] == '\n';
    return lines;
}

/* Reads an escaped text at p, up to `end`; returns where it ended. */
static const char *unescape(const char *p, char end, struct buf *out)
{
    for (; *p != end; p++) {
        FUZZ_CHECK(*p && *p != '\n');
        char c = *p;
        if (c == '\\') {
            c = *++p;
            FUZZ_CHECK(c == 'n' || c == '\\' || (c == '"' && end == '"'));
            c = c == 'n' ? '\n' : c;
        }
        buf_byte(out, c);
    }
    return p;
}

static void check_head(const char *help)
{
    struct buf text = {0}, read = {0};
    prom_head(&text, "m", PROM_GAUGE, help);
    const char *p = buf_cstr(&text);
    FUZZ_CHECK(count_lines(&text) == 2);
    FUZZ_CHECK(strncmp(p, "# HELP m ", 9) == 0);
    p = unescape(p + 9, '\n', &read);
    FUZZ_CHECK(span_is(buf_view(&read), help));
    FUZZ_CHECK(strcmp(p, "\n# TYPE m gauge\n") == 0);
    buf_free(&text);
    buf_free(&read);
}

static void check_value(const char *label, double value)
{
    const char *const labels[] = {"a", "", "b", label, NULL}, *const none[] = {NULL};
    struct buf text = {0}, read = {0};
    prom_value(&text, "m", labels, value);
    const char *p = buf_cstr(&text);
    FUZZ_CHECK(count_lines(&text) == 1 && strncmp(p, "m{a=\"\",b=\"", 10) == 0);
    p = unescape(p + 10, '"', &read);
    FUZZ_CHECK(span_is(buf_view(&read), label));
    FUZZ_CHECK(strncmp(p, "\"} ", 3) == 0);
    char *end;
    double back = strtod(p + 3, &end);
    FUZZ_CHECK(strcmp(end, "\n") == 0);
    FUZZ_CHECK(isnan(value) ? isnan(back) : back == value);

    buf_reset(&text);
    prom_value(&text, "m", none, value);
    FUZZ_CHECK(strncmp(buf_cstr(&text), "m ", 2) == 0);
    buf_free(&text);
    buf_free(&read);
}

static void check_histogram(struct span bytes, double sum)
{
    double bounds[MAX_BOUNDS];
    uint64_t counts[MAX_BOUNDS + 1] = {0}, total = 0;
    size_t n = bytes.len > MAX_BOUNDS ? MAX_BOUNDS : bytes.len;
    for (size_t i = 0; i < n; i++) {
        bounds[i] = (double)i / 8;
        counts[i] = (uint8_t)bytes.ptr[i];
        total += counts[i];
    }
    struct buf text = {0}, tail = {0};
    prom_histogram(&text, "h", bounds, counts, n, sum);
    buf_printf(&tail, "h_bucket{le=\"+Inf\"} %llu\nh_sum ", (unsigned long long)total);
    FUZZ_CHECK(count_lines(&text) == n + 3);
    const char *found = strstr(buf_cstr(&text), buf_cstr(&tail));
    FUZZ_CHECK(found);
    buf_reset(&tail);
    buf_printf(&tail, "h_count %llu\n", (unsigned long long)total);
    found = strstr(found, buf_cstr(&tail));
    FUZZ_CHECK(found && found[tail.len] == '\0');
    buf_free(&text);
    buf_free(&tail);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = span_make((const char *)data, size);
    struct span help_field = fuzz_field(&rest, MAX_FIELD),
                label_field = fuzz_field(&rest, MAX_FIELD);
    double value = 0;
    if (rest.len >= sizeof(value)) {
        memcpy(&value, rest.ptr, sizeof(value));
        rest = span_make(rest.ptr + sizeof(value), rest.len - sizeof(value));
    }
    char *help = mem_dup(help_field.ptr, help_field.len);
    char *label = mem_dup(label_field.ptr, label_field.len);
    check_head(help);
    check_value(label, value);
    check_histogram(rest, value);
    mem_free(help);
    mem_free(label);
    return 0;
}
