/* copy: a message as bytes, from its header fields and body, for handing it on. */
#pragma once

#include "mail/body.h"
#include "mail/headers.h"

/* Reads a message from start to end. */
struct sl_copy {
	struct sl_buf head;	    /* header and blank line, CRLF line ends */
	const struct sl_body *body; /* NULL: none */
	uint64_t offset;
};

/* Field names and values with CRLF line ends, added to `out`. 0 or -ENOMEM. */
int sl_copy_header(struct sl_buf *out, const struct sl_headers *headers);

/* `body` is borrowed. 0 or -ENOMEM. */
int sl_copy_init(struct sl_copy *copy, const struct sl_headers *headers,
		 const struct sl_body *body);

/* For sl_submission.read: `arg` is the copy. */
long sl_copy_read(void *arg, char *data, size_t len);

void sl_copy_deinit(struct sl_copy *copy);
