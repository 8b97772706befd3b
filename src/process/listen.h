/* listen: the sockets an MTA connects to. Opened by the supervisor before privileges are dropped;
 * inherited by the workers. Generations share the socket of an address they both have. */
#pragma once

#include "base/endpoint.h"
#include "config/config.h"

struct sl_listener {
	unsigned refs;
	struct sl_endpoint ep;
	int fd; /* listening, O_NONBLOCK, close-on-exec */
};

struct sl_listeners {
	struct sl_listener **list;
	unsigned count;
};

/* Opens every address of the configuration, taking over those that `known` (may be NULL) has open
 * already: all or, on failure, none. A unix socket gets the mode and group of the configuration, and
 * `user` as its owner when root; one that a dead process left behind is replaced, one that answers
 * is an error, as is a file that is no socket. */
int sl_listeners_open(struct sl_listeners **listeners_r, const struct sl_config *config,
		      const struct sl_listeners *known, struct sl_err *err);

/* Sockets that nobody refers to any more are closed, unix sockets also taken out of the file system.
 * Not for children: they just exit. */
void sl_listeners_unref(struct sl_listeners **listeners);

/* The control socket, run_dir/control.sock, for root and the group of the configuration. Returns the
 * listening descriptor or a negative errno. */
int sl_control_open(const struct sl_config *config, struct sl_err *err);
void sl_control_remove(const char *run_dir);
