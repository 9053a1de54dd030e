#include "proto/json_path.h"

#include "proto/utf8.h"

enum { PATH_BYTES = 200 };

const char *json_path_error(struct span path)
{
    size_t segments = 1;
    if (path.len == 0)
        return "is empty";
    if (path.len > PATH_BYTES)
        return "is longer than 200 bytes";
    if (!utf8_valid(path))
        return "is not valid UTF-8";
    if (path.ptr[0] == '.' || path.ptr[path.len - 1] == '.')
        return "has a dot with no name beside it";
    for (size_t i = 1; i < path.len; i++) {
        segments += path.ptr[i] == '.';
        if (path.ptr[i] == '.' && path.ptr[i - 1] == '.')
            return "has a dot with no name beside it";
    }
    return segments > JSON_READ_DEPTH ? "is deeper than 32 names" : NULL;
}

/* Takes the first name off the path. */
static struct span next_segment(struct span *path)
{
    const char *dot = memchr(path->ptr, '.', path->len);
    struct span segment = span_make(path->ptr, dot ? (size_t)(dot - path->ptr) : path->len);
    size_t used = segment.len + (dot != NULL);
    *path = span_make(path->ptr + used, path->len - used);
    return segment;
}

/* The index that the name is, as JSON would write it; SIZE_MAX: it is none. */
static size_t parse_index(struct span s)
{
    size_t index = 0;
    if (s.len == 0 || s.len > 9 || (s.ptr[0] == '0' && s.len > 1))
        return SIZE_MAX;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return SIZE_MAX;
        index = index * 10 + (size_t)(s.ptr[i] - '0');
    }
    return index;
}

/* Recursion as deep as the path, whose depth is bounded. */
static enum json_kind find(struct json_reader *r, struct span path, struct buf *value);

static enum json_kind find_member(struct json_reader *r, struct span name, struct span rest,
                                  struct buf *value)
{
    enum json_kind found = JSON_BAD;
    struct buf member = {0};
    json_read_enter(r);
    while (json_read_member(r, &member)) {
        if (span_eq(buf_view(&member), name))
            found = find(r, rest, value);
        else
            json_read_value(r, NULL);
    }
    buf_free(&member);
    return found;
}

static enum json_kind find_element(struct json_reader *r, struct span name, struct span rest,
                                   struct buf *value)
{
    enum json_kind found = JSON_BAD;
    size_t wanted = parse_index(name);
    json_read_enter(r);
    for (size_t i = 0; json_read_element(r); i++) {
        if (i == wanted)
            found = find(r, rest, value);
        else
            json_read_value(r, NULL);
    }
    return found;
}

static enum json_kind find(struct json_reader *r, struct span path, struct buf *value)
{
    enum json_kind kind = json_read_peek(r);
    buf_reset(value);
    if (path.len == 0) {
        if (kind == JSON_STRING)
            json_read_string(r, value);
        else
            json_read_value(r, value);
        return kind;
    }
    struct span name = next_segment(&path);
    if (kind == JSON_OBJECT)
        return find_member(r, name, path, value);
    if (kind == JSON_ARRAY)
        return find_element(r, name, path, value);
    json_read_value(r, NULL);
    return JSON_BAD;
}

enum json_kind json_path_find(struct span json, struct span path, struct buf *value)
{
    struct json_reader r;
    json_read_begin(&r, json);
    enum json_kind kind = find(&r, path, value);
    if (r.error)
        kind = JSON_BAD;
    if (kind == JSON_BAD)
        buf_reset(value);
    return kind;
}
