#include "support.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

static char *path;

static void open_file(int max_level)
{
	struct sl_err err;

	path = sup_write("log", "");
	cr_assert_eq(sl_log_open(SL_LOG_FILE, path, max_level, &err), 0, "%s", err.text);
}

/* Closes the log; asserts that every line starts with the epoch and returns them without it. */
static char *lines(void)
{
	struct sl_buf out = SL_BUF_ZERO;
	char *text;

	sl_log_close();
	text = sup_read(path);
	sl_buf_puts(&out, "");
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		size_t digits = strspn(line, "0123456789");

		cr_assert(digits >= 10 && line[digits] == ':', "%s", line);
		sl_buf_printf(&out, "%s\n", line + digits + 1);
	}
	free(text);
	free(path);
	return sl_buf_steal(&out);
}

TestSuite(log, .fini = sup_remove_dir);

Test(log, has_the_text_form_with_ids_at_the_end)
{
	struct sl_log_ids both = { "CONN", "QUEUE" };
	struct sl_log_ids conn = { "CONN", NULL };
	struct sl_log_ids empty = { "", "QUEUE" };
	char *text;

	open_file(LOG_INFO);
	sl_log(LOG_INFO, "main", "plain %d", 1);
	sl_log_for(&both, LOG_ERR, "scriptlet", "with both");
	sl_log_for(&conn, LOG_ERR, "scriptlet", "with one");
	sl_log_for(&empty, LOG_ERR, "scriptlet", "with none");
	sl_log_for(NULL, LOG_ERR, "scriptlet", "without");
	text = lines();
	sup_assert_str(text, "main: plain 1\n"
			     "scriptlet: with both [CONN QUEUE]\n"
			     "scriptlet: with one [CONN]\n"
			     "scriptlet: with none\n"
			     "scriptlet: without\n");
	free(text);
}

Test(log, masks_control_characters)
{
	char *text;

	open_file(LOG_INFO);
	sl_log(LOG_INFO, "t", "a\033[31mb\rc\007d\177e\tf");
	sl_log_print(NULL, "t", "x\0y\033z", 5);
	text = lines();
	sup_assert_str(text, "t: a?[31mb?c?d?e\tf\n"
			     "t: x?y?z\n");
	free(text);
}

Test(log, keeps_lines_of_a_print)
{
	struct sl_buf *log = sup_capture_log(LOG_ERR);

	sl_log_print(NULL, "scriptlet", "one\r\ntwo\n", 9);
	sup_assert_str(sl_buf_str(log), "5 scriptlet: one\ntwo\n");
}

Test(log, obeys_the_level_but_not_for_prints)
{
	char *text;

	open_file(LOG_WARNING);
	sl_log(LOG_WARNING, "t", "shown");
	sl_log(LOG_NOTICE, "t", "hidden");
	sl_log_print(NULL, "t", "printed", 7);
	text = lines();
	sup_assert_str(text, "t: shown\nt: printed\n");
	free(text);
}

Test(log, cuts_long_lines_but_not_prints)
{
	struct sl_buf *log = sup_capture_log(LOG_INFO);
	char text[5000];

	memset(text, 'x', sizeof(text));
	sl_log(LOG_INFO, "t", "%.*s", (int)sizeof(text), text);
	cr_assert_eq(log->len, strlen("6 t: ") + 2047 + 1);
	sl_buf_clear(log);
	sl_log_print(NULL, "t", text, sizeof(text));
	cr_assert_eq(log->len, strlen("5 t: ") + sizeof(text) + 1);
}

Test(log, appends_to_a_file)
{
	char *text;

	open_file(LOG_INFO);
	sl_log(LOG_INFO, "t", "first");
	cr_assert_eq(sl_log_open(SL_LOG_FILE, path, LOG_INFO, NULL), 0);
	sl_log(LOG_INFO, "t", "second");
	text = lines();
	sup_assert_str(text, "t: first\nt: second\n");
	free(text);
}

Test(log, says_why_a_file_cannot_be_opened)
{
	struct sl_buf *log = sup_capture_log(LOG_INFO);
	struct sl_err err = { 0 };

	cr_assert_lt(sl_log_open(SL_LOG_FILE, "/nonexistent/dir/log", LOG_INFO, &err), 0);
	sup_assert_has(err.text, "/nonexistent/dir/log");
	sl_log(LOG_INFO, "t", "the old target stays");
	sup_assert_str(sl_buf_str(log), "6 t: the old target stays\n");
}

Test(log, knows_levels_by_name)
{
	static const struct {
		const char *name;
		int level;
	} rows[] = { { "emerg", 0 }, { "alert", 1 },   { "crit", 2 },	{ "err", 3 },
		     { "error", 3 }, { "warning", 4 }, { "notice", 5 }, { "info", 6 },
		     { "debug", 7 }, { "warn", -1 },   { "", -1 },	{ "INFO", -1 } };

	for (unsigned i = 0; i < COUNT(rows); i++)
		cr_assert_eq(sl_log_level_by_name(rows[i].name), rows[i].level, "%s", rows[i].name);
}
