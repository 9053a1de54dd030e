/* Look-ups in the table of settings, and the names that a setting has. */
#include "ops/config_table.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

const struct setting *setting_find(struct span path)
{
    for (size_t i = 0; i < config_table_size; i++)
        if (span_is(path, config_table[i].path))
            return &config_table[i];
    return NULL;
}

bool setting_top(const struct setting *s)
{
    return strchr(s->path, '[') == NULL;
}

bool setting_is_file_only(const struct setting *s)
{
    return s->type == SETTING_ARRAY || s->type == SETTING_MAP || s->type == SETTING_FIELDS ||
           s->type == SETTING_GROUP;
}

bool setting_is_below(const struct setting *s, const struct setting *array)
{
    size_t len = strlen(array->path);
    return strncmp(s->path, array->path, len) == 0 && s->path[len] == '[' &&
           !strchr(s->path + len + 1, '[');
}

bool setting_has_below(struct span prefix)
{
    for (size_t i = 0; i < config_table_size; i++)
        if (setting_child(&config_table[i], prefix).len > 0)
            return true;
    return false;
}

struct span setting_child(const struct setting *s, struct span prefix)
{
    struct span path = span_of(s->path);
    if (path.len <= prefix.len || (prefix.len > 0 && memcmp(path.ptr, prefix.ptr, prefix.len) != 0))
        return span_make(NULL, 0);
    const char *word = path.ptr + prefix.len;
    return span_make(word, strcspn(word, ".["));
}

typedef void name_writer(struct buf *out, const struct setting *s);

static const struct setting *find_by(name_writer *write_name, struct span name)
{
    struct buf candidate = {0};
    const struct setting *found = NULL;
    for (size_t i = 0; i < config_table_size && !found; i++) {
        if (!setting_top(&config_table[i]))
            continue;
        buf_reset(&candidate);
        write_name(&candidate, &config_table[i]);
        if (span_eq(buf_view(&candidate), name))
            found = &config_table[i];
    }
    buf_free(&candidate);
    return found;
}

const struct setting *setting_of_flag(struct span name)
{
    return find_by(setting_flag_name, name);
}

const struct setting *setting_of_variable(struct span name)
{
    return find_by(setting_variable_name, name);
}

void setting_flag_name(struct buf *out, const struct setting *s)
{
    buf_str(out, "--");
    for (const char *c = s->path; *c; c++)
        buf_byte(out, (*c == '.' || *c == '_') ? '-' : *c);
}

void setting_variable_name(struct buf *out, const struct setting *s)
{
    buf_str(out, "SLUICE_");
    for (const char *c = s->path; *c; c++)
        buf_byte(out, *c == '.' ? '_' : (char)toupper((unsigned char)*c));
}

static void describe_words(struct buf *out, const char *const *words)
{
    for (size_t i = 0; words[i]; i++)
        buf_printf(out, "%s%s", i > 0 ? ", " : "", words[i]);
}

void setting_describe_valid(struct buf *out, const struct setting *s)
{
    switch (s->type) {
    case SETTING_BOOL:
        buf_str(out, "true, false");
        break;
    case SETTING_NUMBER:
        buf_printf(out, "%" PRIu64 " to %" PRIu64, s->min, s->max);
        break;
    case SETTING_CHOICE:
        describe_words(out, s->words);
        break;
    case SETTING_DIGEST:
        buf_str(out, "64 hex digits");
        break;
    case SETTING_TEXT:
    case SETTING_LIST:
        buf_str(out, s->valid);
        break;
    case SETTING_GROUP:
        buf_str(out, "an object");
        break;
    case SETTING_ARRAY:
        buf_str(out, "an array of objects, in the file");
        break;
    case SETTING_MAP:
    case SETTING_FIELDS:
        buf_printf(out, "an object, in the file; its members' names: %s", s->valid);
        break;
    }
}
