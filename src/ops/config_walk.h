/*
 * The walk over the tree of the file, and how it tells what is wrong there: each fault by the path
 * that people see, and its line and column. Part of config_file.c; one thread.
 */
#ifndef OPS_CONFIG_WALK_H
#define OPS_CONFIG_WALK_H

#include "ops/config_json.h"
#include "ops/config_load.h"

struct walk {
    struct config *config; /* borrowed, as all here */
    struct span text;
    const char *source; /* "file PATH" */
    struct buf *why;
};

/*
 * An object on the walk: `key` is its path in the table with what its members' paths begin with
 * ("namespaces[].history."), `path` the same as people see it ("namespaces[1].history.").
 */
struct level {
    const char *key, *path;
    void *base; /* the struct that the rows' offsets count from */
};

/* walk_assignment: of the value at a node; `where` (owned by the caller) gets its place. */
struct assignment walk_assignment(const struct walk *w, const struct json_node *node,
                                  const struct setting *s, const char *path, struct buf *where);

/*
 * Each tells one fault and returns ERR_INVALID. fail_node: `problem` about a node; the setting is
 * NULL where there is none. fail_kind: the node should have been of another kind. fail_unknown: the
 * level has no such member. fail_name: the name of a member that is no setting's is not one.
 */
int fail_node(const struct walk *w, const struct json_node *node, const struct setting *setting,
              const char *path, const char *problem);
int fail_kind(const struct walk *w, const struct json_node *node, const struct setting *s,
              const char *path, enum json_kind expected);
int fail_unknown(const struct walk *w, const struct json_node *member, const struct level *level);
int fail_name(const struct walk *w, const struct json_node *member, const struct setting *s,
              const char *path, const char *problem);

/* check_count: so many entries are what the setting takes; else it is told. */
int check_count(const struct walk *w, const struct json_node *node, const struct setting *s,
                const char *path, size_t count);

#endif
