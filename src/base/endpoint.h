/* endpoint: an address in the milter notation, as smfi_setconn(3) and Postfix write it:
 * `unix:PATH` (or `local:PATH`), `inet:PORT@HOST`, `inet6:PORT@HOST`; the host may be left out. */
#pragma once

#include "base/err.h"

#include <stdint.h>

enum sl_endpoint_kind { SL_EP_UNIX, SL_EP_INET, SL_EP_INET6 };

struct sl_endpoint {
	enum sl_endpoint_kind kind;
	uint16_t port;	/* host byte order; 0 lets the system choose */
	char host[256]; /* "" is every address when listening, loopback when connecting */
	char path[108]; /* unix only */
};

/* Error: -EINVAL with a text that quotes what was written and says what is expected. */
int sl_endpoint_parse(const char *text, struct sl_endpoint *ep_r, struct sl_err *err);
