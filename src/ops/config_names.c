/* The names of all flags or variables as a list, for errors about unknown ones. */
#include "ops/config_load.h"
#include "ops/config_text.h"

#include "base/mem.h"

void show_unknown_name(struct buf *out, struct span name, enum name_kind kind)
{
    struct buf names = {0};
    struct span *valid = mem_alloc((config_table_size + 1) * sizeof(*valid));
    size_t *ends = mem_alloc((config_table_size + 1) * sizeof(*ends)), count = 0;
    for (size_t i = 0; i < config_table_size; i++) {
        if (!setting_top(&config_table[i]) || setting_is_file_only(&config_table[i]))
            continue;
        if (kind == NAME_FLAG)
            setting_flag_name(&names, &config_table[i]);
        else
            setting_variable_name(&names, &config_table[i]);
        ends[count++] = names.len;
    }
    buf_str(&names, kind == NAME_FLAG ? "--config" : "SLUICE_CONFIG");
    ends[count++] = names.len;
    for (size_t i = 0, begin = 0; i < count; begin = ends[i++])
        valid[i] = span_make(names.data + begin, ends[i] - begin); /* names grows no more */
    show_unknown(out, name, valid, count);
    mem_free(ends);
    mem_free(valid);
    buf_free(&names);
}
