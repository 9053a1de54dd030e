#include "proto/template.h"

#include "proto/invalidation.h"
#include "proto/json_path.h"

static struct span take(struct span *rest, size_t len)
{
    struct span taken = span_make(rest->ptr, len);
    *rest = span_make(rest->ptr + len, rest->len - len);
    return taken;
}

static bool is_brace(char c)
{
    return c == '{' || c == '}';
}

static size_t plain_length(struct span s)
{
    size_t len = 0;
    while (len < s.len && !is_brace(s.ptr[len]))
        len++;
    return len;
}

/* NULL with the next part, or what is wrong. The rest is not empty. */
static const char *read_part(struct span *rest, struct template_part *part)
{
    part->field = false;
    if (!is_brace(rest->ptr[0])) {
        part->text = take(rest, plain_length(*rest));
        return NULL;
    }
    if (rest->len > 1 && rest->ptr[1] == rest->ptr[0]) {
        part->text = span_make(take(rest, 2).ptr, 1);
        return NULL;
    }
    if (rest->ptr[0] == '}')
        return "has a } that closes nothing; }} is the brace itself";
    const char *end = memchr(rest->ptr, '}', rest->len);
    if (!end)
        return "has a { that is not closed; {{ is the brace itself";
    struct span whole = take(rest, (size_t)(end - rest->ptr) + 1);
    *part = (struct template_part){.text = span_make(whole.ptr + 1, whole.len - 2), .field = true};
    if (part->text.len && memchr(part->text.ptr, '{', part->text.len))
        return "has a { within a field";
    return json_path_error(part->text) ? "has a field that is no path such as data.id" : NULL;
}

const char *template_error(struct span text)
{
    struct template_part part;
    const char *wrong = invalidation_name_error(INVALIDATION_TAGS, text);
    while (!wrong && text.len > 0)
        wrong = read_part(&text, &part);
    return wrong;
}

bool template_next(struct span *rest, struct template_part *part)
{
    return rest->len > 0 && read_part(rest, part) == NULL;
}
