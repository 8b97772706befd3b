/* faults: what is wrong with a configuration or its scripts, collected rather than stopped at the
 * first, so that `scriptletd -t` can show all of it at once. */
#pragma once

#include "base/err.h"

#include <stdbool.h>

struct sl_fault {
	bool warning; /* worth saying, no reason to refuse */
	char *text;   /* "file:line: message" */
};

struct sl_faults {
	struct sl_fault *list;
	unsigned count;
	unsigned errors; /* how many are not warnings; also counts those memory had no room for */
};

/* `file` may be NULL (no place to point at); `line` 0 means the file as a whole. */
void sl_faults_add(struct sl_faults *faults, const char *file, unsigned line, const char *fmt, ...)
	SL_PRINTF(4, 5);
void sl_faults_warn(struct sl_faults *faults, const char *file, unsigned line, const char *fmt, ...)
	SL_PRINTF(4, 5);

/* From now on warnings are errors (`strict`). */
void sl_faults_make_strict(struct sl_faults *faults);

void sl_faults_deinit(struct sl_faults *faults);
