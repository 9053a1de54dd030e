#include "dialect.h"

#include <stddef.h>
#include <string.h>

static const struct dialect dialects[] = {
    {.name = "sluice",
     .first = "/events?channel=",
     .further = "&channel=",
     .ready = ": subscribed"},
    {.name = "nchan", .first = "/sub/", .further = ",", .ready = ": hi", .publish = "/pub/"},
};

const struct dialect *dialect_find(const char *name)
{
    for (size_t i = 0; i < sizeof(dialects) / sizeof(*dialects); i++)
        if (strcmp(dialects[i].name, name) == 0)
            return &dialects[i];
    return NULL;
}
