#include "metrics/render.h"

#include "base/clock.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *const *sl_metrics_callout_names;
const char *const *sl_metrics_phase_names;

static const char *const error_names[SL_ERROR_KINDS] = {
	[SL_ERROR_SCRIPT] = "script",	      [SL_ERROR_TIME] = "time_limit",
	[SL_ERROR_MEMORY] = "memory_limit",   [SL_ERROR_WAIT] = "timeout",
	[SL_ERROR_LOST] = "state_lost",	      [SL_ERROR_GONE] = "client_gone",
	[SL_ERROR_RETURN] = "return_unusable"
};

/* All rows added up. */
struct totals {
	unsigned workers;
	uint64_t sessions;
	int64_t sessions_open;
	uint64_t messages;
	uint64_t states_lost;
	uint64_t observed;
	uint64_t errors[SL_ERROR_KINDS];
	uint64_t replies[SL_METRICS_PHASES][SL_METRICS_CODES];
	struct {
		uint64_t calls;
		uint64_t errors;
		uint64_t us;
		uint64_t buckets[SL_METRICS_BUCKETS];
	} callouts[SL_METRICS_MODULES][SL_METRICS_CALLOUTS];
};

static void add_callouts(struct totals *sum, const struct sl_metrics_row *row)
{
	for (unsigned m = 0; m < SL_METRICS_MODULES; m++) {
		for (unsigned c = 0; c < SL_METRICS_CALLOUTS; c++) {
			const struct sl_callout_metrics *callout = &row->callouts[m][c];

			if (atomic_load(&callout->calls) == 0)
				continue;
			sum->callouts[m][c].calls += atomic_load(&callout->calls);
			sum->callouts[m][c].errors += atomic_load(&callout->errors);
			sum->callouts[m][c].us += atomic_load(&callout->us);
			for (unsigned b = 0; b < SL_METRICS_BUCKETS; b++)
				sum->callouts[m][c].buckets[b] += atomic_load(&callout->buckets[b]);
		}
	}
}

static struct totals *add_up(const struct sl_metrics *metrics)
{
	struct totals *sum = calloc(1, sizeof(*sum));

	for (unsigned i = 0; sum && i < SL_METRICS_ROWS; i++) {
		const struct sl_metrics_row *row = &metrics->rows[i];

		if (atomic_load(&row->generation) == 0)
			break; /* rows are taken in order: none was used from here on */
		sum->workers += atomic_load(&row->pid) > 0;
		sum->sessions += atomic_load(&row->sessions);
		sum->sessions_open += atomic_load(&row->sessions_open);
		sum->messages += atomic_load(&row->messages);
		sum->states_lost += atomic_load(&row->states_lost);
		sum->observed += atomic_load(&row->observed);
		for (unsigned k = 0; k < SL_ERROR_KINDS; k++)
			sum->errors[k] += atomic_load(&row->errors[k]);
		for (unsigned p = 0; p < SL_METRICS_PHASES; p++)
			for (unsigned c = 0; c < SL_METRICS_CODES; c++)
				sum->replies[p][c] += atomic_load(&row->replies[p][c]);
		add_callouts(sum, row);
	}
	return sum;
}

/* Upper bound in us of the bucket below which that share of the calls stayed. */
static uint64_t percentile(const uint64_t *buckets, uint64_t calls, unsigned percent)
{
	uint64_t below = 0;

	for (unsigned b = 0; b < SL_METRICS_BUCKETS; b++) {
		below += buckets[b];
		if (below * 100 >= calls * percent)
			return (uint64_t)2 << b;
	}
	return (uint64_t)2 << SL_METRICS_BUCKETS;
}

static void text_stats(const struct sl_metrics *metrics, const struct totals *sum,
		       struct sl_buf *out)
{
	sl_buf_printf(out, "uptime %lld s, generation %u, processes %u\n",
		      (long long)(sl_epoch() - metrics->started), atomic_load(&metrics->generation),
		      sum->workers);
	sl_buf_printf(out, "reloads %llu ok, %llu failed\n",
		      (unsigned long long)atomic_load(&metrics->reloads_ok),
		      (unsigned long long)atomic_load(&metrics->reloads_failed));
	sl_buf_printf(out, "restarts workers %llu, init process %llu, recycled %llu\n",
		      (unsigned long long)atomic_load(&metrics->worker_restarts),
		      (unsigned long long)atomic_load(&metrics->init_restarts),
		      (unsigned long long)atomic_load(&metrics->recycled));
	sl_buf_printf(out, "sessions %llu, open %lld; messages %llu\n",
		      (unsigned long long)sum->sessions, (long long)sum->sessions_open,
		      (unsigned long long)sum->messages);
	sl_buf_printf(out, "states lost %llu; observed decisions %llu\n",
		      (unsigned long long)sum->states_lost, (unsigned long long)sum->observed);
	for (unsigned k = 0; k < SL_ERROR_KINDS; k++)
		if (sum->errors[k])
			sl_buf_printf(out, "error %s %llu\n", error_names[k],
				      (unsigned long long)sum->errors[k]);
	for (unsigned p = 0; p < SL_METRICS_PHASES; p++)
		for (unsigned c = 0; c < SL_METRICS_CODES; c++)
			if (sum->replies[p][c] && c)
				sl_buf_printf(out, "reply %s %u %llu\n", sl_metrics_phase_names[p],
					      c, (unsigned long long)sum->replies[p][c]);
			else if (sum->replies[p][c])
				sl_buf_printf(out, "reply %s continue %llu\n",
					      sl_metrics_phase_names[p],
					      (unsigned long long)sum->replies[p][c]);
	for (unsigned m = 0; m < SL_METRICS_MODULES; m++)
		for (unsigned c = 0; c < SL_METRICS_CALLOUTS; c++)
			if (sum->callouts[m][c].calls)
				sl_buf_printf(out,
					      "callout %s %s calls %llu errors %llu mean %llu us "
					      "p50 %llu p99 %llu\n",
					      metrics->modules[m], sl_metrics_callout_names[c],
					      (unsigned long long)sum->callouts[m][c].calls,
					      (unsigned long long)sum->callouts[m][c].errors,
					      (unsigned long long)(sum->callouts[m][c].us /
								   sum->callouts[m][c].calls),
					      (unsigned long long)percentile(
						      sum->callouts[m][c].buckets,
						      sum->callouts[m][c].calls, 50),
					      (unsigned long long)percentile(
						      sum->callouts[m][c].buckets,
						      sum->callouts[m][c].calls, 99));
}

static void put(json_object *object, const char *name, uint64_t value)
{
	json_object_object_add(object, name, json_object_new_int64((int64_t)value));
}

static json_object *json_replies(const struct totals *sum)
{
	json_object *replies = json_object_new_object();

	for (unsigned p = 0; p < SL_METRICS_PHASES; p++) {
		json_object *phase = json_object_new_object();

		for (unsigned c = 0; c < SL_METRICS_CODES; c++) {
			char name[16];

			if (!sum->replies[p][c])
				continue;
			snprintf(name, sizeof(name), "%u", c);
			put(phase, c ? name : "continue", sum->replies[p][c]);
		}
		json_object_object_add(replies, sl_metrics_phase_names[p], phase);
	}
	return replies;
}

static json_object *json_callouts(const struct sl_metrics *metrics, const struct totals *sum)
{
	json_object *list = json_object_new_array();

	for (unsigned m = 0; m < SL_METRICS_MODULES; m++) {
		for (unsigned c = 0; c < SL_METRICS_CALLOUTS; c++) {
			json_object *row;
			json_object *buckets;

			if (!sum->callouts[m][c].calls)
				continue;
			row = json_object_new_object();
			buckets = json_object_new_array();
			json_object_object_add(row, "module",
					       json_object_new_string(metrics->modules[m]));
			json_object_object_add(row, "callout",
					       json_object_new_string(sl_metrics_callout_names[c]));
			put(row, "calls", sum->callouts[m][c].calls);
			put(row, "errors", sum->callouts[m][c].errors);
			put(row, "us", sum->callouts[m][c].us);
			for (unsigned b = 0; b < SL_METRICS_BUCKETS; b++)
				json_object_array_add(
					buckets, json_object_new_int64(
							 (int64_t)sum->callouts[m][c].buckets[b]));
			json_object_object_add(row, "log2_us", buckets);
			json_object_array_add(list, row);
		}
	}
	return list;
}

static int print_json(json_object *root, struct sl_buf *out)
{
	int rc = sl_buf_printf(
		out, "%s\n", json_object_to_json_string_ext(root, JSON_C_TO_STRING_NOSLASHESCAPE));

	json_object_put(root);
	return rc;
}

static int json_stats(const struct sl_metrics *metrics, const struct totals *sum,
		      struct sl_buf *out)
{
	json_object *root = json_object_new_object();
	json_object *errors = json_object_new_object();

	put(root, "uptime", (uint64_t)(sl_epoch() - metrics->started));
	put(root, "generation", atomic_load(&metrics->generation));
	put(root, "processes", sum->workers);
	put(root, "reloads_ok", atomic_load(&metrics->reloads_ok));
	put(root, "reloads_failed", atomic_load(&metrics->reloads_failed));
	put(root, "worker_restarts", atomic_load(&metrics->worker_restarts));
	put(root, "init_restarts", atomic_load(&metrics->init_restarts));
	put(root, "recycled", atomic_load(&metrics->recycled));
	put(root, "sessions", sum->sessions);
	put(root, "sessions_open", (uint64_t)sum->sessions_open);
	put(root, "messages", sum->messages);
	put(root, "states_lost", sum->states_lost);
	put(root, "observed", sum->observed);
	for (unsigned k = 0; k < SL_ERROR_KINDS; k++)
		put(errors, error_names[k], sum->errors[k]);
	json_object_object_add(root, "errors", errors);
	json_object_object_add(root, "replies", json_replies(sum));
	json_object_object_add(root, "callouts", json_callouts(metrics, sum));
	return print_json(root, out);
}

int sl_metrics_stats(const struct sl_metrics *metrics, bool json, struct sl_buf *out)
{
	struct totals *sum = add_up(metrics);
	int rc = 0;

	if (!sum)
		return -ENOMEM;
	if (json)
		rc = json_stats(metrics, sum, out);
	else
		text_stats(metrics, sum, out);
	free(sum);
	return rc;
}

/* A session entry as it was at one moment. */
struct entry_copy {
	char id[SL_METRICS_ID];
	char client[SL_METRICS_CLIENT];
	int64_t started;
	int phase;
	bool running;
};

static void get_text(char *to, size_t size, const _Atomic(char) *from)
{
	for (size_t i = 0; i < size; i++)
		to[i] = atomic_load_explicit(&from[i], memory_order_acquire);
	to[size - 1] = '\0';
}

/* A copy that nobody wrote to meanwhile; false when the entry is not in use. */
static bool copy_entry(const struct sl_session_entry *entry, struct entry_copy *copy)
{
	for (int attempt = 0; attempt < 100; attempt++) {
		uint32_t before = atomic_load(&entry->seq);

		if (!atomic_load(&entry->used))
			return false;
		get_text(copy->id, sizeof(copy->id), entry->id);
		get_text(copy->client, sizeof(copy->client), entry->client);
		copy->started = atomic_load(&entry->started);
		copy->phase = atomic_load(&entry->phase);
		copy->running = atomic_load(&entry->running);
		if (!(before & 1) && atomic_load(&entry->seq) == before)
			return true;
	}
	return false;
}

static void print_entry(const struct entry_copy *entry, long pid, json_object *list,
			struct sl_buf *out)
{
	const char *phase = sl_metrics_phase_names[entry->phase];
	const char *state = entry->running ? "callout" : "idle";
	long long age = (long long)(sl_epoch() - entry->started);
	json_object *row;

	if (!list) {
		sl_buf_printf(out, "%s %s phase %s age %lld s %s worker %ld\n", entry->id,
			      entry->client, phase, age, state, pid);
		return;
	}
	row = json_object_new_object();
	json_object_object_add(row, "id", json_object_new_string(entry->id));
	json_object_object_add(row, "client", json_object_new_string(entry->client));
	json_object_object_add(row, "phase", json_object_new_string(phase));
	json_object_object_add(row, "age", json_object_new_int64(age));
	json_object_object_add(row, "state", json_object_new_string(state));
	json_object_object_add(row, "worker", json_object_new_int64(pid));
	json_object_array_add(list, row);
}

int sl_metrics_sessions(const struct sl_metrics *metrics, bool json, struct sl_buf *out)
{
	json_object *list = json ? json_object_new_array() : NULL;

	for (unsigned i = 0; i < SL_METRICS_ROWS; i++) {
		const struct sl_metrics_row *row = &metrics->rows[i];
		struct entry_copy copy;

		if (atomic_load(&row->generation) == 0)
			break;
		for (unsigned e = 0; e < SL_METRICS_SESSIONS; e++)
			if (copy_entry(&row->session_list[e], &copy))
				print_entry(&copy, atomic_load(&row->pid), list, out);
	}
	return json ? print_json(list, out) : 0;
}
