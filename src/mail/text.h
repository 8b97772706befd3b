/* text: header values between their wire form (RFC 5322 folding, RFC 2047 words) and UTF-8. GMime
 * does the work. */
#pragma once

#include <stddef.h>

/* Call once per process, before threads start. */
void sl_mail_init(void);

/* The value unfolded, trimmed and decoded to UTF-8. Owned by the caller; NULL: out of memory. */
char *sl_text_decode(const char *value);

/* UTF-8 text as a header value with its leading blank: non-ASCII becomes RFC 2047 words; line breaks
 * inside the text survive only as folds, so that a value cannot end its field. Owned by the caller;
 * NULL: out of memory. */
char *sl_text_encode(const char *text);
