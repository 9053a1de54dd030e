/* `sluice check`: what is in force and where each value came from. */
#include "ops/config_load.h"

#include "base/mem.h"

#include <string.h>

/* Lines are collected first, since the columns are as wide as the widest of them. */
struct print_line {
    char *path, *value; /* owned */
};

struct print {
    const struct config *config; /* borrowed */
    struct print_line *lines;    /* owned */
    size_t count, room;
};

/* A longer value pushes its own source to the right, not that of all lines. */
#define WIDEST_VALUE 40

static void add_line(struct print *p, const struct setting *s, const void *base, const char *path)
{
    struct buf value = {0};
    setting_show(&value, s, base);
    if (p->count == p->room) {
        p->room = p->room > 0 ? p->room * 2 : 64;
        p->lines = mem_realloc(p->lines, p->room * sizeof(*p->lines));
    }
    p->lines[p->count++] = (struct print_line){mem_strdup(path), buf_take(&value)};
}

/* The row of a group's member counts only where the group is there. */
static bool group_absent(const struct setting *s, const void *base)
{
    bool absent = false;
    for (size_t i = 0; i < config_table_size; i++) {
        const struct setting *group = &config_table[i];
        size_t len = strlen(group->path);
        if (group->type == SETTING_GROUP && strncmp(s->path, group->path, len) == 0 &&
            (s == group || s->path[len] == '.'))
            absent = absent || !*((const char *)base + group->offset);
    }
    return absent;
}

/* Recursion as deep as the table nests arrays. */
static void add_row(struct print *p, const struct setting *s, const char *base, const char *path);

static void add_element(struct print *p, const struct setting *array, const char *element,
                        const char *element_path)
{
    size_t skip = strlen(array->path) + 2; /* "[]" */
    for (size_t row = 0; row < config_table_size; row++) {
        const struct setting *s = &config_table[row];
        if (!setting_is_below(s, array) || s->type == SETTING_GROUP || group_absent(s, element))
            continue;
        struct buf path = {0};
        buf_printf(&path, "%s%s", element_path, s->path + skip);
        add_row(p, s, element, buf_cstr(&path));
        buf_free(&path);
    }
}

static void add_row(struct print *p, const struct setting *s, const char *base, const char *path)
{
    bool map = s->type == SETTING_MAP;
    size_t count = 0;
    if (map || s->type == SETTING_ARRAY)
        count = *(const size_t *)(const void *)(base + s->count_offset);
    if (count == 0)
        add_line(p, s, base, path);
    for (size_t i = 0; i < count; i++) {
        const char *element = *(char *const *)(const void *)(base + s->offset) + i * s->size;
        struct buf shown = {0};
        if (map)
            buf_printf(&shown, "%s.%s", path, *(char *const *)(const void *)element);
        else
            buf_printf(&shown, "%s[%zu]", path, i);
        add_element(p, s, element, buf_cstr(&shown));
        buf_free(&shown);
    }
}

static size_t widest(const struct print *p, bool values)
{
    size_t most = 0;
    for (size_t i = 0; i < p->count; i++) {
        size_t len = strlen(values ? p->lines[i].value : p->lines[i].path);
        if (len > most && (!values || len <= WIDEST_VALUE))
            most = len;
    }
    return most;
}

void config_print(const struct config *config, struct buf *out)
{
    struct print p = {.config = config};
    for (size_t i = 0; i < config_table_size; i++) {
        const struct setting *s = &config_table[i];
        if (setting_top(s))
            add_row(&p, s, (const char *)config, s->path);
    }
    int paths = (int)widest(&p, false), values = (int)widest(&p, true);
    for (size_t i = 0; i < p.count; i++) {
        struct print_line *line = &p.lines[i];
        buf_printf(out, "%-*s  %-*s  %s\n", paths, line->path, values, line->value,
                   sources_get(config->sources, line->path));
        mem_free(line->path);
        mem_free(line->value);
    }
    mem_free(p.lines);
}
