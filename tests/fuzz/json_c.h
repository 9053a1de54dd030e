/* json-c as a judge of what is JSON. */
#ifndef FUZZ_JSON_C_H
#define FUZZ_JSON_C_H

#include <json-c/json.h>

/* Told to be strict, 0.18 refuses every byte above 0x7f in a string (json-c's issue 875). */
enum {
    JSON_C_JUDGES = JSON_TOKENER_VALIDATE_UTF8 |
                    (JSON_C_VERSION_NUM == ((0 << 16) | (18 << 8)) ? 0 : JSON_TOKENER_STRICT)
};

#endif
