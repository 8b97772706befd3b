/* listen: the sockets an MTA connects to. Opened once, by the supervisor, before privileges are
 * dropped; inherited by every worker. */
#pragma once

#include "base/endpoint.h"
#include "config/config.h"

struct sl_listener {
	struct sl_endpoint ep;
	int fd; /* listening, O_NONBLOCK, close-on-exec */
};

struct sl_listeners {
	struct sl_listener *list;
	unsigned count;
};

/* Opens every address of the configuration: all or, on failure, none. A unix socket gets the mode
 * and group of the configuration, and `user` as its owner when root; one that a dead process left
 * behind is replaced, one that answers is an error, as is a file that is no socket. */
int sl_listeners_open(struct sl_listeners *listeners, const struct sl_config *config,
		      struct sl_err *err);

/* Closes; with `remove` also takes unix sockets out of the file system. */
void sl_listeners_close(struct sl_listeners *listeners, bool remove);
