/* GET / and below: the page, compiled in. */
#include "http/assets.h"
#include "http/router.h"

const struct asset *asset_find(struct span path)
{
    for (size_t i = 0; i < http_asset_count; i++)
        if (span_is(path, http_assets[i].path))
            return &http_assets[i];
    return NULL;
}

static bool etag_listed(struct span list, struct span etag)
{
    for (size_t i = 0; i + etag.len <= list.len; i++)
        if (memcmp(list.ptr + i, etag.ptr, etag.len) == 0)
            return true;
    return false;
}

void endpoint_asset(struct exchange *x)
{
    const struct asset *a = asset_find(x->path);
    struct buf headers = {0};
    struct span known = http1_header(&x->req, "if-none-match");
    bool same = known.ptr && etag_listed(known, span_of(a->etag));
    buf_printf(&headers,
               "ETag: %s\r\nCache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\n"
               "Content-Security-Policy: default-src 'self'; frame-ancestors 'none'\r\n"
               "Referrer-Policy: no-referrer\r\n",
               a->etag);
    struct reply reply = {
        .status = same ? 304 : 200,
        .type = same ? NULL : a->type,
        .body = same ? span_make("", 0) : span_make((const char *)a->data, a->len),
        .headers = buf_cstr(&headers),
        .cache = true,
    };
    exchange_reply(x, &reply);
    buf_free(&headers);
}

/* The page's links are relative: without the slash they would miss the base path. */
void endpoint_base(struct exchange *x)
{
    struct buf headers = {0};
    struct span query = x->req.query;
    buf_printf(&headers, "Location: %s/%s", exchange_worker(x)->options->base_path,
               query.len ? "?" : "");
    buf_span(&headers, query);
    buf_str(&headers, "\r\n");
    exchange_reply(x, &(struct reply){.status = 308, .headers = buf_cstr(&headers)});
    buf_free(&headers);
}
