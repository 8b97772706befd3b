#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Set before threads start, read-only afterwards. */
static struct {
	enum sl_log_to to;
	int fd;
	int max_level;
	const _Atomic(int) *shared_level; /* goes before max_level; NULL: none */
	enum sl_log_format format;
	sl_log_fn fn;
	void *arg;
} target = { .to = SL_LOG_STDERR, .fd = STDERR_FILENO, .max_level = LOG_INFO };

static const char *const level_names[] = { "emerg",   "alert",	"crit", "err",
					   "warning", "notice", "info", "debug" };

int sl_log_level_by_name(const char *name)
{
	if (strcmp(name, "error") == 0)
		return LOG_ERR;
	for (int i = 0; i < (int)(sizeof(level_names) / sizeof(level_names[0])); i++)
		if (strcmp(name, level_names[i]) == 0)
			return i;
	return -1;
}

const char *sl_log_level_name(int level)
{
	return level_names[level & 7];
}

void sl_log_set_format(enum sl_log_format format)
{
	target.format = format;
}

void sl_log_share_level(const _Atomic(int) *level)
{
	target.shared_level = level;
}

int sl_log_open(enum sl_log_to to, const char *path, int max_level, struct sl_err *err)
{
	int fd = STDERR_FILENO;

	if (to == SL_LOG_FILE) {
		fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
		if (fd < 0)
			return sl_fail(err, -errno, "cannot open the log file %s: %s", path,
				       strerror(errno));
	}
	sl_log_close();
	if (to == SL_LOG_SYSLOG)
		openlog("scriptletd", LOG_PID | LOG_NDELAY, LOG_MAIL);
	target.to = to;
	target.fd = fd;
	target.max_level = max_level;
	return 0;
}

void sl_log_open_callback(sl_log_fn fn, void *arg, int max_level)
{
	sl_log_close();
	target.to = SL_LOG_CALLBACK;
	target.fn = fn;
	target.arg = arg;
	target.max_level = max_level;
}

void sl_log_close(void)
{
	if (target.to == SL_LOG_FILE)
		close(target.fd);
	else if (target.to == SL_LOG_SYSLOG)
		closelog();
	target.to = SL_LOG_STDERR;
	target.fd = STDERR_FILENO;
}

/* Mail content reaches the log: what could move a terminal or forge a column is masked. */
static void mask_controls(char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if ((c < 32 && c != '\n' && c != '\t') || c == 127)
			text[i] = '?';
	}
}

static void add_ids(struct sl_buf *line, const struct sl_log_ids *ids)
{
	if (!ids || !ids->conn || !*ids->conn)
		return;
	sl_buf_printf(line, " [%s", ids->conn);
	if (ids->queue && *ids->queue)
		sl_buf_printf(line, " %s", ids->queue);
	sl_buf_putc(line, ']');
}

static void make_json(struct sl_buf *line, const struct sl_log_ids *ids, int level, const char *tag,
		      const char *text)
{
	sl_buf_printf(line, "{\"time\":%lld,\"level\":\"%s\",\"tag\":", (long long)sl_epoch(),
		      level_names[level & 7]);
	sl_json_string(line, tag);
	if (ids && ids->conn && *ids->conn) {
		sl_buf_puts(line, ",\"conn\":");
		sl_json_string(line, ids->conn);
	}
	if (ids && ids->queue && *ids->queue) {
		sl_buf_puts(line, ",\"queue\":");
		sl_json_string(line, ids->queue);
	}
	sl_buf_puts(line, ",\"text\":");
	sl_json_string(line, text);
	sl_buf_putc(line, '}');
}

static void emit_syslog(int level, const char *tag, char *text, const char *ids)
{
	char *save = NULL;

	/* a record is one line: several lines are several records */
	for (char *part = strtok_r(text, "\n", &save); part; part = strtok_r(NULL, "\n", &save))
		syslog(level, "%s: %s%s", tag, part, ids);
}

/* Lines of one record after the first begin with a tab: what a client sent, and a script prints,
 * cannot pass for a record of its own. */
static void add_text(struct sl_buf *line, const char *text)
{
	for (; *text; text++) {
		sl_buf_putc(line, *text);
		if (*text == '\n')
			sl_buf_putc(line, '\t');
	}
}

/* A log that cannot be written has nowhere to complain. */
static void write_line(struct sl_buf *line)
{
	sl_buf_putc(line, '\n');
	if (write(target.fd, sl_buf_str(line), line->len) < 0)
		return;
}

static void emit(const struct sl_log_ids *ids, int level, const char *tag, char *text, size_t len)
{
	struct sl_buf line = SL_BUF_ZERO;
	struct sl_buf id = SL_BUF_ZERO;

	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		text[--len] = '\0';
	mask_controls(text, len);
	if (target.format == SL_LOG_JSON && target.to != SL_LOG_CALLBACK) {
		make_json(&line, ids, level, tag, text);
		if (target.to == SL_LOG_SYSLOG)
			syslog(level, "%s", sl_buf_str(&line));
		else
			write_line(&line);
		sl_buf_deinit(&line);
		return;
	}
	switch (target.to) {
	case SL_LOG_CALLBACK:
		target.fn(target.arg, level, tag, text);
		break;
	case SL_LOG_SYSLOG:
		add_ids(&id, ids);
		emit_syslog(level, tag, text, sl_buf_str(&id));
		break;
	default:
		sl_buf_printf(&line, "%lld:%s: ", (long long)sl_epoch(), tag);
		add_text(&line, text);
		add_ids(&line, ids);
		write_line(&line);
	}
	sl_buf_deinit(&line);
	sl_buf_deinit(&id);
}

static void log_va(const struct sl_log_ids *ids, int level, const char *tag, const char *fmt,
		   va_list ap)
{
	char text[2048];
	int len;

	if (level > (target.shared_level ? atomic_load(target.shared_level) : target.max_level))
		return;
	len = vsnprintf(text, sizeof(text), fmt, ap);
	if (len < 0)
		return;
	emit(ids, level, tag, text, (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1);
}

void sl_log(int level, const char *tag, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_va(NULL, level, tag, fmt, ap);
	va_end(ap);
}

void sl_log_for(const struct sl_log_ids *ids, int level, const char *tag, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_va(ids, level, tag, fmt, ap);
	va_end(ap);
}

/* Carriage returns of a CRLF vanish, NULs and other controls are masked in emit(). */
void sl_log_print(const struct sl_log_ids *ids, const char *tag, const char *text, size_t len)
{
	struct sl_buf copy = SL_BUF_ZERO;

	if (sl_buf_reserve(&copy, len) < 0)
		return;
	for (size_t i = 0; i < len; i++)
		if (!(text[i] == '\r' && i + 1 < len && text[i + 1] == '\n'))
			copy.data[copy.len++] = text[i];
	copy.data[copy.len] = '\0';
	emit(ids, LOG_NOTICE, tag, copy.data, copy.len);
	sl_buf_deinit(&copy);
}
