/* path: the address of a MAIL FROM or RCPT TO command (RFC 5321, Reverse-path and Forward-path). */
#pragma once

#include "base/err.h"

#include <stdbool.h>

/* A value type; SL_PATH_ZERO is the null sender. */
struct sl_path {
	char *addr;	  /* bare `local@domain`, NULL for the null sender; owned */
	size_t local_len; /* bytes before the '@' */
};

#define SL_PATH_ZERO ((struct sl_path){ NULL, 0 })

/* Longest address taken: far above RFC 5321's limits, since some MTAs are lenient. */
#define SL_PATH_MAX 4096

/* Accepts `<a@b>`, `a@b`, `<>` and a source route, which is dropped (RFC 5321, appendix C). The
 * local part keeps its quotes. Errors: -EINVAL (too long, control characters), -ENOMEM. */
int sl_path_parse(const char *text, struct sl_path *path_r, struct sl_err *err);

/* Whether the address can stand in angle brackets: no blank or bracket outside quotes, no quote left
 * open. What an MTA tells is taken as it comes; what a script sets would otherwise end the address
 * and begin an ESMTP parameter. */
bool sl_path_is_clean(const struct sl_path *path);

int sl_path_copy(const struct sl_path *from, struct sl_path *to_r);
void sl_path_deinit(struct sl_path *path);

/* Borrowed views; "" for the null sender or a missing domain. */
const char *sl_path_addr(const struct sl_path *path);
const char *sl_path_domain(const struct sl_path *path);
