#include "cli/args.h"

#include "base/err.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>

static void list_add(struct arg_list *list, const char *item)
{
    list->items = mem_realloc(list->items, (list->count + 1) * sizeof *list->items);
    list->items[list->count++] = item;
}

void args_list_free(struct arg_list *list)
{
    mem_free(list->items);
    *list = (struct arg_list){0};
}

static const struct arg *find(const struct arg *table, size_t count, struct span name)
{
    for (size_t i = 0; i < count; i++) {
        if (span_is(name, table[i].name))
            return &table[i];
    }
    return NULL;
}

static int set_count(uint64_t *into, const char *text)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || n == 0)
        return ERR_INVALID;
    *into = n;
    return 0;
}

static int set(const struct arg *arg, const char *text, struct buf *why)
{
    switch (arg->kind) {
    case ARG_SWITCH:
        *(bool *)arg->into = true;
        return 0;
    case ARG_TEXT:
        *(const char **)arg->into = text;
        return 0;
    case ARG_LIST:
        list_add(arg->into, text);
        return 0;
    case ARG_COUNT:
        if (!set_count(arg->into, text))
            return 0;
    }
    buf_printf(why, "--%s %s: expected a whole number from 1", arg->name, text);
    return ERR_INVALID;
}

/* One flag at argv[*at], with its value there or in the next word; moves *at past what it took. */
static int parse_flag(const struct arg *table, size_t count, int argc, char **argv, int *at,
                      struct buf *why)
{
    const char *text = argv[*at] + 2;
    const char *equals = strchr(text, '=');
    struct span name = span_make(text, equals ? (size_t)(equals - text) : strlen(text));
    const struct arg *arg = find(table, count, name);
    const char *value = equals ? equals + 1 : NULL;
    if (!arg) {
        buf_printf(why, "--%.*s: no such flag", (int)name.len, name.ptr);
        return ERR_INVALID;
    }
    if (arg->kind == ARG_SWITCH && value) {
        buf_printf(why, "--%s: takes no value", arg->name);
        return ERR_INVALID;
    }
    if (arg->kind != ARG_SWITCH && !value) {
        if (*at + 1 >= argc) {
            buf_printf(why, "--%s: expected a value", arg->name);
            return ERR_INVALID;
        }
        value = argv[++*at];
    }
    ++*at;
    return set(arg, value, why);
}

int args_parse(const struct arg *table, size_t count, int argc, char **argv, struct arg_list *words,
               struct buf *why)
{
    bool flags = true;
    for (int at = 1; at < argc;) {
        const char *word = argv[at];
        int err = 0;
        if (flags && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0))
            return ERR_NOT_FOUND;
        if (flags && strcmp(word, "--") == 0) {
            flags = false;
            at++;
        } else if (flags && strncmp(word, "--", 2) == 0) {
            err = parse_flag(table, count, argc, argv, &at, why);
        } else if (flags && word[0] == '-' && word[1]) {
            buf_printf(why, "%s: no such flag", word);
            err = ERR_INVALID;
        } else {
            list_add(words, word);
            at++;
        }
        if (err)
            return err;
    }
    return 0;
}

void args_help(const struct arg *table, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++) {
        struct buf left = {0};
        buf_printf(&left, "--%s%s%s", table[i].name, table[i].value ? " " : "",
                   table[i].value ? table[i].value : "");
        buf_printf(out, "  %-16s %s\n", buf_cstr(&left), table[i].help);
        buf_free(&left);
    }
    buf_printf(out, "  %-16s %s\n", "--help", "print this");
}
