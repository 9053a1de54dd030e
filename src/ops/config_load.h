/*
 * The inside of loading a configuration: what the layers (defaults, file, environment, flags)
 * share. Not for other rooms.
 */
#ifndef OPS_CONFIG_LOAD_H
#define OPS_CONFIG_LOAD_H

#include "ops/config.h"
#include "ops/config_table.h"

#include <stdint.h>

/* Where values came from: a list of paths as shown ("keys[0].name") and sources ("env
 * SLUICE_OPEN"). */
struct config_sources;

struct config_sources *sources_create(void);
void sources_destroy(struct config_sources **sources);
/* sources_set: a later source of the same path takes the place of the earlier one. */
void sources_set(struct config_sources *sources, const char *path, const char *source);
/* sources_get: "default" for what nobody set; borrowed. */
const char *sources_get(const struct config_sources *sources, const char *path);

/* One value on its way into the configuration. All borrowed. */
struct assignment {
    const struct setting *setting;
    void *base;         /* the struct that the setting's offset counts from */
    const char *path;   /* as shown to people: "keys[0].name" */
    const char *source; /* "file /etc/sluice.json" */
    const char *where;  /* "", or more about the place, for errors: ", line 3, column 7" */
    struct config *config;
    struct buf *why;
};

/*
 * assign_text: parses the value as a flag or variable has it (lists by comma) and stores it.
 * assign_list: the same for a list whose entries are known. 0 or ERR_INVALID with the line in why.
 */
int assign_text(const struct assignment *a, struct span text);
int assign_list(const struct assignment *a, const struct span *entries, size_t count);

/* assign_fail: writes "path: problem (source, where)" to why and returns ERR_INVALID. */
int assign_fail(const struct assignment *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* show_unknown_name: appends what show_unknown does, with the names of all flags or variables. */
enum name_kind { NAME_FLAG, NAME_VARIABLE };
void show_unknown_name(struct buf *out, struct span name, enum name_kind kind);

/* assign_defaults: gives the fields of the rows right below `prefix` their defaults; see
 * setting_child. */
void assign_defaults(struct config *config, const char *prefix, void *base);

/* setting_clear: frees what the field owns and empties it. */
void setting_clear(const struct setting *s, void *base);
/* setting_show: appends the field's value for people; secrets are not in it. */
void setting_show(struct buf *out, const struct setting *s, const void *base);

/* assign_done: remembers where the value came from. */
void assign_done(const struct assignment *a);

/* The layers. Each returns 0 or ERR_INVALID with the line in why. */
int config_file_apply(struct config *config, const char *path, struct span text, struct buf *why);
int config_env_apply(struct config *config, char *const *env, struct buf *why);

/* The flags are read first, since --config names the file, and applied last. */
struct config_flags {
    struct config_flag {
        const struct setting *setting;
        char *name;        /* owned; "--log-level" */
        struct span value; /* borrowed from argv */
    } * flags;             /* owned */
    size_t count;
    const char *config_path; /* borrowed from argv; NULL: not given */
};
/* config_flags_read: ERR_NOT_FOUND when --help was asked for. Free in any case. */
int config_flags_read(int argc, char *const *argv, struct config_flags *out, struct buf *why);
int config_flags_apply(struct config *config, const struct config_flags *flags, struct buf *why);
void config_flags_free(struct config_flags *flags);

/*
 * config_finish: what can be judged only when all layers have spoken, and what is filled in then:
 * the number of workers, the last namespace, secrets that lie elsewhere.
 */
int config_finish(struct config *config, char *const *env, struct buf *why);

/* config_finish_bus: its part for the invalidation bus: reads the secrets, too. */
int config_finish_bus(struct config *config, char *const *env, struct buf *why);

/* config_load_text: as config_load, with the text of a file that nobody reads from the disk. */
int config_load_text(const char *path, struct span text, int argc, char *const *argv,
                     char *const *env, struct config **out, struct buf *why);

#endif
