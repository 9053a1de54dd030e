/* What a reload cannot change: which settings differ and take effect at the next start only. */
#include "ops/config_load.h"

#include <string.h>

static bool differs(const struct setting *s, const struct config *old, const struct config *new)
{
    if (s->type == SETTING_TEXT) { /* not by what is shown: that hides passwords */
        const char *const *a = (const void *)((const char *)old + s->offset);
        const char *const *b = (const void *)((const char *)new + s->offset);
        return !*a != !*b || (*a && strcmp(*a, *b) != 0);
    }
    struct buf before = {0}, after = {0};
    setting_show(&before, s, old);
    setting_show(&after, s, new);
    bool same = span_eq(buf_view(&before), buf_view(&after));
    buf_free(&before);
    buf_free(&after);
    return !same;
}

static void add_name(struct buf *out, const char *name)
{
    buf_printf(out, "%s%s", out->len ? ", " : "", name);
}

void config_restart_needed(const struct config *old, const struct config *new, struct buf *out)
{
    for (size_t i = 0; i < config_table_size; i++)
        if (config_table[i].restart && differs(&config_table[i], old, new))
            add_name(out, config_table[i].path);
    /* Other files are read at once; listeners do not turn from clear to TLS. */
    if (!old->tls.cert[0] != !new->tls.cert[0])
        add_name(out, "tls");
}
