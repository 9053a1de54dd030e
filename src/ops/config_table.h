/*
 * The one table of settings. The file parser, the environment, the flags, `sluice check`, --help
 * and the reference page are all made from it: a new setting is a field of struct config and a row
 * here. Constant data and pure look-ups; any thread.
 */
#ifndef OPS_CONFIG_TABLE_H
#define OPS_CONFIG_TABLE_H

#include "base/buf.h"
#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum setting_type {
    SETTING_BOOL,   /* a bool */
    SETTING_NUMBER, /* a uint32_t or uint64_t, by size */
    SETTING_TEXT,   /* an owned char * */
    SETTING_LIST,   /* an owned array of owned char *, and a size_t count */
    SETTING_CHOICE, /* an enum, int or bool: the index into words */
    SETTING_DIGEST, /* uint8_t[32], written as 64 hex digits */
    SETTING_GROUP,  /* a bool: the object is there; its members are rows of their own */
    SETTING_ARRAY,  /* an owned array of structs, and a size_t count; in the file only */
    SETTING_MAP,    /* the same, written as an object: the names of its members are the structs'
                       first member, an owned char * */
    SETTING_FIELDS, /* an owned array of struct webhook_condition, and a size_t count, written as an
                       object whose members' names are paths; in the file only */
};

enum setting_secret {
    SETTING_PLAIN,
    SETTING_SECRET,     /* never shown */
    SETTING_SECRET_URL, /* not in errors; elsewhere with user and password replaced */
};

/*
 * A row. The path is `a.b`; `a[].b` is the member b of each struct of the array or map a, and its
 * offset is within that struct.
 */
struct setting {
    const char *path;
    enum setting_type type;
    enum setting_secret secret;
    size_t offset, count_offset;       /* count_offset: of what has a count */
    size_t size;                       /* of the field; of one struct for ARRAY and MAP */
    uint64_t min, max;                 /* NUMBER: the range; TEXT: bytes; else entries; of what is
                                          within an array's struct: min 0 need not be given */
    const char *fallback;              /* as a flag would give it; NULL: must be given */
    const char *const *words;          /* CHOICE: NULL-terminated */
    const char *(*check)(struct span); /* TEXT, entries of LIST, names of MAP and FIELDS: NULL or
                                          what is wrong */
    const char *valid;                 /* of those */
    const char *unit;                  /* NULL where there is none */
    bool restart;                      /* a reload cannot change it */
    const char *help;
};

extern const struct setting config_table[];
extern const size_t config_table_size;

/* setting_find: the row with just this path, or NULL. */
const struct setting *setting_find(struct span path);

/* setting_of_flag: for "--log-level"; setting_of_variable: for "SLUICE_LOG_LEVEL". NULL: no such
 * one. */
const struct setting *setting_of_flag(struct span name);
const struct setting *setting_of_variable(struct span name);

/* setting_top: does the row belong to struct config itself and not to an array's struct? */
bool setting_top(const struct setting *s);

/* setting_is_file_only: can neither a flag nor a variable give it? */
bool setting_is_file_only(const struct setting *s);

/* setting_is_below: does the row belong to the structs of `array` itself, not of one within them?
 */
bool setting_is_below(const struct setting *s, const struct setting *array);

/* setting_has_below: is there a row below the prefix ("log.")? */
bool setting_has_below(struct span prefix);

/*
 * setting_child: if the row lies below `prefix` ("", "log.", "keys[]."), the next word of its path,
 * else an empty span. Several rows may give the same word.
 */
struct span setting_child(const struct setting *s, struct span prefix);

/* Append the names that a setting has elsewhere: "--log-level", "SLUICE_LOG_LEVEL". */
void setting_flag_name(struct buf *out, const struct setting *s);
void setting_variable_name(struct buf *out, const struct setting *s);

/* setting_describe_valid: appends what would be valid: "0 to 256", "redis, memory", ... */
void setting_describe_valid(struct buf *out, const struct setting *s);

#endif
