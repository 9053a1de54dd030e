/* Cross-origin answers, where configured. https://fetch.spec.whatwg.org/#http-cors-protocol */
#ifndef HTTP_CORS_H
#define HTTP_CORS_H

#include "http/exchange.h"

/* cors_headers: appends the header lines that this request's Origin is due; nothing when none is.
 */
void cors_headers(const struct exchange *x, struct buf *out);

/* cors_options: answers an OPTIONS request: a preflight, or a plain one with Allow. */
void cors_options(struct exchange *x);

#endif
