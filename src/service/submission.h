/* submission: hands a mail of ours to an MTA by SMTP (libcurl). Blocks up to its timeout. */
#pragma once

#include "base/err.h"

#include <stddef.h>

struct sl_submission {
	const char *to;		  /* endpoint: "inet:25@127.0.0.1", "inet6:...", "unix:..." */
	const char *helo;	  /* EHLO name */
	const char *sender;	  /* bare address, "" for the null sender */
	const char *const *rcpts; /* bare addresses */
	unsigned rcpt_count;
	/* Fills `data` with up to `len` bytes of the message, CRLF line ends, no dot-stuffing;
	 * returns 0 at the end, a negative errno when it cannot be read. */
	long (*read)(void *arg, char *data, size_t len);
	void *arg;
	int timeout; /* s, for all of it */
};

/* Once per process, before threads start. */
int sl_submission_init(void);

/* 0 when the MTA has taken the mail for every recipient; otherwise it has taken it for none, except
 * that a connection lost after the final dot leaves that open. The text says what the MTA said. */
int sl_submit(const struct sl_submission *mail, struct sl_err *err);
