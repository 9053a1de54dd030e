/* The flags: --a-b VALUE, --a-b=VALUE, and a bare --a-b for what is true or false. */
#include "base/err.h"
#include "base/mem.h"
#include "ops/config_load.h"
#include "ops/config_text.h"

#include <string.h>

/* A walk over the words; `at` is the next one. */
struct words {
    int at, count;
    char *const *list; /* borrowed */
    struct buf *why;   /* borrowed */
};

static int fail_flag(const struct words *w, struct span name, const char *problem)
{
    show_escaped(w->why, name);
    buf_printf(w->why, ": %s", problem);
    return ERR_INVALID;
}

static int fail_word(const struct words *w, const char *word)
{
    struct buf shown = {0};
    config_redact_url(&shown, span_of(word)); /* it may be the value of a flag that lost its name */
    show_quoted(w->why, buf_view(&shown));
    buf_str(w->why, ": unexpected argument; settings are given as --name VALUE or --name=VALUE");
    buf_free(&shown);
    return ERR_INVALID;
}

/* Cuts "--name=value" at the equals sign; without one value.ptr is NULL. */
static struct span cut_name(const char *word, struct span *value)
{
    const char *equals = strchr(word, '=');
    *value = equals ? span_of(equals + 1) : span_make(NULL, 0);
    return equals ? span_make(word, (size_t)(equals - word)) : span_of(word);
}

/* The value that stands in the next word. No value of a setting begins with two dashes. */
static int next_word(struct words *w, struct span name, struct span *value)
{
    if (w->at >= w->count || strncmp(w->list[w->at], "--", 2) == 0)
        return fail_flag(w, name, "needs a value");
    *value = span_of(w->list[w->at++]);
    return 0;
}

static int read_config_path(struct words *w, struct span name, struct span value,
                            struct config_flags *out)
{
    if (out->config_path)
        return fail_flag(w, name, "given twice");
    if (!value.ptr && next_word(w, name, &value) != 0)
        return ERR_INVALID;
    if (value.len == 0)
        return fail_flag(w, name, "needs the path of a file");
    out->config_path = value.ptr;
    return 0;
}

static int fail_unknown(const struct words *w, struct span name)
{
    show_escaped(w->why, name);
    buf_str(w->why, ": unknown flag");
    show_unknown_name(w->why, name, NAME_FLAG);
    return ERR_INVALID;
}

static int read_setting(struct words *w, struct span name, struct span value,
                        struct config_flags *out)
{
    const struct setting *s = setting_of_flag(name);
    if (!s)
        return fail_unknown(w, name);
    for (size_t i = 0; i < out->count; i++)
        if (out->flags[i].setting == s)
            return fail_flag(w, name,
                             s->type == SETTING_LIST ? "given twice; a list is written A,B"
                                                     : "given twice");
    if (!value.ptr && s->type == SETTING_BOOL)
        value = span_of("true");
    else if (!value.ptr && next_word(w, name, &value) != 0)
        return ERR_INVALID;
    struct config_flag *flag = &out->flags[out->count++];
    *flag = (struct config_flag){s, mem_dup(name.ptr, name.len), value};
    return 0;
}

static int read_word(struct words *w, struct config_flags *out)
{
    const char *word = w->list[w->at++];
    struct span value, name = cut_name(word, &value);
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return ERR_NOT_FOUND;
    if (word[0] != '-')
        return fail_word(w, word);
    if (span_is(name, "--config"))
        return read_config_path(w, name, value, out);
    return read_setting(w, name, value, out);
}

int config_flags_read(int argc, char *const *argv, struct config_flags *out, struct buf *why)
{
    struct words w = {.count = argc, .list = argv, .why = why};
    int err = 0;
    *out = (struct config_flags){.flags = mem_zalloc(config_table_size * sizeof(*out->flags))};
    while (w.at < w.count && err == 0)
        err = read_word(&w, out);
    return err;
}

int config_flags_apply(struct config *config, const struct config_flags *flags, struct buf *why)
{
    int err = 0;
    for (size_t i = 0; i < flags->count && err == 0; i++) {
        const struct config_flag *f = &flags->flags[i];
        struct buf source = {0};
        buf_printf(&source, "flag %s", f->name);
        struct assignment a = {.setting = f->setting,
                               .base = config,
                               .path = f->setting->path,
                               .source = buf_cstr(&source),
                               .where = "",
                               .config = config,
                               .why = why};
        err = assign_text(&a, f->value);
        if (err == 0)
            assign_done(&a);
        buf_free(&source);
    }
    return err;
}

void config_flags_free(struct config_flags *flags)
{
    for (size_t i = 0; i < flags->count; i++)
        mem_free(flags->flags[i].name);
    mem_free(flags->flags);
    *flags = (struct config_flags){0};
}
