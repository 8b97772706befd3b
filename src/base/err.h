/* err: one error value for all rooms: a negative errno and a text a person can act on.
 *
 * Convention of every function that takes a `struct sl_err *`: it returns 0 or a negative errno,
 * fills the error on failure, and leaves outputs (names ending in _r) untouched then. The pointer
 * may be NULL when the caller does not want the text. Library rooms never log an error they return;
 * the edge that decides what to do logs it once. */
#pragma once

#include <stddef.h>

#define SL_ERR_TEXT 1024

#define SL_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))

struct sl_err {
	int code;		/* negative errno, 0 while nothing went wrong */
	char text[SL_ERR_TEXT]; /* cut at the bound, always terminated */
};

/* Sets code and text; returns `code`, so that a failing function can end with `return sl_fail(...)`.
 * `code` must be negative. */
int sl_fail(struct sl_err *err, int code, const char *fmt, ...) SL_PRINTF(3, 4);

/* Out of memory, the one error that carries no context of its own: returns -ENOMEM. */
int sl_fail_nomem(struct sl_err *err);
