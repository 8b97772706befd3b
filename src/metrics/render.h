/* render: the metrics as text for people and JSON for programs. Reads the shared segment while others
 * write it: numbers may be a moment apart from each other. */
#pragma once

#include "base/buf.h"
#include "metrics/metrics.h"

/* 0 or -ENOMEM. */
int sl_metrics_stats(const struct sl_metrics *metrics, bool json, struct sl_buf *out);
int sl_metrics_sessions(const struct sl_metrics *metrics, bool json, struct sl_buf *out);

/* Names of the callouts by index, of phases, and of error kinds; the first two are set by those who
 * know them, before rendering. */
extern const char *const *sl_metrics_callout_names;
extern const char *const *sl_metrics_phase_names;
