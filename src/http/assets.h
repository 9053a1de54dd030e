/*
 * The files of web/static, compiled into the program by assets.cmake. Constant; any thread may
 * read.
 */
#ifndef HTTP_ASSETS_H
#define HTTP_ASSETS_H

#include <stddef.h>

struct asset {
    const char *path;          /* "/page.js"; "/" for index.html, "/a/" for a/index.html */
    const char *type;          /* the Content-Type, with a charset where one belongs */
    const char *etag;          /* quoted, strong: from the SHA-256 of the content */
    const unsigned char *data; /* static; not terminated */
    size_t len;                /* bytes */
};

extern const struct asset http_assets[]; /* in no particular order */
extern const size_t http_asset_count;

#endif
