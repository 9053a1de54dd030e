/* The JSON file: walks the tree and looks each member up in the table. */
#include "base/err.h"
#include "base/mem.h"
#include "ops/config_text.h"
#include "ops/config_walk.h"

#include <string.h>

static int walk_object(const struct walk *w, const struct json_node *object,
                       const struct level *level);

static enum json_kind kind_of(const struct setting *s)
{
    static const enum json_kind kinds[] = {
        [SETTING_BOOL] = JSON_LITERAL,  [SETTING_NUMBER] = JSON_NUMBER,
        [SETTING_TEXT] = JSON_STRING,   [SETTING_LIST] = JSON_ARRAY,
        [SETTING_CHOICE] = JSON_STRING, [SETTING_DIGEST] = JSON_STRING,
        [SETTING_GROUP] = JSON_OBJECT,  [SETTING_ARRAY] = JSON_ARRAY,
        [SETTING_MAP] = JSON_OBJECT,    [SETTING_FIELDS] = JSON_OBJECT};
    return kinds[s->type];
}

static int apply_list(const struct walk *w, const struct json_node *node,
                      const struct assignment *a)
{
    size_t count = 0;
    for (const struct json_node *e = node->child; e; e = e->next)
        count++;
    struct span *entries = mem_alloc((count + 1) * sizeof(*entries));
    int err = 0;
    size_t i = 0;
    for (const struct json_node *e = node->child; e && err == 0; e = e->next, i++) {
        struct buf path = {0};
        buf_printf(&path, "%s[%zu]", a->path, i);
        entries[i] = span_of(e->text);
        if (e->kind != JSON_STRING)
            err = fail_kind(w, e, a->setting, buf_cstr(&path), JSON_STRING);
        buf_free(&path);
    }
    if (err == 0)
        err = assign_list(a, entries, count);
    mem_free(entries);
    return err;
}

static int apply_value(const struct walk *w, const struct json_node *node, const struct setting *s,
                       const char *path, void *base)
{
    struct buf where = {0};
    struct assignment a = walk_assignment(w, node, s, path, &where);
    a.base = base;
    int err =
        s->type == SETTING_LIST ? apply_list(w, node, &a) : assign_text(&a, span_of(node->text));
    if (err == 0)
        assign_done(&a);
    buf_free(&where);
    return err;
}

static bool has_member(const struct json_node *object, struct span name)
{
    for (const struct json_node *m = object->child; m; m = m->next)
        if (span_is(name, m->name))
            return true;
    return false;
}

/* Must the member `name` of the level be there? Not one of its members, which are asked for where
 * it is. */
static bool is_required(const struct setting *s, const struct level *level, struct span name)
{
    bool own = name.len > 0 && strlen(level->key) + name.len == strlen(s->path);
    return own && !s->fallback && (!setting_is_file_only(s) || s->min > 0);
}

/* Within an array's struct a row without a default must be given. */
static int check_required(const struct walk *w, const struct json_node *object,
                          const struct level *level)
{
    for (size_t i = 0; i < config_table_size; i++) {
        const struct setting *s = &config_table[i];
        struct span name = setting_child(s, span_of(level->key));
        if (!is_required(s, level, name) || has_member(object, name))
            continue;
        struct buf path = {0}, line = {0};
        buf_printf(&path, "%s%.*s", level->path, (int)name.len, name.ptr);
        buf_str(&line, "missing; valid: ");
        setting_describe_valid(&line, s);
        int err = fail_node(w, object, s, buf_cstr(&path), buf_cstr(&line));
        buf_free(&path);
        buf_free(&line);
        return err;
    }
    return 0;
}

static int apply_element(const struct walk *w, const struct json_node *element,
                         const struct setting *s, const char *shown, void *base)
{
    struct buf key = {0}, path = {0};
    int err;
    buf_str(&path, shown);
    if (element->kind != JSON_OBJECT) {
        err = fail_kind(w, element, s, buf_cstr(&path), JSON_OBJECT);
        goto out;
    }
    buf_printf(&key, "%s[].", s->path);
    buf_byte(&path, '.');
    struct level level = {.key = buf_cstr(&key), .path = buf_cstr(&path), .base = base};
    sources_set(w->config->sources, shown, w->source);
    assign_defaults(w->config, level.key, base);
    err = walk_object(w, element, &level);
    if (err == 0)
        err = check_required(w, element, &level);
out:
    buf_free(&key);
    buf_free(&path);
    return err;
}

/* The path of an element; a map's element is also given its name. */
static int name_element(const struct walk *w, const struct json_node *e, const struct setting *s,
                        size_t i, struct buf *path, void *base)
{
    if (s->type == SETTING_ARRAY) {
        buf_printf(path, "[%zu]", i);
        return 0;
    }
    const char *problem = e->name[0] ? s->check(span_of(e->name)) : "is empty";
    if (problem)
        return fail_name(w, e, s, buf_cstr(path), problem);
    *(char **)base = mem_strdup(e->name);
    buf_printf(path, ".%s", e->name);
    return 0;
}

static int apply_array(const struct walk *w, const struct json_node *node, const struct setting *s,
                       const char *path, void *base)
{
    size_t count = 0, i = 0;
    for (const struct json_node *e = node->child; e; e = e->next)
        count++; /* the reader has bounded it */
    if (check_count(w, node, s, path, count) != 0)
        return ERR_INVALID;
    void *elements = mem_zalloc((count + 1) * s->size);
    setting_clear(s, base);
    *(void **)(void *)((char *)base + s->offset) = elements;
    *(size_t *)(void *)((char *)base + s->count_offset) = count;
    sources_set(w->config->sources, path, w->source);
    int err = 0;
    for (const struct json_node *e = node->child; e && err == 0; e = e->next, i++) {
        void *element = (char *)elements + i * s->size;
        struct buf shown = {0};
        buf_str(&shown, path);
        err = name_element(w, e, s, i, &shown, element);
        if (err == 0)
            err = apply_element(w, e, s, buf_cstr(&shown), element);
        buf_free(&shown);
    }
    return err;
}

static int apply_field(const struct walk *w, const struct json_node *member,
                       const struct setting *s, const char *path, struct webhook_condition *field)
{
    const char *problem = s->check(span_of(member->name));
    struct buf shown = {0}, line = {0};
    int err = 0;
    if (problem)
        return fail_name(w, member, s, path, problem);
    buf_printf(&shown, "%s.", path);
    show_escaped(&shown, span_of(member->name));
    if (member->kind == JSON_OBJECT || member->kind == JSON_ARRAY) {
        buf_printf(&line, "expected a string, a number, true, false or null, found %s",
                   json_kind_name(member->kind));
        err = fail_node(w, member, s, buf_cstr(&shown), buf_cstr(&line));
    } else {
        *field = (struct webhook_condition){.field = mem_strdup(member->name),
                                            .kind = member->kind,
                                            .value = mem_strdup(member->text)};
    }
    buf_free(&shown);
    buf_free(&line);
    return err;
}

static int apply_fields(const struct walk *w, const struct json_node *node, const struct setting *s,
                        const char *path, void *base)
{
    size_t count = 0;
    for (const struct json_node *e = node->child; e; e = e->next)
        count++;
    if (check_count(w, node, s, path, count) != 0)
        return ERR_INVALID;
    struct webhook_condition *fields = mem_zalloc((count + 1) * sizeof(*fields));
    setting_clear(s, base);
    *(void **)(void *)((char *)base + s->offset) = fields;
    *(size_t *)(void *)((char *)base + s->count_offset) = count;
    sources_set(w->config->sources, path, w->source);
    for (const struct json_node *e = node->child; e; e = e->next)
        if (apply_field(w, e, s, path, fields++) != 0)
            return ERR_INVALID;
    return 0;
}

static int apply_setting(const struct walk *w, const struct json_node *node,
                         const struct setting *s, const char *path, const struct level *below)
{
    if (node->kind != kind_of(s))
        return fail_kind(w, node, s, path, kind_of(s));
    if (s->type == SETTING_ARRAY || s->type == SETTING_MAP)
        return apply_array(w, node, s, path, below->base);
    if (s->type == SETTING_FIELDS)
        return apply_fields(w, node, s, path, below->base);
    if (s->type != SETTING_GROUP)
        return apply_value(w, node, s, path, below->base);
    *(bool *)(void *)((char *)below->base + s->offset) = true;
    sources_set(w->config->sources, path, w->source);
    int err = walk_object(w, node, below);
    return err ? err : check_required(w, node, below);
}

static int apply_member(const struct walk *w, const struct json_node *member,
                        const struct level *level)
{
    if (strpbrk(member->name, ".["))
        return fail_unknown(w, member, level); /* "log.level" is a path and no member's name */
    struct buf key = {0}, path = {0};
    buf_printf(&key, "%s%s", level->key, member->name);
    buf_printf(&path, "%s%s", level->path, member->name);
    const struct setting *s = setting_find(buf_view(&key));
    struct buf shown = {0};
    buf_str(&shown, buf_cstr(&path));
    buf_byte(&key, '.');
    buf_byte(&path, '.');
    struct level below = {.key = buf_cstr(&key), .path = buf_cstr(&path), .base = level->base};
    int err;
    if (s)
        err = apply_setting(w, member, s, buf_cstr(&shown), &below);
    else if (!setting_has_below(buf_view(&key)))
        err = fail_unknown(w, member, level);
    else if (member->kind != JSON_OBJECT)
        err = fail_kind(w, member, NULL, buf_cstr(&shown), JSON_OBJECT);
    else
        err = walk_object(w, member, &below);
    buf_free(&shown);
    buf_free(&key);
    buf_free(&path);
    return err;
}

static int walk_object(const struct walk *w, const struct json_node *object,
                       const struct level *level)
{
    for (const struct json_node *m = object->child; m; m = m->next)
        if (apply_member(w, m, level) != 0)
            return ERR_INVALID;
    return 0;
}

static int apply_document(const struct walk *w)
{
    struct json_node *root = NULL;
    struct buf problem = {0};
    int err = json_tree_read(w->text, &root, &problem);
    if (err != 0)
        buf_printf(w->why, "%s, %s", w->source, buf_cstr(&problem));
    buf_free(&problem);
    if (err != 0)
        return err;
    struct level top = {.key = "", .path = "", .base = w->config};
    if (root->kind == JSON_OBJECT)
        err = walk_object(w, root, &top);
    else
        err = fail_kind(w, root, NULL, "the settings", JSON_OBJECT);
    json_tree_destroy(&root);
    return err;
}

int config_file_apply(struct config *config, const char *path, struct span text, struct buf *why)
{
    struct buf source = {0};
    buf_printf(&source, "file %s", path);
    struct walk w = {.config = config, .text = text, .source = buf_cstr(&source), .why = why};
    int err = apply_document(&w);
    buf_free(&source);
    return err;
}
