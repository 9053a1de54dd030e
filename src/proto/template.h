/*
 * Text in which {field} stands for a value of a JSON document, by its json_path:
 * "product:{data.id}".
 * {{ and }} stand for the braces themselves. Pure; any thread.
 */
#ifndef PROTO_TEMPLATE_H
#define PROTO_TEMPLATE_H

#include "base/span.h"

#include <stdbool.h>

struct template_part {
    struct span text; /* borrowed from the template: plain text, or a field's path */
    bool field;
};

/* template_error: NULL, or a static phrase that says what is wrong with it. */
const char *template_error(struct span text);

/* template_next: takes the next part off the front of a template that has no error; false at the
 * end. */
bool template_next(struct span *rest, struct template_part *part);

#endif
