#define _XOPEN_SOURCE 700 /* nftw */
#include "support.h"

#include "base/log.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[4096];

const char *sup_dir(void)
{
	const char *tmp = getenv("TMPDIR");

	if (!dir[0]) {
		snprintf(dir, sizeof(dir), "%s/scriptletd-unit-XXXXXX", tmp ? tmp : "/tmp");
		cr_assert_not_null(mkdtemp(dir), "%s: %s", dir, strerror(errno));
	}
	return dir;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

void sup_remove_dir(void)
{
	if (dir[0])
		nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	dir[0] = '\0';
}

char *sup_write(const char *name, const char *text)
{
	struct sl_buf path = SL_BUF_ZERO;
	FILE *out;

	sl_buf_printf(&path, "%s/%s", sup_dir(), name);
	for (char *p = path.data + strlen(dir) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		if (mkdir(path.data, 0700) < 0)
			cr_assert_eq(errno, EEXIST, "%s: %s", path.data, strerror(errno));
		*p = '/';
	}
	out = fopen(path.data, "w");
	cr_assert_not_null(out, "%s: %s", path.data, strerror(errno));
	fputs(text, out);
	fclose(out);
	return sl_buf_steal(&path);
}

char *sup_read(const char *path)
{
	struct sl_buf text = SL_BUF_ZERO;
	FILE *in = fopen(path, "r");
	int c;

	cr_assert_not_null(in, "%s: %s", path, strerror(errno));
	while ((c = getc(in)) != EOF)
		sl_buf_putc(&text, (char)c);
	fclose(in);
	sl_buf_puts(&text, "");
	return sl_buf_steal(&text);
}

static void keep_line(void *arg, int level, const char *tag, const char *text)
{
	sl_buf_printf(arg, "%d %s: %s\n", level, tag, text);
}

struct sl_buf *sup_capture_log(int max_level)
{
	static struct sl_buf lines;

	sl_buf_clear(&lines);
	sl_log_open_callback(keep_line, &lines, max_level);
	return &lines;
}

char *sup_faults(const struct sl_faults *faults)
{
	struct sl_buf text = SL_BUF_ZERO;

	sl_buf_puts(&text, "");
	for (unsigned i = 0; i < faults->count; i++)
		sl_buf_printf(&text, "%s%s\n", faults->list[i].warning ? "warning: " : "",
			      faults->list[i].text);
	return sl_buf_steal(&text);
}
