/* reply: an SMTP reply as a policy wants it, and a verdict: what becomes of a command or message. */
#pragma once

#include "base/err.h"

#include <stdbool.h>

enum sl_action { SL_CONTINUE, SL_ACCEPT, SL_REJECT, SL_TEMPFAIL, SL_DISCARD };

/* Bounds of smfi_setmlreply(3): lines, and bytes in one line. */
#define SL_REPLY_LINES 32
#define SL_REPLY_LINE_MAX 980

struct sl_reply {
	int code;	/* 0: none set; 2xx, 4xx or 5xx */
	char xcode[12]; /* enhanced status code (RFC 3463), "" when the script gave none */
	char *text; /* the rest, lines separated by '\n', no control characters; owned; may be NULL */
};

#define SL_REPLY_ZERO ((struct sl_reply){ 0, "", NULL })

struct sl_verdict {
	enum sl_action action;
	struct sl_reply reply; /* for REJECT and TEMPFAIL */
};

#define SL_VERDICT_CONTINUE ((struct sl_verdict){ SL_CONTINUE, { 0, "", NULL } })

/* Makes `reply` what a script asked for: an enhanced code at the start of `text` is split off, CR
 * and LF divide lines, other control characters become '?', what is too long is cut. A code that
 * SMTP does not have, or an enhanced code of another class, is corrected; then `note->text` says
 * how (it is "" otherwise). `text` may be NULL. 0 or -ENOMEM, with the old reply kept. */
int sl_reply_set(struct sl_reply *reply, long code, const char *text, struct sl_err *note);

/* Makes the code the one after which an MTA closes the connection, 421, and the enhanced code one
 * of its class; true when something changed. */
bool sl_reply_make_disconnect(struct sl_reply *reply);

/* The verdict that a reply amounts to: 4xx TEMPFAIL, 5xx REJECT, otherwise CONTINUE. */
enum sl_action sl_reply_action(const struct sl_reply *reply);

int sl_reply_copy(const struct sl_reply *from, struct sl_reply *to);
void sl_reply_deinit(struct sl_reply *reply);

/* "continue", "accept", "reject", "tempfail", "discard". */
const char *sl_action_name(enum sl_action action);
