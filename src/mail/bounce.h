/* bounce: a delivery status notification (RFC 3464) for recipients that a policy refused after the
 * mail was taken for others. */
#pragma once

#include "base/buf.h"
#include "mail/headers.h"

struct sl_bounce_rcpt {
	const char *addr;   /* bare */
	int code;	    /* SMTP reply code */
	const char *status; /* enhanced code; "" gives 5.0.0 */
	const char *text;   /* of the reply, one line or several */
};

struct sl_bounce {
	const char *host;		  /* who reports: the MTA's name */
	const char *sender;		  /* whom it goes to: bare, not empty */
	const char *id;			  /* unique: becomes Message-ID and boundary */
	const struct sl_headers *headers; /* of the refused message */
	const struct sl_bounce_rcpt *rcpts;
	unsigned rcpt_count;
};

/* The whole notification with CRLF line ends, added to `out`. 0 or -ENOMEM. */
int sl_bounce_write(struct sl_buf *out, const struct sl_bounce *bounce);
