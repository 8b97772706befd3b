/* log: where the program speaks. One target per process, chosen once; every line is one write.
 *
 * Text form, after Momentum's paniclog: `EPOCH:TAG: TEXT [CONNECTION QUEUEID]` on stderr and in a
 * file; in syslog (facility mail) the same without the epoch. The ids stand last, so that programs
 * which read the manual's format find it where the manual puts it.
 *
 * In JSON form a line is one object: time, level, tag, conn, queue, text.
 *
 * Usable from any thread. Level numbers are syslog's. */
#pragma once

#include "base/err.h"

#include <stdatomic.h>
#include <syslog.h>

enum sl_log_format { SL_LOG_TEXT, SL_LOG_JSON };

enum sl_log_to { SL_LOG_STDERR, SL_LOG_SYSLOG, SL_LOG_FILE, SL_LOG_CALLBACK };

/* What a line belongs to; either may be NULL or "". */
struct sl_log_ids {
	const char *conn;
	const char *queue;
};

/* Opens the target before anything else runs. `path` only for a file (appended to, created 0640). */
int sl_log_open(enum sl_log_to to, const char *path, int max_level, struct sl_err *err);

/* Sends every line to `fn` instead, for programs that show it themselves; `tag` and `text` are
 * borrowed for the call. `max_level` as above. */
typedef void (*sl_log_fn)(void *arg, int level, const char *tag, const char *text);
void sl_log_open_callback(sl_log_fn fn, void *arg, int max_level);

void sl_log_close(void);

/* How lines are written to standard error, a file and syslog, from now on. */
void sl_log_set_format(enum sl_log_format format);

/* From now on the level is what is stored there, in memory shared with other processes. */
void sl_log_share_level(const _Atomic(int) *level);

/* Level by name ("debug" ... "emerg"), -1 when unknown. */
int sl_log_level_by_name(const char *name);
const char *sl_log_level_name(int level);

void sl_log(int level, const char *tag, const char *fmt, ...) SL_PRINTF(3, 4);
void sl_log_for(const struct sl_log_ids *ids, int level, const char *tag, const char *fmt, ...)
	SL_PRINTF(4, 5);

/* What a script prints: shown at every level, since it is output and not diagnostics. Newlines
 * stay, each followed by a tab in the text form; other control characters become '?'. */
void sl_log_print(const struct sl_log_ids *ids, const char *tag, const char *text, size_t len);
