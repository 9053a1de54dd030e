/* Values for `sluice check`; secrets are not among them. */
#include "ops/config_load.h"

#include <inttypes.h>

static void show_text(struct buf *out, const struct setting *s, const char *text)
{
    if (s->secret == SETTING_SECRET_URL)
        config_redact_url(out, span_of(text));
    else if (s->secret == SETTING_SECRET)
        buf_str(out, *text ? "(set)" : "(none)");
    else
        buf_str(out, *text ? text : "\"\"");
}

static void show_list(struct buf *out, char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "%s%s", i > 0 ? "," : "", list[i]);
    if (count == 0)
        buf_str(out, "(none)");
}

static uint64_t number_in(const void *field, size_t size)
{
    if (size == sizeof(bool))
        return *(const bool *)field;
    return size == sizeof(uint32_t) ? *(const uint32_t *)field : *(const uint64_t *)field;
}

static void show_fields(struct buf *out, const struct webhook_condition *fields, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "%s%s=%s", i > 0 ? "," : "", fields[i].field, fields[i].value);
    if (count == 0)
        buf_str(out, "(none)");
}

void setting_show(struct buf *out, const struct setting *s, const void *base)
{
    const char *field = (const char *)base + s->offset;
    const char *count = (const char *)base + s->count_offset;
    switch (s->type) {
    case SETTING_BOOL:
    case SETTING_GROUP:
        buf_str(out, *(const bool *)(const void *)field ? "true" : "false");
        break;
    case SETTING_NUMBER:
        buf_printf(out, "%" PRIu64, number_in(field, s->size));
        break;
    case SETTING_CHOICE:
        buf_str(out, s->words[number_in(field, s->size)]);
        break;
    case SETTING_TEXT:
        show_text(out, s, *(char *const *)(const void *)field);
        break;
    case SETTING_LIST:
        show_list(out, *(char **const *)(const void *)field, *(const size_t *)(const void *)count);
        break;
    case SETTING_DIGEST:
        buf_str(out, "(set)");
        break;
    case SETTING_FIELDS:
        show_fields(out, *(struct webhook_condition *const *)(const void *)field,
                    *(const size_t *)(const void *)count);
        break;
    case SETTING_ARRAY:
    case SETTING_MAP:
        buf_str(out, *(const size_t *)(const void *)count > 0 ? "(set)" : "(none)");
        break;
    }
}
