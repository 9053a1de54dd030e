#include "ops/config_json.h"

#include "base/err.h"
#include "base/mem.h"
#include "ops/config_text.h"

#include <string.h>

#define MAX_ENTRIES 1000

/* json_read's cursor, with room for what only a tree can find wrong. */
struct tree_reader {
    struct json_reader json;
    struct span text;
    struct buf problem; /* empty while all is well */
    size_t problem_at;
};

static bool read_node(struct tree_reader *r, struct json_node *node);

void json_where(struct buf *out, struct span text, size_t at)
{
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at && i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == '\n') {
            line++;
            column = 1;
        } else if ((c & 0xc0) != 0x80) {
            column++; /* the bytes 10xxxxxx go on with a character */
        }
    }
    buf_printf(out, "line %zu, column %zu", line, column);
}

const char *json_kind_name(enum json_kind kind)
{
    static const char *const names[] = {
        [JSON_BAD] = "nothing",     [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array",
        [JSON_STRING] = "a string", [JSON_NUMBER] = "a number",  [JSON_LITERAL] = "true or false",
        [JSON_NULL] = "null"};
    return names[kind];
}

static bool fail_at(struct tree_reader *r, size_t at, const char *problem)
{
    if (r->problem.len == 0) {
        buf_str(&r->problem, problem);
        r->problem_at = at;
    }
    return false;
}

static size_t offset_of(const struct tree_reader *r)
{
    return (size_t)(r->json.at - r->json.begin);
}

/* Where the next item begins: white space and commas are left for json_read to judge. */
static size_t next_item_at(const struct tree_reader *r)
{
    size_t at = offset_of(r);
    while (at < r->text.len && memchr(" \t\r\n,", r->text.ptr[at], 5))
        at++;
    return at;
}

/* The owned C string of what was read at `at`; NULL when it holds a NUL. */
static char *take_string(struct tree_reader *r, struct buf *bytes, size_t at)
{
    if (bytes->len == 0 || !memchr(bytes->data, 0, bytes->len))
        return buf_take(bytes);
    fail_at(r, at, "a NUL in a string");
    return NULL;
}

static bool read_scalar(struct tree_reader *r, struct json_node *node)
{
    struct buf bytes = {0};
    if (node->kind == JSON_STRING)
        json_read_string(&r->json, &bytes);
    else
        json_read_value(&r->json, &bytes);
    if (!r->json.error)
        node->text = take_string(r, &bytes, node->at);
    buf_free(&bytes);
    return node->text != NULL;
}

static bool fail_twice(struct tree_reader *r, const struct json_node *entry)
{
    struct buf line = {0};
    buf_str(&line, "the object has a member ");
    show_quoted(&line, span_of(entry->name));
    buf_str(&line, " already");
    fail_at(r, entry->at, buf_cstr(&line));
    buf_free(&line);
    return false;
}

/* Hangs one more entry into the slot behind the last; NULL: no more are allowed. */
static struct json_node *add_entry(struct tree_reader *r, struct json_node **slot, size_t count,
                                   size_t at)
{
    if (count == MAX_ENTRIES) {
        fail_at(r, at, "more than 1000 entries");
        return NULL;
    }
    *slot = mem_zalloc(sizeof(**slot));
    (*slot)->at = at;
    return *slot;
}

static bool read_array(struct tree_reader *r, struct json_node *array)
{
    struct json_node **slot = &array->child;
    size_t at = next_item_at(r);
    for (size_t count = 0; json_read_element(&r->json); count++, at = next_item_at(r)) {
        struct json_node *entry = add_entry(r, slot, count, at);
        if (!entry || !read_node(r, entry))
            return false;
        slot = &entry->next;
    }
    return !r->json.error;
}

static bool name_entry(struct tree_reader *r, struct json_node *object, struct json_node *entry,
                       struct buf *name)
{
    entry->name = take_string(r, name, entry->at);
    if (!entry->name)
        return false;
    for (const struct json_node *e = object->child; e != entry; e = e->next)
        if (strcmp(e->name, entry->name) == 0)
            return fail_twice(r, entry);
    return true;
}

static bool read_object(struct tree_reader *r, struct json_node *object)
{
    struct json_node **slot = &object->child;
    struct buf name = {0};
    bool good = true;
    size_t at = next_item_at(r);
    for (size_t count = 0; good && json_read_member(&r->json, &name); count++) {
        struct json_node *entry = add_entry(r, slot, count, at);
        good = entry && name_entry(r, object, entry, &name) && read_node(r, entry);
        slot = entry ? &entry->next : slot;
        at = next_item_at(r);
    }
    buf_free(&name);
    return good && !r->json.error;
}

static bool read_node(struct tree_reader *r, struct json_node *node)
{
    node->kind = json_read_peek(&r->json);
    if (node->kind != JSON_OBJECT && node->kind != JSON_ARRAY)
        return read_scalar(r, node);
    json_read_enter(&r->json);
    if (r->json.error)
        return false;
    return node->kind == JSON_OBJECT ? read_object(r, node) : read_array(r, node);
}

static bool is_closing(char c)
{
    return c == '}' || c == ']';
}

/* The commonest slip has a name of its own; else json_read's phrase, and the character it is about.
 */
static void explain(struct tree_reader *r)
{
    size_t at = r->json.error_at, before = at;
    while (before > 0 && memchr(" \t\r\n", r->text.ptr[before - 1], 4))
        before--;
    if (at < r->text.len && is_closing(r->text.ptr[at]) && before > 0 &&
        r->text.ptr[before - 1] == ',') {
        fail_at(r, before - 1, "a comma with nothing behind it");
        return;
    }
    fail_at(r, at, r->json.error);
    if (strcmp(r->json.error, "unexpected character") == 0 && r->problem_at == at) {
        buf_byte(&r->problem, ' ');
        show_quoted(&r->problem, span_make(r->text.ptr + at, 1));
    }
}

int json_tree_read(struct span text, struct json_node **out, struct buf *why)
{
    struct tree_reader r = {.text = text.ptr ? text : span_of("")};
    struct json_node *root = mem_zalloc(sizeof(*root));
    json_read_begin(&r.json, r.text);
    root->at = next_item_at(&r);
    if (read_node(&r, root))
        json_read_end(&r.json);
    if (r.json.error && r.problem.len == 0)
        explain(&r);
    int err = r.problem.len > 0 ? ERR_INVALID : 0;
    if (err == 0) {
        *out = root;
    } else {
        json_where(why, r.text, r.problem_at);
        buf_printf(why, ": %s", buf_cstr(&r.problem));
        json_tree_destroy(&root);
    }
    buf_free(&r.problem);
    return err;
}

/* Along `next` in a loop, along `child` by recursion, whose depth the reader has bounded. */
void json_tree_destroy(struct json_node **root)
{
    struct json_node *n = *root;
    *root = NULL;
    while (n) {
        struct json_node *next = n->next;
        json_tree_destroy(&n->child);
        mem_free(n->name);
        mem_free(n->text);
        mem_free(n);
        n = next;
    }
}
