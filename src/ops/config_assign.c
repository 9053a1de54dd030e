/* From the text of a value to the field of a struct. */
#include "base/err.h"
#include "base/mem.h"
#include "ops/config_load.h"
#include "ops/config_text.h"
#include "proto/utf8.h"

#include <string.h>

static void *field_of(const struct setting *s, void *base)
{
    return (char *)base + s->offset;
}

static size_t *count_of(const struct setting *s, void *base)
{
    return (size_t *)(void *)((char *)base + s->count_offset);
}

int assign_fail(const struct assignment *a, const char *fmt, ...)
{
    va_list ap;
    buf_printf(a->why, "%s: ", a->path);
    va_start(ap, fmt);
    buf_vprintf(a->why, fmt, ap);
    va_end(ap);
    buf_printf(a->why, " (%s%s)", a->source, a->where);
    return ERR_INVALID;
}

void assign_done(const struct assignment *a)
{
    sources_set(a->config->sources, a->path, a->source);
}

/* `"value" is no number; valid: 0 to 256`, without the value where that is a secret. */
static int fail_value(const struct assignment *a, const char *path, struct span value,
                      const char *what)
{
    struct buf line = {0};
    struct assignment at = *a;
    if (a->setting->secret == SETTING_PLAIN) {
        show_quoted(&line, value);
        buf_byte(&line, ' ');
    }
    buf_printf(&line, "%s; valid: ", what);
    setting_describe_valid(&line, a->setting);
    at.path = path;
    int err = assign_fail(&at, "%s", buf_cstr(&line));
    buf_free(&line);
    return err;
}

static int find_word(const char *const *words, struct span text)
{
    for (int i = 0; words[i]; i++)
        if (span_is(text, words[i]))
            return i;
    return -1;
}

static int assign_bool(const struct assignment *a, struct span text)
{
    static const char *const words[] = {[false] = "false", [true] = "true", NULL};
    int word = find_word(words, text);
    if (word < 0)
        return fail_value(a, a->path, text, "is neither true nor false");
    *(bool *)field_of(a->setting, a->base) = word == 1;
    return 0;
}

/* Only digits: no sign, no fraction, no unit. A number too large for 64 bits reads as the largest.
 */
static bool parse_number(struct span text, uint64_t *out)
{
    uint64_t number = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        unsigned digit = (unsigned)(text.ptr[i] - '0');
        number = number > (UINT64_MAX - digit) / 10 ? UINT64_MAX : number * 10 + digit;
    }
    *out = number;
    return text.len > 0;
}

static int assign_number(const struct assignment *a, struct span text)
{
    uint64_t number;
    if (!parse_number(text, &number))
        return fail_value(a, a->path, text, "is not a whole number");
    if (number < a->setting->min || number > a->setting->max)
        return fail_value(a, a->path, text, "is out of range");
    void *field = field_of(a->setting, a->base);
    if (a->setting->size == sizeof(uint32_t))
        *(uint32_t *)field = (uint32_t)number;
    else
        *(uint64_t *)field = number;
    return 0;
}

static int assign_choice(const struct assignment *a, struct span text)
{
    int word = find_word(a->setting->words, text);
    if (word < 0)
        return fail_value(a, a->path, text, "is unknown");
    void *field = field_of(a->setting, a->base);
    if (a->setting->size == sizeof(bool))
        *(bool *)field = word == 1;
    else
        *(unsigned *)field = (unsigned)word;
    return 0;
}

/* What is wrong with one text or one entry of a list; NULL: nothing. */
static const char *text_error(const struct setting *s, struct span text)
{
    if (!utf8_valid(text))
        return "is not valid UTF-8";
    return s->check ? s->check(text) : NULL;
}

static int assign_string(const struct assignment *a, struct span text)
{
    const struct setting *s = a->setting;
    const char *wrong = NULL;
    if (text.len == 0 && s->min > 0)
        wrong = "is empty";
    else if (text.len > s->max)
        wrong = "is too long";
    else
        wrong = text_error(s, text);
    if (wrong)
        return fail_value(a, a->path, text, wrong);
    char **field = field_of(s, a->base);
    mem_free(*field);
    *field = mem_dup(text.ptr ? text.ptr : "", text.len);
    return 0;
}

static int check_entry(const struct assignment *a, const struct span *entries, size_t at)
{
    const char *wrong = entries[at].len == 0 ? "is empty" : text_error(a->setting, entries[at]);
    for (size_t i = 0; i < at && !wrong; i++)
        if (span_eq(entries[i], entries[at]))
            wrong = "is there twice";
    if (!wrong)
        return 0;
    struct buf path = {0};
    buf_printf(&path, "%s[%zu]", a->path, at);
    int err = fail_value(a, buf_cstr(&path), entries[at], wrong);
    buf_free(&path);
    return err;
}

int assign_list(const struct assignment *a, const struct span *entries, size_t count)
{
    const struct setting *s = a->setting;
    if (count < s->min || count > s->max)
        return assign_fail(a, "has %zu entries; valid: %zu to %zu of %s", count, (size_t)s->min,
                           (size_t)s->max, s->valid);
    for (size_t i = 0; i < count; i++)
        if (check_entry(a, entries, i) != 0)
            return ERR_INVALID;
    setting_clear(s, a->base);
    char **list = mem_zalloc((count + 1) * sizeof(*list));
    for (size_t i = 0; i < count; i++)
        list[i] = mem_dup(entries[i].ptr, entries[i].len);
    *(char ***)field_of(s, a->base) = list;
    *count_of(s, a->base) = count;
    return 0;
}

/* A list by comma; the empty text is the empty list. */
static int assign_list_text(const struct assignment *a, struct span text)
{
    size_t room = 1, count = 0;
    for (size_t i = 0; i < text.len; i++)
        room += text.ptr[i] == ',';
    struct span *entries = mem_alloc(room * sizeof(*entries));
    for (size_t at = 0; text.len > 0 && at <= text.len;) {
        const char *comma = memchr(text.ptr + at, ',', text.len - at);
        size_t end = comma ? (size_t)(comma - text.ptr) : text.len;
        entries[count++] = span_make(text.ptr + at, end - at);
        at = end + 1;
    }
    int err = assign_list(a, entries, count);
    mem_free(entries);
    return err;
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *found = c ? strchr(digits, c) : NULL;
    return found ? (int)((found - digits) % 16) : -1;
}

static int assign_digest(const struct assignment *a, struct span text)
{
    uint8_t digest[32];
    if (text.len != 2 * sizeof(digest))
        return fail_value(a, a->path, text, "is not as long as a SHA-256");
    for (size_t i = 0; i < sizeof(digest); i++) {
        int high = hex_digit(text.ptr[2 * i]), low = hex_digit(text.ptr[2 * i + 1]);
        if (high < 0 || low < 0)
            return fail_value(a, a->path, text, "has something else than hex digits");
        digest[i] = (uint8_t)(high << 4 | low);
    }
    memcpy(field_of(a->setting, a->base), digest, sizeof(digest));
    return 0;
}

int assign_text(const struct assignment *a, struct span text)
{
    switch (a->setting->type) {
    case SETTING_BOOL:
        return assign_bool(a, text);
    case SETTING_NUMBER:
        return assign_number(a, text);
    case SETTING_TEXT:
        return assign_string(a, text);
    case SETTING_LIST:
        return assign_list_text(a, text);
    case SETTING_CHOICE:
        return assign_choice(a, text);
    case SETTING_DIGEST:
        return assign_digest(a, text);
    case SETTING_GROUP:
    case SETTING_ARRAY:
    case SETTING_MAP:
    case SETTING_FIELDS:
        break;
    }
    return assign_fail(a, "can be set in the file only");
}

void assign_defaults(struct config *config, const char *prefix, void *base)
{
    struct buf why = {0};
    size_t len = strlen(prefix);
    for (size_t i = 0; i < config_table_size; i++) {
        const struct setting *s = &config_table[i];
        if (strncmp(s->path, prefix, len) != 0 || strchr(s->path + len, '[') || !s->fallback)
            continue;
        struct assignment a = {.setting = s,
                               .base = base,
                               .path = s->path,
                               .source = "default",
                               .where = "",
                               .config = config,
                               .why = &why};
        (void)assign_text(&a, span_of(s->fallback)); /* a unit test holds every default good */
    }
    buf_free(&why);
}

static void clear_list(const struct setting *s, void *base)
{
    char ***field = field_of(s, base);
    size_t *count = count_of(s, base);
    for (size_t i = 0; i < *count; i++)
        mem_free((*field)[i]);
    mem_free(*field);
    *field = NULL;
    *count = 0;
}

/* The structs of an array or map: first what the rows below it own, then the array. */
static void clear_array(const struct setting *s, void *base)
{
    void **field = field_of(s, base);
    size_t *count = count_of(s, base);
    for (size_t row = 0; row < config_table_size; row++) {
        const struct setting *below = &config_table[row];
        for (size_t i = 0; setting_is_below(below, s) && i < *count; i++)
            setting_clear(below, (char *)*field + i * s->size);
    }
    for (size_t i = 0; s->type == SETTING_MAP && i < *count; i++)
        mem_free(*(char **)(void *)((char *)*field + i * s->size));
    mem_free(*field);
    *field = NULL;
    *count = 0;
}

static void clear_fields(const struct setting *s, void *base)
{
    struct webhook_condition **field = field_of(s, base);
    size_t *count = count_of(s, base);
    for (size_t i = 0; i < *count; i++) {
        mem_free((*field)[i].field);
        mem_free((*field)[i].value);
    }
    mem_free(*field);
    *field = NULL;
    *count = 0;
}

void setting_clear(const struct setting *s, void *base)
{
    if (s->type == SETTING_TEXT) {
        char **field = field_of(s, base);
        mem_free(*field);
        *field = NULL;
    } else if (s->type == SETTING_LIST) {
        clear_list(s, base);
    } else if (s->type == SETTING_ARRAY || s->type == SETTING_MAP) {
        clear_array(s, base);
    } else if (s->type == SETTING_FIELDS) {
        clear_fields(s, base);
    }
}
