/* port: what a session asks of the MTA it serves. Two adapters implement it: milter/ and simulator/.
 *
 * Every function gets the adapter's own context first and is called in the thread that serves the
 * session. The changes are only called at the end of a message, and only those that were granted.
 * They return 0 or a negative errno (the MTA is gone: the message fails there anyway). */
#pragma once

#include "service/submission.h"

/* Changes an MTA may grant (milter: SMFIF_*). */
enum sl_grant {
	SL_GRANT_ADD_HEADER = 1 << 0,	 /* add and insert */
	SL_GRANT_CHANGE_HEADER = 1 << 1, /* also delete */
	SL_GRANT_ADD_RCPT = 1 << 2,
	SL_GRANT_DEL_RCPT = 1 << 3,
	SL_GRANT_CHANGE_FROM = 1 << 4,
	SL_GRANT_ALL = (1 << 5) - 1,
};

struct sl_port {
	/* Value of an MTA macro such as "i" or "{auth_authen}" in this phase, or NULL. Borrowed
	 * until the session asks the next one. */
	const char *(*macro)(void *ctx, const char *name);
	/* Tells the MTA that the end-of-message verdict takes time; negative errno when it has gone. */
	int (*keepalive)(void *ctx);
	/* `value` is as in sl_header: after the colon, leading blank included, LF line ends. */
	int (*add_header)(void *ctx, const char *name, const char *value);
	/* As the first field of all. */
	int (*insert_header)(void *ctx, const char *name, const char *value);
	/* Removes the index-th field of that name, counting from 1 among those received. */
	int (*delete_header)(void *ctx, const char *name, unsigned index);
	/* Bare addresses; "" is the null sender. */
	int (*add_rcpt)(void *ctx, const char *addr);
	int (*del_rcpt)(void *ctx, const char *addr);
	int (*change_from)(void *ctx, const char *addr);
	/* Hands in a mail of our own: a copy for some recipients, or a bounce. The adapter fills
	 * `to`, `helo` and `timeout`. Blocks. Negative errno with a text when it was not taken. */
	int (*submit)(void *ctx, struct sl_submission *mail, struct sl_err *err);
};
