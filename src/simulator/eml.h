/* eml: a message file as an MTA would hand it to a milter. */
#pragma once

#include "base/buf.h"

struct sl_eml_header {
	char *name;
	char *value; /* after the colon, LF line ends, folds kept */
};

struct sl_eml {
	struct sl_eml_header *headers;
	unsigned header_count;
	struct sl_buf body; /* CRLF line ends */
};

/* Reads a file, "-" for standard input, or the built-in example for NULL. Either line end will do; a
 * leading mbox "From " line is skipped. Negative errno with a text. */
int sl_eml_read(struct sl_eml *eml, const char *file, struct sl_err *err);
void sl_eml_deinit(struct sl_eml *eml);
