/* Several threads at what they share. Run by a build with -Db_sanitize=thread, too, which sees the
 * races that end well here. */
#include "support.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "metrics/metrics.h"
#include "metrics/render.h"

#include <json-c/json.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define WRITERS 4
#define TURNS 2000

static struct sl_metrics *metrics;
static struct sl_metrics_row *rows[2];
static atomic_uint writers_left;

static const char *const callouts[SL_METRICS_CALLOUTS] = { "first" };
static const char *const phases[SL_METRICS_PHASES] = { "connect", "ehlo", "mailfrom", "rcptto",
						       "data",	  "eom",  "close" };

static void begin(void)
{
	sl_metrics_callout_names = callouts;
	sl_metrics_phase_names = phases;
	metrics = sl_metrics_new();
	for (unsigned i = 0; i < COUNT(rows); i++)
		rows[i] = sl_metrics_take_row(metrics, 1);
	sl_metrics_module(metrics, "module");
}

static void end(void)
{
	munmap(metrics, sizeof(*metrics));
	sup_remove_dir();
}

TestSuite(threads, .init = begin, .fini = end);

/* Runs `write` in WRITERS threads, and `read` here until all of them have ended. */
static void together(void *(*write)(void *arg), void (*read)(void))
{
	pthread_t threads[WRITERS];
	unsigned numbers[WRITERS];

	atomic_store(&writers_left, WRITERS);
	for (unsigned i = 0; i < WRITERS; i++) {
		numbers[i] = i;
		cr_assert_eq(pthread_create(&threads[i], NULL, write, &numbers[i]), 0);
	}
	do {
		read();
	} while (atomic_load(&writers_left));
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	read();
}

static void *count_things(void *arg)
{
	struct sl_metrics_row *row = rows[*(unsigned *)arg % COUNT(rows)];

	for (unsigned i = 0; i < TURNS; i++) {
		sl_count(&row->sessions);
		sl_count(&row->replies[3][550]);
		sl_metrics_callout(&row->callouts[0][0], i, i % 2);
		atomic_fetch_add(&row->sessions_open, i % 2 ? -1 : 1);
		atomic_store(&row->heartbeat_us, sl_now_us());
	}
	atomic_fetch_sub(&writers_left, 1);
	return NULL;
}

static uint64_t last_count;

static void read_counts(void)
{
	struct sl_buf out = SL_BUF_ZERO;
	json_object *root;
	uint64_t now;

	cr_assert_eq(sl_metrics_stats(metrics, true, &out), 0);
	root = json_tokener_parse(sl_buf_str(&out));
	cr_assert_not_null(root, "%s", sl_buf_str(&out));
	now = (uint64_t)json_object_get_int64(json_object_object_get(root, "sessions"));
	cr_assert_geq(now, last_count, "totals only grow");
	last_count = now;
	json_object_put(root);
	sl_buf_deinit(&out);
}

Test(threads, what_is_counted_is_counted_once)
{
	struct sl_buf out = SL_BUF_ZERO;

	together(count_things, read_counts);
	cr_assert_eq(last_count, WRITERS * TURNS);
	cr_assert_eq(sl_metrics_stats(metrics, false, &out), 0);
	sup_assert_has(sl_buf_str(&out), "sessions 8000, open 0;");
	sup_assert_has(sl_buf_str(&out), "reply rcptto 550 8000\n");
	sup_assert_has(sl_buf_str(&out), "callout module first calls 8000 errors 4000 mean 999 us");
	sl_buf_deinit(&out);
}

/* Sessions come and go; the client of each says its id once more. */
static void *serve_sessions(void *arg)
{
	unsigned number = *(unsigned *)arg;
	struct sl_metrics_row *row = rows[number % COUNT(rows)];

	for (unsigned i = 0; i < TURNS; i++) {
		struct sl_session_entry *entry;
		char id[16];
		char client[64];

		snprintf(id, sizeof(id), "%u-%08u", number, i);
		snprintf(client, sizeof(client), "%s-%s-%s-%s", id, id, id, id);
		entry = sl_metrics_session_begin(row, id, client);
		if (!entry)
			continue;
		atomic_store(&entry->phase, (int)(i % SL_METRICS_PHASES));
		atomic_store(&entry->running, i % 2);
		sl_metrics_session_client(entry, client);
		if (i % 8)
			sl_metrics_session_end(entry);
	}
	atomic_fetch_sub(&writers_left, 1);
	return NULL;
}

static void check_entry(json_object *entry)
{
	const char *id = json_object_get_string(json_object_object_get(entry, "id"));
	const char *client = json_object_get_string(json_object_object_get(entry, "client"));
	char wanted[64];

	snprintf(wanted, sizeof(wanted), "%s-%s-%s-%s", id, id, id, id);
	sup_assert_str(client, wanted);
}

static void read_sessions(void)
{
	struct sl_buf out = SL_BUF_ZERO;
	json_object *list;

	cr_assert_eq(sl_metrics_sessions(metrics, true, &out), 0);
	list = json_tokener_parse(sl_buf_str(&out));
	cr_assert_not_null(list, "%s", sl_buf_str(&out));
	for (size_t i = 0; i < json_object_array_length(list); i++)
		check_entry(json_object_array_get_idx(list, i));
	json_object_put(list);
	sl_buf_deinit(&out);
}

Test(threads, no_torn_session_is_shown)
{
	struct sl_buf out = SL_BUF_ZERO;
	unsigned lines = 0;

	together(serve_sessions, read_sessions);
	cr_assert_eq(sl_metrics_sessions(metrics, false, &out), 0);
	for (const char *p = sl_buf_str(&out); (p = strchr(p, '\n')); p++)
		lines++;
	cr_assert_eq(lines, WRITERS * TURNS / 8, "%u sessions are left", lines);
	sl_buf_deinit(&out);
}

static void *write_log(void *arg)
{
	unsigned number = *(unsigned *)arg;
	struct sl_log_ids ids = { "CONNECTION", "QUEUE" };

	for (unsigned i = 0; i < TURNS / 4; i++) {
		sl_log_for(&ids, LOG_INFO, "thread", "%u says %u", number, i);
		sl_log_print(&ids, "thread", "printed\nlines", 13);
		sl_log(LOG_DEBUG, "thread", "maybe");
	}
	atomic_fetch_sub(&writers_left, 1);
	return NULL;
}

static void turn_level(void)
{
	static unsigned turns;

	atomic_store(&metrics->log_level, turns++ % 2 ? LOG_INFO : LOG_DEBUG);
}

Test(threads, every_line_of_the_log_is_whole)
{
	char *path = sup_write("log", "");
	unsigned said = 0;
	struct sl_err err;
	char *text;

	cr_assert_eq(sl_log_open(SL_LOG_FILE, path, LOG_INFO, &err), 0, "%s", err.text);
	sl_log_set_format(SL_LOG_JSON);
	sl_log_share_level(&metrics->log_level);
	together(write_log, turn_level);
	sl_log_close();
	text = sup_read(path);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		json_object *entry = json_tokener_parse(line);

		cr_assert_not_null(entry, "%s", line);
		said += strstr(line, " says ") != NULL;
		json_object_put(entry);
	}
	cr_assert_eq(said, WRITERS * TURNS / 4);
	free(text);
	free(path);
}
