/* net: networks as people write them, `192.0.2.0/24`, `2001:db8::/32` or a bare address. */
#pragma once

#include "base/err.h"

#include <stdbool.h>

struct sl_net {
	unsigned char addr[16]; /* IPv4 as ::ffff:a.b.c.d, so that one comparison serves both */
	unsigned bits;		/* prefix length in that form, 0 to 128 */
};

/* Error: -EINVAL with a text that quotes what was written. */
int sl_net_parse(const char *text, struct sl_net *net_r, struct sl_err *err);

/* `addr` is an IPv4 or IPv6 address in text; anything else, or NULL, matches nothing. */
bool sl_net_contains(const struct sl_net *net, const char *addr);
