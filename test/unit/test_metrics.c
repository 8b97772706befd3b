#include "support.h"

#include "metrics/metrics.h"
#include "metrics/render.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

static struct sl_metrics *metrics;
static struct sl_metrics_row *row;
static struct sl_buf out;

static const char *const callouts[SL_METRICS_CALLOUTS] = { "first", "second" };
static const char *const phases[SL_METRICS_PHASES] = { "connect", "ehlo", "mailfrom", "rcptto",
						       "data",	  "eom",  "close" };

static void begin(void)
{
	sl_metrics_callout_names = callouts;
	sl_metrics_phase_names = phases;
	metrics = sl_metrics_new();
	cr_assert_not_null(metrics);
	row = sl_metrics_take_row(metrics, 1);
	cr_assert_not_null(row);
	atomic_store(&row->pid, 4711);
}

static void end(void)
{
	munmap(metrics, sizeof(*metrics));
	sl_buf_deinit(&out);
}

TestSuite(metrics, .init = begin, .fini = end);

static const char *stats(void)
{
	sl_buf_clear(&out);
	cr_assert_eq(sl_metrics_stats(metrics, false, &out), 0);
	return sl_buf_str(&out);
}

static json_object *parsed(int (*render)(const struct sl_metrics *, bool, struct sl_buf *))
{
	json_object *root;

	sl_buf_clear(&out);
	cr_assert_eq(render(metrics, true, &out), 0);
	cr_assert_eq(strchr(sl_buf_str(&out), '\n'), out.data + out.len - 1, "more than a line: %s",
		     sl_buf_str(&out));
	root = json_tokener_parse(sl_buf_str(&out));
	cr_assert_not_null(root, "%s", sl_buf_str(&out));
	return root;
}

/* The number at a path such as "replies.ehlo.550" or "callouts.0.calls"; -1 when there is none. */
static long long number(json_object *root, const char *path)
{
	char *copy = strdup(path);
	long long value;

	for (char *key = strtok(copy, "."); key && root; key = strtok(NULL, ".")) {
		if (json_object_is_type(root, json_type_array))
			root = json_object_array_get_idx(root, (size_t)atoi(key));
		else
			root = json_object_object_get(root, key);
	}
	value = root ? json_object_get_int64(root) : -1;
	free(copy);
	return value;
}

static const char *string(json_object *root, const char *key)
{
	return json_object_get_string(json_object_object_get(root, key));
}

#define assert_number(root, path, wanted)                                                          \
	cr_assert_eq(number(root, path), (wanted), "%s is %lld", path, number(root, path))

Test(metrics, nothing_happened_yet)
{
	json_object *root = parsed(sl_metrics_stats);

	assert_number(root, "sessions", 0);
	assert_number(root, "processes", 1);
	assert_number(root, "errors.script", 0);
	cr_assert_eq(json_object_array_length(json_object_object_get(root, "callouts")), 0);
	cr_assert_eq(json_object_object_length(json_object_object_get(
			     json_object_object_get(root, "replies"), "rcptto")),
		     0);
	json_object_put(root);
	sup_assert_has(stats(), "processes 1\n");
	sup_assert_has(stats(), "reloads 0 ok, 0 failed\n");
	sup_assert_has_not(stats(), "callout ");
	sup_assert_has_not(stats(), "reply ");
	sup_assert_has_not(stats(), "error ");
}

static void fill(void)
{
	atomic_store(&metrics->generation, 3);
	atomic_store(&metrics->reloads_ok, 2);
	sl_count(&metrics->reloads_failed);
	sl_count(&metrics->worker_restarts);
	sl_count(&metrics->init_restarts);
	sl_count(&metrics->recycled);
	for (int i = 0; i < 5; i++)
		sl_count(&row->sessions);
	atomic_fetch_add(&row->sessions_open, 2);
	sl_count(&row->messages);
	sl_count(&row->observed);
	atomic_store(&row->states_lost, 4);
	sl_count(&row->errors[SL_ERROR_SCRIPT]);
	sl_count(&row->errors[SL_ERROR_RETURN]);
	sl_count(&row->replies[3][0]);
	sl_count(&row->replies[3][550]);
	sl_count(&row->replies[3][550]);
	sl_count(&row->replies[5][451]);
}

Test(metrics, json_shows_all_that_was_counted)
{
	static const struct {
		const char *path;
		long long value;
	} rows[] = {
		{ "generation", 3 },
		{ "reloads_ok", 2 },
		{ "reloads_failed", 1 },
		{ "worker_restarts", 1 },
		{ "init_restarts", 1 },
		{ "recycled", 1 },
		{ "sessions", 5 },
		{ "sessions_open", 2 },
		{ "messages", 1 },
		{ "observed", 1 },
		{ "states_lost", 4 },
		{ "errors.script", 1 },
		{ "errors.time_limit", 0 },
		{ "errors.memory_limit", 0 },
		{ "errors.timeout", 0 },
		{ "errors.state_lost", 0 },
		{ "errors.client_gone", 0 },
		{ "errors.return_unusable", 1 },
		{ "replies.rcptto.continue", 1 },
		{ "replies.rcptto.550", 2 },
		{ "replies.eom.451", 1 },
		{ "replies.eom.550", -1 },
	};
	json_object *root;

	fill();
	root = parsed(sl_metrics_stats);
	for (unsigned i = 0; i < COUNT(rows); i++)
		assert_number(root, rows[i].path, rows[i].value);
	cr_assert_geq(number(root, "uptime"), 0);
	json_object_put(root);
}

Test(metrics, text_shows_all_that_was_counted)
{
	fill();
	sup_assert_has(stats(), " s, generation 3, processes 1\n"
				"reloads 2 ok, 1 failed\n"
				"restarts workers 1, init process 1, recycled 1\n"
				"sessions 5, open 2; messages 1\n"
				"states lost 4; observed decisions 1\n"
				"error script 1\n"
				"error return_unusable 1\n"
				"reply rcptto continue 1\n"
				"reply rcptto 550 2\n"
				"reply eom 451 1\n");
}

Test(metrics, callouts_have_a_histogram)
{
	static const struct {
		int64_t us;
		unsigned bucket;
	} rows[] = { { 0, 0 },
		     { 1, 0 },
		     { 2, 1 },
		     { 3, 1 },
		     { 4, 2 },
		     { 1023, 9 },
		     { 1024, 10 },
		     { (1 << 20) - 1, 19 },
		     { 1 << 20, 20 },
		     { 1 << 21, 20 },
		     { INT64_C(1) << 60, 20 } };
	struct sl_callout_metrics *callout = &row->callouts[0][1];
	uint64_t before;

	for (unsigned i = 0; i < COUNT(rows); i++) {
		before = atomic_load(&callout->buckets[rows[i].bucket]);
		sl_metrics_callout(callout, rows[i].us, i == 0);
		cr_assert_eq(atomic_load(&callout->buckets[rows[i].bucket]), before + 1, "%lld us",
			     (long long)rows[i].us);
	}
	cr_assert_eq(atomic_load(&callout->calls), COUNT(rows));
	cr_assert_eq(atomic_load(&callout->errors), 1);
}

Test(metrics, callouts_of_all_processes_are_added_up)
{
	struct sl_metrics_row *other = sl_metrics_take_row(metrics, 1);
	unsigned greet = sl_metrics_module(metrics, "greet");
	json_object *root;

	for (int i = 0; i < 98; i++)
		sl_metrics_callout(&row->callouts[greet][0], 3, false);
	sl_metrics_callout(&other->callouts[greet][0], 3, true);
	sl_metrics_callout(&other->callouts[greet][0], 5000, false);
	root = parsed(sl_metrics_stats);
	sup_assert_str(
		string(json_object_array_get_idx(json_object_object_get(root, "callouts"), 0),
		       "module"),
		"greet");
	sup_assert_str(
		string(json_object_array_get_idx(json_object_object_get(root, "callouts"), 0),
		       "callout"),
		"first");
	assert_number(root, "callouts.0.calls", 100);
	assert_number(root, "callouts.0.errors", 1);
	assert_number(root, "callouts.0.us", 99 * 3 + 5000);
	assert_number(root, "callouts.0.log2_us.1", 99);
	assert_number(root, "callouts.0.log2_us.12", 1);
	assert_number(root, "callouts.1.calls", -1);
	json_object_put(root);
	/* bounds of buckets: 99 of 100 stayed below 4 us */
	sup_assert_has(stats(), "callout greet first calls 100 errors 1 mean 52 us p50 4 p99 4\n");
	sl_metrics_callout(&other->callouts[greet][0], 5000, false);
	sl_metrics_callout(&other->callouts[greet][0], INT64_C(1) << 40, false);
	sup_assert_has(stats(), " p50 4 p99 8192\n");
}

Test(metrics, a_row_keeps_its_counts_when_it_is_given_back)
{
	struct sl_session_entry *entry = sl_metrics_session_begin(row, "id", "client");
	json_object *root;

	sl_count(&row->sessions);
	atomic_fetch_add(&row->sessions_open, 1);
	sl_metrics_release_row(row);
	root = parsed(sl_metrics_stats);
	assert_number(root, "sessions", 1);
	assert_number(root, "sessions_open", 0);
	assert_number(root, "processes", 0);
	json_object_put(root);
	root = parsed(sl_metrics_sessions);
	cr_assert_eq(json_object_array_length(root), 0);
	json_object_put(root);
	cr_assert_eq(sl_metrics_take_row(metrics, 7), row);
	cr_assert_eq(atomic_load(&row->generation), 7);
	cr_assert_eq(atomic_load(&row->sessions), 1);
	cr_assert_eq(sl_metrics_session_begin(row, "id", "client"), entry);
}

Test(metrics, rows_come_to_an_end)
{
	for (unsigned i = 1; i < SL_METRICS_ROWS; i++)
		cr_assert_not_null(sl_metrics_take_row(metrics, 1), "row %u", i);
	cr_assert_null(sl_metrics_take_row(metrics, 1));
	sl_metrics_release_row(&metrics->rows[100]);
	cr_assert_eq(sl_metrics_take_row(metrics, 1), &metrics->rows[100]);
	cr_assert_null(sl_metrics_take_row(metrics, 1));
}

Test(metrics, modules_are_known_by_name)
{
	char name[100];

	cr_assert_eq(sl_metrics_module(metrics, "a"), 0);
	cr_assert_eq(sl_metrics_module(metrics, "ab"), 1);
	cr_assert_eq(sl_metrics_module(metrics, "a"), 0);
	cr_assert_eq(sl_metrics_find_module(metrics, "ab"), 1);
	cr_assert_eq(sl_metrics_find_module(metrics, "abc"), SL_METRICS_MODULES - 1);
	for (unsigned i = 2; i < SL_METRICS_MODULES - 1; i++) {
		snprintf(name, sizeof(name), "module%u", i);
		cr_assert_eq(sl_metrics_module(metrics, name), i);
	}
	/* what has no room is counted together */
	cr_assert_eq(sl_metrics_module(metrics, "late"), SL_METRICS_MODULES - 1);
	cr_assert_eq(sl_metrics_module(metrics, "later"), SL_METRICS_MODULES - 1);
	cr_assert_eq(sl_metrics_find_module(metrics, "late"), SL_METRICS_MODULES - 1);
	sl_metrics_callout(&row->callouts[SL_METRICS_MODULES - 1][0], 1, false);
	sup_assert_has(stats(), "callout (others) first calls 1");
}

Test(metrics, a_long_module_name_is_found_again)
{
	char name[SL_METRICS_NAME + 20];

	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	cr_assert_eq(sl_metrics_module(metrics, name), 0);
	cr_assert_eq(sl_metrics_module(metrics, name), 0);
	cr_assert_eq(sl_metrics_find_module(metrics, name), 0);
}

Test(metrics, sessions_are_listed)
{
	struct sl_session_entry *first = sl_metrics_session_begin(row, "ID1", "");
	struct sl_session_entry *second = sl_metrics_session_begin(row, "ID2", "2001:db8::1");
	json_object *root;
	json_object *one;

	sl_metrics_session_client(first, "192.0.2.1");
	atomic_store(&second->phase, 5);
	atomic_store(&second->running, true);
	root = parsed(sl_metrics_sessions);
	cr_assert_eq(json_object_array_length(root), 2);
	one = json_object_array_get_idx(root, 0);
	sup_assert_str(string(one, "id"), "ID1");
	sup_assert_str(string(one, "client"), "192.0.2.1");
	sup_assert_str(string(one, "phase"), "connect");
	sup_assert_str(string(one, "state"), "idle");
	assert_number(one, "worker", 4711);
	cr_assert_geq(number(one, "age"), 0);
	one = json_object_array_get_idx(root, 1);
	sup_assert_str(string(one, "phase"), "eom");
	sup_assert_str(string(one, "state"), "callout");
	json_object_put(root);

	sl_metrics_session_end(first);
	sl_buf_clear(&out);
	cr_assert_eq(sl_metrics_sessions(metrics, false, &out), 0);
	sup_assert_has(sl_buf_str(&out), "ID2 2001:db8::1 phase eom age ");
	sup_assert_has(sl_buf_str(&out), " s callout worker 4711\n");
	sup_assert_has_not(sl_buf_str(&out), "ID1");
	sl_metrics_session_end(second);
	sl_buf_clear(&out);
	cr_assert_eq(sl_metrics_sessions(metrics, false, &out), 0);
	sup_assert_str(sl_buf_str(&out), "");
}

Test(metrics, sessions_without_room_are_not_listed)
{
	struct sl_session_entry *last = NULL;

	for (unsigned i = 0; i < SL_METRICS_SESSIONS; i++) {
		last = sl_metrics_session_begin(row, "x", "y");
		cr_assert_not_null(last);
	}
	cr_assert_null(sl_metrics_session_begin(row, "x", "y"));
	sl_metrics_session_client(NULL, "y");
	sl_metrics_session_end(NULL);
	sl_metrics_session_end(last);
	cr_assert_eq(sl_metrics_session_begin(row, "x", "y"), last);
}

Test(metrics, what_is_too_long_for_an_entry_is_cut)
{
	char text[200];
	json_object *root;

	memset(text, 'z', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	sl_metrics_session_begin(row, text, text);
	root = parsed(sl_metrics_sessions);
	cr_assert_eq(strlen(string(json_object_array_get_idx(root, 0), "id")), 27);
	cr_assert_eq(strlen(string(json_object_array_get_idx(root, 0), "client")), 63);
	json_object_put(root);
}

Test(metrics, a_process_that_died_while_writing_leaves_no_dead_entry)
{
	struct sl_session_entry *entry = sl_metrics_session_begin(row, "torn", "torn");

	atomic_fetch_add(&entry->seq, 1); /* as far as it came */
	sl_buf_clear(&out);
	cr_assert_eq(sl_metrics_sessions(metrics, false, &out), 0);
	sup_assert_str(sl_buf_str(&out), "");
	sl_metrics_release_row(row);
	cr_assert_eq(sl_metrics_take_row(metrics, 2), row);
	cr_assert_eq(sl_metrics_session_begin(row, "whole", "client"), entry);
	sl_buf_clear(&out);
	cr_assert_eq(sl_metrics_sessions(metrics, false, &out), 0);
	sup_assert_has(sl_buf_str(&out), "whole client");
}

Test(metrics, processes_share_them)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		for (int i = 0; i < 1000; i++)
			sl_count(&row->messages);
		sl_metrics_session_begin(row, "child", "client");
		_exit(0);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0);
	cr_assert_eq(atomic_load(&row->messages), 1000);
	sl_buf_clear(&out);
	cr_assert_eq(sl_metrics_sessions(metrics, false, &out), 0);
	sup_assert_has(sl_buf_str(&out), "child client");
}

Test(metrics, the_level_of_the_log_starts_at_info)
{
	cr_assert_eq(atomic_load(&metrics->log_level), LOG_INFO);
}
