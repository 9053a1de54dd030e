/* --help and the reference page, from the table. */
#include "ops/config_load.h"

#include <string.h>

enum { HELP_COLUMNS = 80, HELP_INDENT = 6 };

static const char *value_word(const struct setting *s)
{
    static const char *const words[] = {[SETTING_BOOL] = "[=true|false]",
                                        [SETTING_NUMBER] = "N",
                                        [SETTING_TEXT] = "TEXT",
                                        [SETTING_LIST] = "A,B,…",
                                        [SETTING_CHOICE] = "WORD",
                                        [SETTING_DIGEST] = "HEX",
                                        [SETTING_GROUP] = "",
                                        [SETTING_ARRAY] = "",
                                        [SETTING_MAP] = "",
                                        [SETTING_FIELDS] = ""};
    return words[s->type];
}

static const char *type_name(const struct setting *s)
{
    static const char *const names[] = {
        [SETTING_BOOL] = "true or false", [SETTING_NUMBER] = "whole number",
        [SETTING_TEXT] = "string",        [SETTING_LIST] = "list of strings",
        [SETTING_CHOICE] = "one of",      [SETTING_DIGEST] = "string",
        [SETTING_GROUP] = "object",       [SETTING_ARRAY] = "list of objects",
        [SETTING_MAP] = "object",         [SETTING_FIELDS] = "object"};
    return names[s->type];
}

static const char *shown_default(const struct setting *s)
{
    if (!s->fallback)
        return setting_is_file_only(s) && s->min == 0 ? "none" : "must be given";
    return *s->fallback ? s->fallback : "empty";
}

/* Indented, and broken between words, so that a terminal need not break it within one. */
static void append_wrapped(struct buf *out, struct span text)
{
    size_t column = 0;
    while (text.len) {
        const char *space = memchr(text.ptr, ' ', text.len);
        struct span word = span_make(text.ptr, space ? (size_t)(space - text.ptr) : text.len);
        size_t used = space ? word.len + 1 : word.len;
        bool fits = column && column + 1 + word.len <= HELP_COLUMNS;
        buf_str(out, fits ? " " : column ? "\n      " : "      ");
        column = (fits ? column + 1 : HELP_INDENT) + word.len;
        buf_span(out, word);
        text = span_make(text.ptr + used, text.len - used);
    }
    buf_byte(out, '\n');
}

static void help_row(struct buf *out, const struct setting *s)
{
    struct buf facts = {0};
    buf_str(out, "  ");
    setting_flag_name(out, s);
    buf_printf(out, s->type == SETTING_BOOL ? "%s\n" : " %s\n", value_word(s));
    append_wrapped(out, span_of(s->help));
    buf_str(&facts, "valid: ");
    setting_describe_valid(&facts, s);
    if (s->unit)
        buf_printf(&facts, " %s", s->unit);
    buf_printf(&facts, "; default: %s; environment: ", shown_default(s));
    setting_variable_name(&facts, s);
    append_wrapped(out, buf_view(&facts));
    buf_free(&facts);
}

void config_help(struct buf *out)
{
    buf_str(out, "Settings come from the defaults, then a JSON file, then the environment, then\n"
                 "these flags; each later one wins. API keys, namespaces and webhooks are in the\n"
                 "file only.\n\n"
                 "  --config PATH\n      The JSON file; environment: SLUICE_CONFIG\n");
    for (size_t i = 0; i < config_table_size; i++)
        if (setting_top(&config_table[i]) && !setting_is_file_only(&config_table[i]))
            help_row(out, &config_table[i]);
}

/* Markdown: a bar would end the cell, and outside code a backslash or star means something. */
static void append_cell(struct buf *out, const char *text)
{
    bool code = false;
    for (; *text; text++) {
        code = code != (*text == '`');
        if (*text == '|' || (!code && (*text == '\\' || *text == '*')))
            buf_byte(out, '\\');
        buf_byte(out, *text);
    }
}

static void append_valid_cell(struct buf *out, const struct setting *s)
{
    struct buf valid = {0};
    setting_describe_valid(&valid, s);
    buf_str(out, type_name(s));
    if (s->type == SETTING_CHOICE) {
        buf_printf(out, " %s", buf_cstr(&valid));
    } else if (s->type == SETTING_MAP || s->type == SETTING_FIELDS) {
        buf_str(out, "; its members' names: ");
        append_cell(out, s->valid);
    } else if (s->type != SETTING_BOOL && s->type != SETTING_GROUP && s->type != SETTING_ARRAY) {
        buf_str(out, ": ");
        append_cell(out, buf_cstr(&valid));
    }
    if (s->unit)
        buf_printf(out, " %s", s->unit);
    buf_free(&valid);
}

static void reference_row(struct buf *out, const struct setting *s)
{
    buf_printf(out, "| `%s` | ", s->path);
    append_valid_cell(out, s);
    if (s->fallback && *s->fallback)
        buf_printf(out, " | `%s` | ", s->fallback);
    else
        buf_printf(out, " | %s | ", shown_default(s));
    append_cell(out, s->help);
    buf_str(out, " |\n");
}

static void reference_table(struct buf *out, bool top)
{
    buf_str(out, "| setting | valid | default | what it is |\n| --- | --- | --- | --- |\n");
    for (size_t i = 0; i < config_table_size; i++) {
        const struct setting *s = &config_table[i];
        if ((setting_top(s) && !setting_is_file_only(s)) == top)
            reference_row(out, s);
    }
}

static void reference_names(struct buf *out)
{
    buf_str(out, "| setting | flag | variable |\n| --- | --- | --- |\n");
    for (size_t i = 0; i < config_table_size; i++) {
        const struct setting *s = &config_table[i];
        if (!setting_top(s) || setting_is_file_only(s))
            continue;
        buf_printf(out, "| `%s` | `", s->path);
        setting_flag_name(out, s);
        buf_str(out, "` | `");
        setting_variable_name(out, s);
        buf_str(out, "` |\n");
    }
}

static const char intro[] =
    "# Settings\n\n"
    "Made by `sluice reference` from the table in `src/ops/config_table.c`.\n\n"
    "A value comes from the default, then the JSON file (`--config PATH` or `SLUICE_CONFIG`), then "
    "the\n"
    "environment, then the flags; each later one wins. The setting `a.b` is the member `b` of the "
    "object\n"
    "`a` in the file, the variable `SLUICE_A_B` and the flag `--a-b VALUE` or `--a-b=VALUE`. On "
    "the command\n"
    "line and in the environment lists are written with commas; a bare `--open` is `--open=true`. "
    "Whatever is\n"
    "unknown, of the wrong type or out of range ends the start with one line that says what and "
    "where. `sluice\n"
    "check`, with the same flags, prints what is in force and where each value came from.\n\n"
    "## Everywhere\n\n";

static const char file_only[] = "\n## In the file only\n\n";

static const char notes[] = "\nA scope is `publish:GLOB` (a Redis glob over channel names: "
                            "`publish:orders.*`; `publish:*` is every\n"
                            "channel), `invalidate`, `peer` or `stats`.\n\n"
                            "`deploy/sluice.example.json` has every setting; the digests and "
                            "secrets in it are nobody's: put your own there.\n\n"
                            "Every channel has a namespace: unless one of them has the match `*`, "
                            "the namespace `{\"match\":\"*\"}` is put\n"
                            "behind the last one.\n\n"
                            "A secret of the invalidation bus is given as `secret`, as "
                            "`secret_file` (a file that holds it, with\n"
                            "or without a line end) or as `secret_env` (a variable that does), in "
                            "one of these ways only.\n\n"
                            "## Names\n\n";

static const char variables[] =
    "\n## Variables that others know too\n\n"
    "| variable | what it is |\n| --- | --- |\n"
    "| `REDIS_URL` | as `SLUICE_REDIS` |\n"
    "| `REDIS_HOST` | makes the URL together with `REDIS_PORT` (6379), `REDIS_DB` (0), "
    "`REDIS_PASSWORD` and "
    "`REDIS_USERNAME`, which alone mean nothing |\n"
    "| `REDIS_ENABLED` | `false` is the memory broker, `true` is Redis |\n\n"
    "`SLUICE_REDIS` goes before `REDIS_URL`, and that before `REDIS_HOST`; `SLUICE_BROKER` goes "
    "before\n"
    "`REDIS_ENABLED`. An empty `REDIS_*` variable counts as absent.\n\n"
    "An unknown variable that begins with `SLUICE_` ends the start. Not settings, and left alone: "
    "`SLUICE_CONFIG`;\n"
    "`SLUICE_URL` and `SLUICE_KEY`, for `sluice publish` and `sluice tail`; `SLUICE_BIN` and "
    "`SLUICE_TEST_*`, for\n"
    "the tests; and what Kubernetes sets for services whose names begin with `sluice` "
    "(`SLUICE_SERVICE_HOST`,\n"
    "`SLUICE_PORT_8080_TCP`, `SLUICE_PORT=tcp://…` and the like).\n";

void config_reference(struct buf *out)
{
    buf_str(out, intro);
    reference_table(out, true);
    buf_str(out, file_only);
    reference_table(out, false);
    buf_str(out, notes);
    reference_names(out);
    buf_str(out, variables);
}
