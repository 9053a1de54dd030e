#include "ops/config_walk.h"

#include "base/mem.h"
#include "ops/config_text.h"

#include <string.h>

struct assignment walk_assignment(const struct walk *w, const struct json_node *node,
                                  const struct setting *s, const char *path, struct buf *where)
{
    buf_str(where, ", ");
    json_where(where, w->text, node->at);
    return (struct assignment){.setting = s,
                               .path = path,
                               .source = w->source,
                               .where = buf_cstr(where),
                               .config = w->config,
                               .why = w->why};
}

int fail_node(const struct walk *w, const struct json_node *node, const struct setting *setting,
              const char *path, const char *problem)
{
    struct buf where = {0};
    struct assignment a = walk_assignment(w, node, setting, path, &where);
    int err = assign_fail(&a, "%s", problem);
    buf_free(&where);
    return err;
}

static void describe_found(struct buf *out, const struct json_node *node, bool secret)
{
    if (node->kind == JSON_STRING && !secret) {
        buf_str(out, "the string ");
        show_quoted(out, span_of(node->text));
    } else if (node->kind == JSON_NUMBER && !secret) {
        buf_str(out, "the number ");
        show_escaped(out, span_of(node->text));
    } else if (node->kind == JSON_LITERAL && !secret) {
        buf_str(out, node->text);
    } else {
        buf_str(out, json_kind_name(node->kind));
    }
}

int fail_kind(const struct walk *w, const struct json_node *node, const struct setting *s,
              const char *path, enum json_kind expected)
{
    struct buf line = {0};
    buf_printf(&line, "expected %s, found ", json_kind_name(expected));
    describe_found(&line, node, s && s->secret != SETTING_PLAIN);
    if (s && s->type != SETTING_ARRAY && s->type != SETTING_GROUP) {
        buf_str(&line, "; valid: ");
        setting_describe_valid(&line, s);
    }
    int err = fail_node(w, node, s, path, buf_cstr(&line));
    buf_free(&line);
    return err;
}

int fail_unknown(const struct walk *w, const struct json_node *member, const struct level *level)
{
    struct span *valid = mem_alloc(config_table_size * sizeof(*valid));
    size_t count = 0;
    for (size_t i = 0; i < config_table_size; i++) {
        struct span word = setting_child(&config_table[i], span_of(level->key));
        if (word.len > 0 && (count == 0 || !span_eq(word, valid[count - 1])))
            valid[count++] = word; /* rows of one group stand together */
    }
    struct buf path = {0}, line = {0};
    buf_str(&path, level->path);
    show_escaped(&path, span_of(member->name));
    buf_str(&line, "unknown setting");
    show_unknown(&line, span_of(member->name), valid, count);
    int err = fail_node(w, member, NULL, buf_cstr(&path), buf_cstr(&line));
    buf_free(&path);
    buf_free(&line);
    mem_free(valid);
    return err;
}

/* `path: "name" has …; valid: …` about the name of a member that is no setting's. */
int fail_name(const struct walk *w, const struct json_node *member, const struct setting *s,
              const char *path, const char *problem)
{
    struct buf line = {0};
    show_quoted(&line, span_of(member->name));
    buf_printf(&line, " %s; valid: %s", problem, s->valid);
    int err = fail_node(w, member, s, path, buf_cstr(&line));
    buf_free(&line);
    return err;
}

int check_count(const struct walk *w, const struct json_node *node, const struct setting *s,
                const char *path, size_t count)
{
    struct buf line = {0};
    if (count >= s->min && count <= s->max)
        return 0;
    buf_printf(&line, "has %zu entries; valid: %zu to %zu", count, (size_t)s->min, (size_t)s->max);
    int err = fail_node(w, node, s, path, buf_cstr(&line));
    buf_free(&line);
    return err;
}
