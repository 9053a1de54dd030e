/*
 * Open mode trusts whoever can reach the socket, but a web page of anybody can make a browser on
 * this host do so: directly (then Origin names the page) or through a name that resolves to
 * 127.0.0.1 (then Host is that name). Says whether a request looks like one of these. Pure; any
 * thread.
 */
#ifndef ACCESS_FOREIGN_H
#define ACCESS_FOREIGN_H

#include "base/span.h"

#include <stdbool.h>

/* host_is_loopback: a Host header for this machine: localhost, *.localhost, 127.0.0.0/8, [::1]. */
bool host_is_loopback(struct span host);

/* origin_is_host: is the origin a page of just this loopback host and port? */
bool origin_is_host(struct span origin, struct span host);

#endif
