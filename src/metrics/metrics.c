#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "metrics/metrics.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <syslog.h>

struct sl_metrics *sl_metrics_new(void)
{
	struct sl_metrics *metrics = mmap(NULL, sizeof(*metrics), PROT_READ | PROT_WRITE,
					  MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (metrics == MAP_FAILED)
		return NULL;
	metrics->started = sl_epoch();
	atomic_store(&metrics->log_level, LOG_INFO);
	return metrics;
}

struct sl_metrics_row *sl_metrics_take_row(struct sl_metrics *metrics, unsigned generation)
{
	for (unsigned i = 0; i < SL_METRICS_ROWS; i++) {
		struct sl_metrics_row *row = &metrics->rows[i];
		int free_pid = 0;

		if (!atomic_compare_exchange_strong(&row->pid, &free_pid, -1))
			continue;
		atomic_store(&row->generation, generation);
		atomic_store(&row->heartbeat_us, sl_now_us());
		atomic_store(&row->stuck_us, 0);
		return row;
	}
	return NULL;
}

void sl_metrics_release_row(struct sl_metrics_row *row)
{
	for (unsigned i = 0; i < SL_METRICS_SESSIONS; i++) {
		struct sl_session_entry *entry = &row->session_list[i];

		if (!atomic_load(&entry->used))
			continue;
		/* it may have died while it was writing */
		if (atomic_load(&entry->seq) & 1)
			atomic_fetch_add(&entry->seq, 1);
		atomic_store(&entry->used, false);
	}
	atomic_store(&row->sessions_open, 0);
	atomic_store(&row->pid, 0);
}

unsigned sl_metrics_module(struct sl_metrics *metrics, const char *name)
{
	unsigned i;

	for (i = 0; i < SL_METRICS_MODULES - 1; i++) {
		if (strncmp(metrics->modules[i], name, SL_METRICS_NAME - 1) == 0)
			return i;
		if (!metrics->modules[i][0])
			break;
	}
	snprintf(metrics->modules[i], SL_METRICS_NAME, "%s",
		 i < SL_METRICS_MODULES - 1 ? name : "(others)");
	return i;
}

unsigned sl_metrics_find_module(const struct sl_metrics *metrics, const char *name)
{
	for (unsigned i = 0; i < SL_METRICS_MODULES - 1; i++)
		if (strncmp(metrics->modules[i], name, SL_METRICS_NAME - 1) == 0)
			return i;
	return SL_METRICS_MODULES - 1;
}

void sl_metrics_callout(struct sl_callout_metrics *callout, int64_t us, bool error)
{
	unsigned bucket = 0;

	while (bucket < SL_METRICS_BUCKETS - 1 && us >> (bucket + 1))
		bucket++;
	sl_count(&callout->calls);
	if (error)
		sl_count(&callout->errors);
	atomic_fetch_add_explicit(&callout->us, (uint64_t)us, memory_order_relaxed);
	sl_count(&callout->buckets[bucket]);
}

/* Byte by byte, since somebody may be reading; released, so that no byte gets before the odd `seq`. */
static void put_text(_Atomic(char) *to, size_t size, const char *text)
{
	size_t len = strnlen(text, size - 1);

	for (size_t i = 0; i < size; i++)
		atomic_store_explicit(&to[i], i < len ? text[i] : '\0', memory_order_release);
}

struct sl_session_entry *sl_metrics_session_begin(struct sl_metrics_row *row, const char *id,
						  const char *client)
{
	for (unsigned i = 0; i < SL_METRICS_SESSIONS; i++) {
		struct sl_session_entry *entry = &row->session_list[i];
		bool unused = false;

		if (atomic_load_explicit(&entry->used, memory_order_relaxed) ||
		    !atomic_compare_exchange_strong(&entry->used, &unused, true))
			continue;
		atomic_fetch_add(&entry->seq, 1);
		put_text(entry->id, sizeof(entry->id), id);
		put_text(entry->client, sizeof(entry->client), client);
		atomic_store(&entry->started, sl_epoch());
		atomic_store(&entry->phase, 0);
		atomic_store(&entry->running, false);
		atomic_fetch_add(&entry->seq, 1);
		return entry;
	}
	return NULL;
}

void sl_metrics_session_end(struct sl_session_entry *entry)
{
	if (entry)
		atomic_store(&entry->used, false);
}

void sl_metrics_session_client(struct sl_session_entry *entry, const char *client)
{
	if (!entry)
		return;
	atomic_fetch_add(&entry->seq, 1);
	put_text(entry->client, sizeof(entry->client), client);
	atomic_fetch_add(&entry->seq, 1);
}
