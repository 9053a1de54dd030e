/*
 * A call of the library holds Redis for as long as it takes, and everybody else with it: 10,000
 * names take about 36 ms. So a large body goes in slices, each a body of its own.
 */
#include "bus/slices.h"

#include "base/map.h"
#include "base/mem.h"
#include "bus/bus_private.h"
#include "proto/invalidation.h"
#include "proto/json_text.h"

struct slicing {
    struct slices *out;
    struct buf lists[INVALIDATION_LISTS]; /* owned: of the slice under way */
    struct buf end;                       /* owned: what every slice ends with */
    enum invalidation_list list;
    size_t count; /* names in it */
    struct map *seen;
};

static void count_name(void *ctx, struct span element)
{
    ++*(size_t *)ctx;
}

static size_t count_names(struct span body)
{
    size_t count = 0;
    for (int i = 0; i < INVALIDATION_LISTS; i++)
        answer_each(body, invalidation_list_name((enum invalidation_list)i), count_name, &count);
    return count;
}

static void add_slice(struct slices *s, size_t at, bool patterns)
{
    s->list = mem_realloc(s->list, (s->count + 1) * sizeof(*s->list));
    s->list[s->count++] = (struct slice){.at = at, .len = s->bytes.len - at, .patterns = patterns};
}

static void end_slice(struct slicing *s)
{
    struct buf *out = &s->out->bytes;
    size_t at = out->len;
    for (int i = 0; i < INVALIDATION_LISTS; i++) {
        buf_str(out, i ? ",\"" : "{\"");
        buf_str(out, invalidation_list_name((enum invalidation_list)i));
        buf_str(out, "\":[");
        buf_span(out, buf_view(&s->lists[i]));
        buf_byte(out, ']');
    }
    buf_span(out, buf_view(&s->end));
    add_slice(s->out, at, s->lists[INVALIDATION_PATTERNS].len > 0);
    for (int i = 0; i < INVALIDATION_LISTS; i++)
        buf_reset(&s->lists[i]);
    s->count = 0;
}

/* A name that came in an earlier slice would be counted as no copies there. */
static bool is_new(struct slicing *s, struct span element)
{
    if (map_get(s->seen, element))
        return false;
    struct span *copy = mem_alloc(sizeof(*copy) + element.len);
    memcpy(copy + 1, element.ptr, element.len);
    *copy = span_make((const char *)(copy + 1), element.len);
    map_put(s->seen, *copy, copy);
    return true;
}

static void add_name(void *ctx, struct span element)
{
    struct slicing *s = ctx;
    if (!is_new(s, element))
        return;
    if (s->count == SLICE_NAMES)
        end_slice(s);
    struct buf *list = &s->lists[s->list];
    if (list->len)
        buf_byte(list, ',');
    buf_span(list, element);
    s->count++;
}

static void slice_list(struct slicing *s, struct span body)
{
    size_t cursor = 0;
    s->seen = map_create();
    answer_each(body, invalidation_list_name(s->list), add_name, s);
    for (void *copy; (copy = map_next(s->seen, &cursor));)
        mem_free(copy);
    map_destroy(&s->seen);
}

static void write_end(struct buf *out, struct span body)
{
    static const char *const members[] = {"origin", "cause"};
    for (size_t i = 0; i < 2; i++) {
        struct buf text = {0};
        if (answer_field(body, members[i], &text)) {
            buf_printf(out, ",\"%s\":", members[i]);
            json_text_string(out, buf_view(&text));
        }
        buf_free(&text);
    }
    buf_byte(out, '}');
}

void slices_make(struct slices *out, struct span body)
{
    struct slicing s = {.out = out};
    if (count_names(body) <= SLICE_NAMES) {
        size_t patterns = 0;
        answer_each(body, "patterns", count_name, &patterns);
        buf_span(&out->bytes, body);
        add_slice(out, 0, patterns > 0);
        return;
    }
    write_end(&s.end, body);
    for (int i = 0; i < INVALIDATION_LISTS; i++) {
        s.list = (enum invalidation_list)i;
        slice_list(&s, body);
    }
    end_slice(&s);
    for (int i = 0; i < INVALIDATION_LISTS; i++)
        buf_free(&s.lists[i]);
    buf_free(&s.end);
}

struct span slices_body(const struct slices *s, size_t i)
{
    return span_make(s->bytes.data + s->list[i].at, s->list[i].len);
}

void slices_free(struct slices *s)
{
    buf_free(&s->bytes);
    mem_free(s->list);
    *s = (struct slices){0};
}
