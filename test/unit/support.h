/* support: what tests of several rooms need: a private directory, files in it, and the log. */
#pragma once

#include "base/buf.h"
#include "base/faults.h"

#include <criterion/criterion.h>

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* A directory of this test alone, under TMPDIR; removed by sup_remove_dir(). */
const char *sup_dir(void);
void sup_remove_dir(void);

/* Writes a file of that name into the directory, making folders on the way; returns its path, which
 * the caller frees. */
char *sup_write(const char *name, const char *text);

/* The whole file; the caller frees it. */
char *sup_read(const char *path);

/* From now on the log goes into the returned buffer, "LEVEL TAG: TEXT\n" for each line. */
struct sl_buf *sup_capture_log(int max_level);

/* All faults as one text, "warning: " before warnings, each with a line end. The caller frees it.
 */
char *sup_faults(const struct sl_faults *faults);

#define sup_assert_str(got, wanted)                                                                \
	cr_assert_str_eq((got), (wanted), "got \"%s\", wanted \"%s\"", (got), (wanted))
#define sup_assert_has(text, part)                                                                 \
	cr_assert_not_null(strstr((text), (part)), "\"%s\" not in \"%s\"", (part), (text))
#define sup_assert_has_not(text, part)                                                             \
	cr_assert_null(strstr((text), (part)), "\"%s\" in \"%s\"", (part), (text))
